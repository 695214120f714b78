"""Is the model robust, or is the attack blind? Three measurements that tell gradient masking from robustness.

A gradient attack that fails says nothing where there is no gradient to follow (Athalye et al. 2018). The checks
follow the idea of AutoAttack's warnings (Croce and Hein 2020): look at the gradients themselves, and attack a
second time with a loss that the model's confidence cannot flatten.
"""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from smallscale.robustness.images.attacks import Bounds, attackable, look, pgd
from smallscale.training.evaluation import Model, accuracy

SIGNS = json.loads(Path(__file__).with_name("masking.json").read_text(encoding="utf-8"))
ZERO_SHARE = (
    0.01  # a trained network has next to no image whose whole gradient is exactly zero
)
GAP = 0.05  # two good attacks differ by a point or three; beyond five, one of them was blind


@dataclass(frozen=True)
class GradientMasking:
    """What `gradient_masking` measured, all as fractions of the n images, and what it means.

    zero_gradients: images whose cross-entropy gradient is exactly zero in every pixel;
    accuracy_ce, accuracy_dlr: accuracy under PGD on cross-entropy, and on the scale-free DLR loss;
    warnings: a paragraph for each sign of masking, what it means and what to do; empty if none was found.
    """

    n: int
    zero_gradients: float
    accuracy_ce: float
    accuracy_dlr: float

    @property
    def warnings(self) -> list[str]:
        gap = self.accuracy_ce - self.accuracy_dlr
        seen = {
            "zero gradients": self.zero_gradients > ZERO_SHARE,
            "the loss decides": gap > GAP,
        }
        return [
            text.format_map(vars(self)) for sign, text in SIGNS.items() if seen[sign]
        ]


def gradient_masking(
    model: Model,
    images: Any,
    labels: Any,
    eps: float,
    *,
    norm: str = "linf",
    steps: int = 40,
    bounds: Bounds = (0, 1),
) -> GradientMasking:
    """Look for signs that an attack on `model` fails for want of a gradient, not of adversarial images.

    images, labels, eps, norm, steps, bounds: as for `pgd`; at least 3 classes, which the DLR loss needs.
    No warning is not a proof: masking that both losses share, such as noise, goes unseen here.
    Raises ValueError as `pgd` does, and for an empty batch.
    """
    images, labels = torch.as_tensor(images), torch.as_tensor(labels)
    if len(images) == 0:
        raise ValueError("images must hold at least one image; got an empty batch")
    with attackable(model, images, labels, eps, norm, bounds) as (x, y, _):
        zero = float((look(model, x, y)[2].flatten(1) == 0).all(1).double().mean())
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # said once above; the attacks would say it again
        under_attack = [
            accuracy(
                model,
                pgd(
                    model,
                    images,
                    labels,
                    eps,
                    norm=norm,
                    steps=steps,
                    bounds=bounds,
                    loss=loss,
                ),
                labels,
            )
            for loss in ("ce", "dlr")
        ]
    return GradientMasking(len(images), zero, *under_attack)
