"""Between which two numbers does the truth lie? Certificates below it, attacks above.

BRACKET is the one list of what bounds robust accuracy: the table of the shares, the
order in which they are drawn and the claims about them all come from it. To add an
attack or a certificate, add a row.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from smallscale.core.intervals import share_interval
from smallscale.robustness.images.attacks import fgsm, pgd
from smallscale.robustness.images.autoattack import autoattack
from smallscale.robustness.images.certificates import certified
from smallscale.training.evaluation import correct

# (model, images, labels, eps, steps of PGD) -> (batch,) of bool
Holds = Callable[[nn.Module, Tensor, Tensor, float, int], Tensor]


@dataclass(frozen=True)
class Bound:
    """One bound of robust accuracy.

    name: as figures and claims call it. kind: "certificate", a lower bound, or
    "attack", an upper bound. holds(model, images, labels, eps, steps) returns which
    images the certificate proves, or which are still read right after the attack.
    """

    name: str
    kind: str
    holds: Holds


def _proved_by_ibp(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int
) -> Tensor:
    return certified(model, x, y, eps, method="ibp")


def _proved_by_crown(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int
) -> Tensor:
    return certified(model, x, y, eps, method="crown")


def _survives_autoattack(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int
) -> Tensor:
    return correct(model, autoattack(model, x, y, eps), y)


def _survives_pgd(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int
) -> Tensor:
    return correct(model, pgd(model, x, y, eps, steps=steps), y)


def _survives_fgsm(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int
) -> Tensor:
    return correct(model, fgsm(model, x, y, eps), y)


# From the lowest share to the highest.
BRACKET = (
    Bound("IBP certificate", "certificate", _proved_by_ibp),
    Bound("CROWN certificate", "certificate", _proved_by_crown),
    Bound("AutoAttack", "attack", _survives_autoattack),
    Bound("PGD", "attack", _survives_pgd),
    Bound("FGSM", "attack", _survives_fgsm),
)


def robustness_bracket(
    model: nn.Module,
    images: Any,
    labels: Any,
    eps_grid: Iterable[float],
    *,
    steps: int = 40,
) -> pd.DataFrame:
    """Return what is proved and what survives at each radius, in linf.

    A row for each radius and each of BRACKET's bounds. The truth is at or above each
    certificate's share, and at or below each attack's.
    images: (n, channels, height, width) in [0, 1]; labels: (n,); steps: of PGD.
    Returns columns eps, bound, share, and low, high: the 95 % Wilson interval for n
    images.
    """
    images, labels = torch.as_tensor(images), torch.as_tensor(labels)
    rows = []
    for eps in eps_grid:
        for bound in BRACKET:
            holds = bound.holds(model, images, labels, eps, steps)
            rows.append((eps, bound.name, *share_interval(holds)))
    return pd.DataFrame(rows, columns=["eps", "bound", "share", "low", "high"])
