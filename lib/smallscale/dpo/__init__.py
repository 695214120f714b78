"""How does a model learn what people prefer, from pairs alone? DPO, its variants, and what is exact beside them."""

from smallscale.dpo.losses import preference_loss, sequence_logps
from smallscale.dpo.optimum import best_of_n, kl_divergence, optimal_policy
from smallscale.dpo.policy_training import (
    Answers,
    Tabular,
    all_logps,
    answer_logps,
    padded_answers,
    train_preferences,
)

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
