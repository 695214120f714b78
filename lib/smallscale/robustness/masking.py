"""Is the model robust, or is the attack blind? Three measurements that tell gradient masking from robustness.

A gradient attack that fails says nothing where there is no gradient to follow (Athalye et al. 2018). The checks
follow the idea of AutoAttack's warnings (Croce and Hein 2020): look at the gradients themselves, and attack a
second time with a loss that the model's confidence cannot flatten.
"""

import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from smallscale.robustness.attacks import Bounds, attackable, look, pgd
from smallscale.training import Model, accuracy

ZERO_SHARE = 0.01  # a trained network has next to no image whose whole gradient is exactly zero
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
    warnings: list[str] = field(default_factory=list)


def gradient_masking(
    model: Model,
    images: Any,
    labels: Any,
    eps: float,
    *,
    norm: str = "linf",
    steps: int = 40,
    bounds: Bounds = (0.0, 1.0),
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
        gradient = look(model, x, y)[2]
        zero = float((gradient.flatten(1) == 0).all(1).double().mean())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said once above; the attacks would say it again

        def under_attack(loss: str) -> float:
            attacked: Tensor = pgd(model, images, labels, eps, norm=norm, steps=steps, bounds=bounds, loss=loss)
            return accuracy(model, attacked, labels)

        ce, dlr = under_attack("ce"), under_attack("dlr")
    return GradientMasking(len(images), zero, ce, dlr, _signs(zero, ce, dlr))


def _signs(zero: float, ce: float, dlr: float) -> list[str]:
    signs = []
    if zero > ZERO_SHARE:
        signs.append(
            f"Zero gradients: for {zero:.1%} of the images the gradient of cross-entropy is exactly zero, so a "
            "gradient attack stands still there and its failure is no evidence of robustness. Usual causes: logits "
            "so large that softmax rounds to 0 and 1, or a step that rounds or thresholds its input. Attack with a "
            "loss that does not saturate (loss='dlr'), and through a smooth stand-in for such a step."
        )
    if ce - dlr > GAP:
        signs.append(
            f"The loss decides: accuracy under attack is {ce:.1%} with cross-entropy and {dlr:.1%} with a loss that "
            "ignores the scale of the logits. Robustness does not depend on the attacker's loss, so the higher number "
            "is an artefact. Report the lower one, and distrust it too until an attack without gradients agrees."
        )
    return signs
