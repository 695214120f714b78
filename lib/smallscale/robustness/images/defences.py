"""Which training makes a model robust? Each way of training gets the same budget.

A comparison of two ways is one of the ways only if both take as many steps, on the
same batches, with the same optimizer and schedule, and choose what they may choose in
the same manner: on digits that no result is reported on.
"""

from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from smallscale.core.intervals import mean_interval
from smallscale.core.validation import as_tensor, one_of
from smallscale.models.classifiers import small_cnn
from smallscale.robustness.images.attacks import pgd
from smallscale.robustness.images.certificates import ibp_loss
from smallscale.robustness.images.norms import random_signs_like
from smallscale.training.loop import train_classifier

DEFENCES = ("standard", "noise", "PGD", "IBP")


def train_defence(
    defence: str,
    images: Any,
    labels: Any,
    eps: float,
    *,
    epochs: int,
    steps: int = 7,
    seed: int = 0,
    progress: str = "",
) -> nn.Sequential:
    """Return a small CNN trained in one of four ways, all with the same budget.
        standard  the images as they are
        noise     every pixel moved up or down by eps, at random
        PGD       the worst images that PGD finds in the ball (Madry et al. 2018)
        IBP       half of the loss on the worst logits of the box (Gowal et al. 2018)

    The budget is the number of steps, each on a batch of 64: epochs * images / 64. What
    a step costs differs: PGD needs a gradient for each of its `steps` and one more.
    images: (n, channels, height, width) in [0, 1]; labels: (n,); eps: in linf.
    seed: of the weights, the batches' order and the random starts.
    """
    one_of("defence", defence, DEFENCES)
    images = as_tensor("images", images)
    starts = Generator().manual_seed(seed)
    attack = partial(pgd, eps=eps, steps=steps, random_start=True, generator=starts)
    at_random = partial(_signs_at_random, eps=eps, generator=starts)
    channels, height, width = images.shape[1:]
    model = small_cnn((channels, height, width), seed=seed)
    within_budget = partial(train_classifier, epochs=epochs, seed=seed)
    train = {
        "standard": within_budget,
        "noise": partial(within_budget, perturb=at_random),
        "PGD": partial(within_budget, perturb=attack),
        "IBP": partial(within_budget, loss=ibp_loss(eps)),
    }[defence]
    train(model, images, labels, progress=progress)
    return model


def mean_over_seeds(values: Any) -> tuple[float, float, float]:
    """Return the mean of one value a seed, and its 95 % interval by Student's t.

    The interval speaks of other seeds, not of other test digits. values: two or more.

    >>> mean_over_seeds([0.5, 0.75, 1.0])
    (0.75, 0.1289..., 1.371...)
    """
    interval = mean_interval(values)
    return interval.mean, interval.low, interval.high


def _signs_at_random(
    model: nn.Module, x: Tensor, y: Tensor, *, eps: float, generator: Generator
) -> Tensor:
    return torch.clamp(x + eps * random_signs_like(x, generator), 0, 1)
