"""How does accuracy fall as the ball grows? An attack at several radii, with the uncertainty of a finite test set."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from smallscale.core.intervals import share_interval
from smallscale.robustness.images.attacks import fgsm, pgd
from smallscale.robustness.images.autoattack import autoattack
from smallscale.robustness.images.certificates import certified
from smallscale.robustness.images.norms import signs
from smallscale.training.evaluation import Model, correct

Attack = Callable[
    [Model, Tensor, Tensor, float], Tensor
]  # (model, images, labels, eps) -> images


def accuracy_curve(
    model: Model, images: Any, labels: Any, eps_grid: Iterable[float], attack: Attack
) -> pd.DataFrame:
    """Accuracy under `attack` at each radius of the grid.

    images: (n, channels, height, width); labels: (n,); attack(model, images, labels, eps) -> images.
    Returns columns eps, accuracy, and low, high: the 95 % Wilson interval for n test images. The interval speaks
    of the test set alone, not of what another seed would have trained.
    """
    images, labels = torch.as_tensor(images), torch.as_tensor(labels)
    rows = [
        (
            eps,
            *share_interval(correct(model, attack(model, images, labels, eps), labels)),
        )
        for eps in eps_grid
    ]
    return pd.DataFrame(rows, columns=["eps", "accuracy", "low", "high"])


def random_signs(
    model: Model, images: Tensor, labels: Tensor, eps: float, *, seed: int = 0
) -> Tensor:
    """The attack that knows nothing: every pixel up or down by eps at random. As large as FGSM's step in linf.

    images: (batch, channels, height, width) in [0, 1]; model and labels are not looked at.
    """
    return (
        images + eps * signs(images.shape, images, torch.Generator().manual_seed(seed))
    ).clamp(0, 1)


def gaussian(model: Model, images: Tensor, labels: Tensor, *, sigma: float) -> Tensor:
    """Images (batch, ...) with Gaussian noise of standard deviation sigma, not clipped: `train_classifier`'s perturb.

    It draws from torch's generator, which `train_classifier` seeds while it trains.
    """
    return images + sigma * torch.randn_like(images)


def robustness_bracket(
    model: nn.Module,
    images: Any,
    labels: Any,
    eps_grid: Iterable[float],
    *,
    steps: int = 40,
) -> pd.DataFrame:
    """What is proved and what survives, in linf, at each radius: the truth is at or above each certificate's share,
    and at or below each attack's.

    images: (n, channels, height, width) in [0, 1]; labels: (n,); steps: of PGD.
    Returns columns eps, bound, share, and low, high: the 95 % Wilson interval for n images.
    """
    images, labels = torch.as_tensor(images), torch.as_tensor(labels)
    attacks: dict[str, Attack] = {
        "AutoAttack": autoattack,
        "PGD": partial(pgd, steps=steps),
        "FGSM": fgsm,
    }
    rows = []
    for eps in eps_grid:
        holds = {
            f"{m.upper()} certificate": certified(model, images, labels, eps, method=m)
            for m in ("ibp", "crown")
        }
        for name, attack in attacks.items():
            holds[name] = correct(model, attack(model, images, labels, eps), labels)
        rows += [(eps, bound, *share_interval(each)) for bound, each in holds.items()]
    return pd.DataFrame(rows, columns=["eps", "bound", "share", "low", "high"])
