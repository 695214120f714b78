"""Where does a prediction come from, and what is that worth?

`scores` has a score for every training point and test point, and the truth by training
again: curvature (influence), gradients (grad-dot, TracIn, TRAK), metagradient,
neighbours (KNN-Shapley), retraining (leave one out), and lds, which judges the others.

`markets` divides what a model achieves among the owners of its text: games (Shapley and
Banzhaf values), payments (the payout rule), valuation (what an author's text is worth),
market (how a payment is gamed), consequences (what follows from paying), proxies (cheap
scores, compared with the exact ones), and sources (the line where a text also stands).
"""

from smallscale.attribution.markets.games import (
    banzhaf,
    sampled_banzhaf,
    sampled_shapley,
    shapley,
)
from smallscale.attribution.markets.payments import payouts
from smallscale.attribution.scores.curvature import influence
from smallscale.attribution.scores.gradients import (
    cross_entropy,
    grad_dot,
    tracin,
    trak,
)
from smallscale.attribution.scores.lds import (
    lds,
    lds_ceiling,
    lds_interval,
    margins,
    random_subsets,
)
from smallscale.attribution.scores.leaving_out import leave_one_out
from smallscale.attribution.scores.metagradient import metagradient
from smallscale.attribution.scores.neighbours import knn_shapley
from smallscale.attribution.scores.retraining import (
    member,
    retrain,
    stack_outputs,
)
from smallscale.attribution.scores.training_config import TrainingConfig

__all__ = [
    "TrainingConfig",
    "banzhaf",
    "cross_entropy",
    "grad_dot",
    "influence",
    "knn_shapley",
    "lds",
    "lds_ceiling",
    "lds_interval",
    "leave_one_out",
    "margins",
    "member",
    "metagradient",
    "payouts",
    "random_subsets",
    "retrain",
    "sampled_banzhaf",
    "sampled_shapley",
    "shapley",
    "stack_outputs",
    "tracin",
    "trak",
]
