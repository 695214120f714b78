"""How does accuracy fall as the ball grows? An attack at several radii, with the uncertainty of a finite test set."""

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from smallscale.robustness.attacks import Bounds
from smallscale.training import Model, binomial_interval, predict_logits

Attack = Callable[[Model, Tensor, Tensor, float], Tensor]  # (model, images, labels, eps) -> images


def accuracy_curve(model: Model, images: Any, labels: Any, eps_grid: Iterable[float], attack: Attack) -> pd.DataFrame:
    """Accuracy under `attack` at each radius of the grid.

    images: (n, channels, height, width); labels: (n,); attack(model, images, labels, eps) -> images.
    Returns columns eps, accuracy, and low, high: the 95 % Wilson interval for n test images. The interval speaks
    of the test set alone, not of what another seed would have trained.
    """
    images, labels = torch.as_tensor(images), torch.as_tensor(labels)
    rows = []
    for eps in eps_grid:
        right = int((predict_logits(model, attack(model, images, labels, eps)).argmax(1) == labels).sum())
        rows.append((eps, right / len(labels), *binomial_interval(right, len(labels))))
    return pd.DataFrame(rows, columns=["eps", "accuracy", "low", "high"])


def random_signs(
    model: Model, images: Tensor, labels: Tensor, eps: float, *, bounds: Bounds = (0.0, 1.0), seed: int = 0
) -> Tensor:
    """The attack that knows nothing: every pixel up or down by eps at random. As large as FGSM's step in linf.

    images: (batch, channels, height, width) within bounds; model and labels are not looked at.
    """
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, images.shape, generator=generator).to(images) * 2 - 1
    return (images + eps * signs).clamp(*bounds)
