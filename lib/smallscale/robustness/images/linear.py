"""Why does so small a change mislead? A linear model adds up what each pixel gives.

Each pixel changes by eps at most, but there are many, and an attacker lets all of them
pull the same way (Goodfellow et al. 2015, section 3).
"""

from typing import Any

import torch
from torch import Tensor, nn

from smallscale.robustness.images.norms import Bounds
from smallscale.robustness.images.preparation import prepared_for_attack
from smallscale.training.evaluation import Model, outputs
from smallscale.training.loop import train_classifier


def right_if_linear(
    model: Model,
    images: Any,
    labels: Any,
    eps: float,
    *,
    bounds: Bounds = (0.0, 1.0),
) -> Tensor:
    """Return which images no change of eps a pixel misleads, if the model is linear.
        z_y - z_j - sum_i |w_i| * c_i > 0 for all j,   w the gradient of z_y - z_j
    c_i is how far pixel i can move: eps, or less where black or white stops it. Where
    nothing stops a pixel the sum is eps * ||w||_1 (Goodfellow et al. 2015, section 3).

    For a linear model this is exact. For another it is a guess, made with the gradients
    at the image itself, and neither a proof nor an attack.
    images, labels, eps, bounds: as for `fgsm`, in linf. Returns (batch,) of bool.
    Raises ValueError for arguments that cannot be right.

    >>> def two_pixels_as_logits(images):
    ...     return images.flatten(1)
    >>> right_if_linear(two_pixels_as_logits, [[[[0.75, 0.5]]]], [0], 0.25)
    tensor([False])
    """
    with prepared_for_attack(model, images, labels, eps, "linf", bounds) as (ball, y):
        x = ball.centre.requires_grad_()
        logits = outputs(model, x)
        gaps = logits.gather(1, y[:, None]) - logits  # z_y - z_j
        right = logits.argmax(1) == y
        for j in range(logits.shape[1]):
            (w,) = torch.autograd.grad(gaps[:, j].sum(), x, retain_graph=True)
            moved = ball.project(x - ball.eps * w.sign())  # cut at black and white
            fall = (w * (x - moved)).flatten(1).sum(1)
            right &= (gaps[:, j] - fall > 0) | (y == j)
        return right.detach()


def linear_classifier(
    images: Tensor, labels: Tensor, *, epochs: int, seed: int = 0
) -> nn.Sequential:
    """Return a linear model of the images' pixels, trained from weights of zero.

    images: (n, channels, height, width); labels: (n,) in 0..9. seed: of the batches'
    order, which is all that is random here.
    """
    layer = nn.Linear(images[0].numel(), 10)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    model = nn.Sequential(nn.Flatten(), layer)
    train_classifier(model, images, labels, epochs=epochs, seed=seed)
    return model


def falls_per_eps(model: nn.Sequential) -> tuple[float, float]:
    """Return how far z_a - z_b falls per eps: at worst, and under random signs.

    model: of `linear_classifier`. At worst it is ||w_a - w_b||_1, under random signs
    its standard deviation ||w_a - w_b||_2; both are means over all pairs of classes.
    """
    weight = dict(model[1].named_parameters())["weight"].detach()
    a, b = torch.triu_indices(len(weight), len(weight), offset=1)
    w = weight[a] - weight[b]
    return float(w.abs().sum(1).mean()), float(w.norm(dim=1).mean())
