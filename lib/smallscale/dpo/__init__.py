"""How does a model learn what people prefer, from pairs alone?

DPO, its variants, and what is exact beside them.
"""

from smallscale.dpo.answers import Answers, all_logps, answer_logps, padded_answers
from smallscale.dpo.losses import preference_loss, sequence_logps
from smallscale.dpo.optimum import best_of_n, kl_divergence, optimal_policy
from smallscale.dpo.policies import Tabular
from smallscale.dpo.policy_training import train_preferences

__all__ = [
    "Answers",
    "Tabular",
    "all_logps",
    "answer_logps",
    "best_of_n",
    "kl_divergence",
    "optimal_policy",
    "padded_answers",
    "preference_loss",
    "sequence_logps",
    "train_preferences",
]
