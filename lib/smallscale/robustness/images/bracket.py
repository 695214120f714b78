"""Between which two numbers does the truth lie? Certificates below it, attacks above.

BRACKET is the one list of what bounds robust accuracy: the table of the shares and the
order in which they are drawn come from it.
"""

from collections.abc import Iterable
from typing import Any

import pandas as pd
from torch import Tensor, nn

from smallscale.core.intervals import share_interval
from smallscale.core.validation import as_tensor
from smallscale.robustness.images.attacks import fgsm, pgd
from smallscale.robustness.images.autoattack import autoattack
from smallscale.robustness.images.certificates import certified
from smallscale.robustness.images.losses import numbered_as
from smallscale.training.evaluation import correct

IBP, CROWN, AUTOATTACK, PGD, FGSM = (
    "IBP certificate",
    "CROWN certificate",
    "AutoAttack",
    "PGD",
    "FGSM",
)
CERTIFICATES = (IBP, CROWN)
BRACKET = (*CERTIFICATES, AUTOATTACK, PGD, FGSM)  # from the lowest share to the highest


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
    What costs little is asked about every image: IBP, FGSM and PGD. CROWN is asked only
    about those that IBP did not prove and PGD did not mislead; AutoAttack only about
    those that are then still open. So CROWN's share counts IBP's proofs, and
    AutoAttack's counts what PGD misled.
    images: (n, channels, height, width) in [0, 1]; labels: (n,); steps: of PGD.
    Returns columns eps, bound, share, and low, high: the 95 % Wilson interval for n
    images.
    """
    images, labels = as_tensor("images", images), as_tensor("labels", labels)
    rows = []
    for eps in eps_grid:
        holds = _bounds_of_each(model, images, labels, eps, steps)
        for bound in BRACKET:
            rows.append((eps, bound, *share_interval(holds[bound])))
    return pd.DataFrame(rows, columns=["eps", "bound", "share", "low", "high"])


def _bounds_of_each(
    model: nn.Module, images: Tensor, labels: Tensor, eps: float, steps: int
) -> dict[str, Tensor]:
    """Return for each bound which images (n,) it proves, or leaves read right."""
    many_steps = pgd(model, images, labels, eps, steps=steps, random_start=True)
    survives = correct(model, many_steps, labels)
    proved_by_ibp = certified(model, images, labels, eps, method="ibp").cpu()
    proved = proved_by_ibp.clone()
    undecided = survives & ~proved
    x, y = images[undecided], labels[undecided]
    with numbered_as(undecided.nonzero()):
        proved[undecided] = certified(model, x, y, eps).cpu()
    undecided = survives & ~proved
    x, y = images[undecided], labels[undecided]
    survives_all = survives.clone()
    with numbered_as(undecided.nonzero()):
        survives_all[undecided] = correct(model, autoattack(model, x, y, eps), y)
    one_step = fgsm(model, images, labels, eps)
    return {
        IBP: proved_by_ibp,
        CROWN: proved,
        AUTOATTACK: survives_all,
        PGD: survives,
        FGSM: correct(model, one_step, labels),
    }
