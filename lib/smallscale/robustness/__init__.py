"""How little must change before a model is wrong? Attacks, proofs that none succeeds, and shifts nobody planned."""

from smallscale.robustness.attacks import dlr_loss, fgsm, pgd
from smallscale.robustness.autoattack import autoattack
from smallscale.robustness.certificates import certified, crown_bounds, ibp_bounds
from smallscale.robustness.curves import accuracy_curve, random_signs
from smallscale.robustness.explorer import attack_explorer
from smallscale.robustness.masking import GradientMasking, gradient_masking
from smallscale.robustness.shift import group_dro_weights, worst_group_accuracy

__all__ = [
    "GradientMasking",
    "accuracy_curve",
    "attack_explorer",
    "autoattack",
    "certified",
    "crown_bounds",
    "dlr_loss",
    "fgsm",
    "gradient_masking",
    "group_dro_weights",
    "ibp_bounds",
    "pgd",
    "random_signs",
    "worst_group_accuracy",
]
