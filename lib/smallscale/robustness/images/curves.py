"""How does accuracy fall as the ball grows?

An attack at several radii, with the uncertainty of a finite test set, and the two
changes that it is compared with: random signs and Gaussian noise.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from smallscale.core.intervals import mean_interval, share_interval
from smallscale.core.validation import as_tensor
from smallscale.robustness.images.norms import random_signs_like
from smallscale.training.evaluation import Model, correct

# (model, images, labels, eps) -> images
Attack = Callable[[Model, Tensor, Tensor, float], Tensor]


def accuracy_curve(
    model: Model, images: Any, labels: Any, eps_grid: Iterable[float], attack: Attack
) -> pd.DataFrame:
    """Return the accuracy under `attack` at each radius of the grid.

    images: (n, channels, height, width); labels: (n,); attack(model, images, labels,
    eps) returns images.
    Returns columns eps, accuracy, and low, high: the 95 % Wilson interval for n test
    images. The interval speaks of the test set alone, not of what another seed would
    have trained.

    >>> def two_pixels_as_logits(images):
    ...     return images.flatten(1)
    >>> def darken(model, images, labels, eps):
    ...     return images - eps * torch.tensor([1.0, 0.0])
    >>> image = [[[[0.75, 0.5]]]]
    >>> curve = accuracy_curve(two_pixels_as_logits, image, [0], [0.0, 0.5], darken)
    >>> curve.accuracy.tolist()
    [1.0, 0.0]
    """
    images, labels = as_tensor("images", images), as_tensor("labels", labels)
    rows = []
    for eps in eps_grid:
        kept = correct(model, attack(model, images, labels, eps), labels)
        rows.append((eps, *share_interval(kept)))
    return pd.DataFrame(rows, columns=["eps", "accuracy", "low", "high"])


def mean_curve(
    models: Sequence[Model],
    images: Any,
    labels: Any,
    eps_grid: Iterable[float],
    attack: Attack,
) -> pd.DataFrame:
    """Return the mean of the models' `accuracy_curve`s: of one way, from several seeds.

    models: two or more. images, labels, eps_grid and attack are those of
    `accuracy_curve`. Returns columns eps, accuracy, and low, high: the 95 % interval by
    Student's t, cut to [0, 1]. It speaks of what other seeds would have trained, on
    these images.

    >>> def two_pixels_as_logits(images):
    ...     return images.flatten(1)
    >>> def turned_round(images):
    ...     return images.flatten(1).flip(1)
    >>> def leave(model, images, labels, eps):
    ...     return images
    >>> both = [two_pixels_as_logits, turned_round]
    >>> mean_curve(both, [[[[0.75, 0.5]]]], [0], [0.1], leave).accuracy.tolist()
    [0.5]
    """
    grid = list(eps_grid)
    of_each = [accuracy_curve(each, images, labels, grid, attack) for each in models]
    shares = np.array([curve.accuracy for curve in of_each])  # (models, radii)
    rows = []
    for eps, of_eps in zip(grid, shares.T, strict=True):
        interval = mean_interval(of_eps)
        rows.append(
            (eps, interval.mean, max(0.0, interval.low), min(1.0, interval.high))
        )
    return pd.DataFrame(rows, columns=["eps", "accuracy", "low", "high"])


def random_signs(
    model: Model, images: Tensor, labels: Tensor, eps: float, *, seed: int = 0
) -> Tensor:
    """Return images with every pixel moved up or down by eps, at random.

    It is the attack that knows nothing: as large as FGSM's step in linf, but without a
    look at model and labels. images: (batch, channels, height, width) in [0, 1].

    >>> change = random_signs(None, torch.full((1, 1, 1, 4), 0.5), None, 0.25) - 0.5
    >>> change.abs()
    tensor([[[[0.2500, 0.2500, 0.2500, 0.2500]]]])
    """
    generator = torch.Generator().manual_seed(seed)
    return (images + eps * random_signs_like(images, generator)).clamp(0, 1)


def gaussian(model: Model, images: Tensor, labels: Tensor, *, sigma: float) -> Tensor:
    """Return images (batch, ...) with Gaussian noise of standard deviation sigma.

    The noise is not clipped. For `train_classifier`'s perturb: it draws from torch's
    generator, which `train_classifier` seeds while it trains.
    """
    return images + sigma * torch.randn_like(images)
