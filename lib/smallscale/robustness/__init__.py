"""How little must change before a model is wrong?

Attacks, proofs that none succeeds, and shifts that nobody planned.
"""

from smallscale.datasets.squad_scores import exact_match, f1, normalize_answer
from smallscale.robustness.images.attacks import fgsm, pgd
from smallscale.robustness.images.autoattack import autoattack
from smallscale.robustness.images.certificates import (
    certified,
    crown_bounds,
    ibp_bounds,
)
from smallscale.robustness.images.curves import accuracy_curve, random_signs
from smallscale.robustness.images.explorer import attack_explorer
from smallscale.robustness.images.losses import dlr_loss
from smallscale.robustness.images.masking import gradient_masking
from smallscale.robustness.reading.addsent import add_sentences, worst_of
from smallscale.robustness.reading.squad import load_squad, score_squad
from smallscale.robustness.shift.groups import worst_group_accuracy
from smallscale.training.group_losses import group_dro_weights

__all__ = [
    "accuracy_curve",
    "add_sentences",
    "attack_explorer",
    "autoattack",
    "certified",
    "crown_bounds",
    "dlr_loss",
    "exact_match",
    "f1",
    "fgsm",
    "gradient_masking",
    "group_dro_weights",
    "ibp_bounds",
    "load_squad",
    "normalize_answer",
    "pgd",
    "random_signs",
    "score_squad",
    "worst_group_accuracy",
    "worst_of",
]
