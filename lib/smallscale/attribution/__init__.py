"""Where does a prediction come from, and what is that worth? Scores of training points, shares of their owners."""

from smallscale.attribution.curvature import influence
from smallscale.attribution.games import banzhaf, sampled_banzhaf, sampled_shapley, shapley
from smallscale.attribution.gradients import cross_entropy, grad_dot, tracin
from smallscale.attribution.neighbours import knn_shapley
from smallscale.attribution.payments import payouts
from smallscale.attribution.projection import trak
from smallscale.attribution.retraining import Run, leave_one_out, member, metagradient, retrain, stack_outputs
from smallscale.attribution.scoring import lds, lds_ceiling, lds_interval, margins, random_subsets

__all__ = [
    "Run",
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
