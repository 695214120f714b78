"""How little must change before a model is wrong? Attacks, proofs that none succeeds, and shifts nobody planned."""

from smallscale.robustness.attacks import dlr_loss, fgsm, pgd
from smallscale.robustness.certificates import certified, crown_bounds, ibp_bounds
from smallscale.robustness.curves import accuracy_curve, random_signs
from smallscale.robustness.distractors import add_sentences, worst_of
from smallscale.robustness.ensemble import autoattack
from smallscale.robustness.explorer import attack_explorer
from smallscale.robustness.masking import gradient_masking
from smallscale.robustness.shift import group_dro_weights, worst_group_accuracy
from smallscale.robustness.squad import exact_match, f1, load_squad, normalize_answer, score_squad

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
