"""How little must change before a model is wrong? Attacks, and what tells an attack that failed from robustness."""

from smallscale.robustness.attacks import dlr_loss, fgsm, pgd
from smallscale.robustness.curves import accuracy_curve, random_signs
from smallscale.robustness.explorer import attack_explorer
from smallscale.robustness.masking import GradientMasking, gradient_masking

__all__ = [
    "GradientMasking",
    "accuracy_curve",
    "attack_explorer",
    "dlr_loss",
    "fgsm",
    "gradient_masking",
    "pgd",
    "random_signs",
]
