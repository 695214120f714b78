"""Where does a prediction come from, and what is that worth? Scores of training points, shares of their owners."""

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
from smallscale.attribution.scores.neighbours import knn_shapley
from smallscale.attribution.scores.retraining import (
    Run,
    leave_one_out,
    member,
    metagradient,
    retrain,
    stack_outputs,
)

__all__ = [
    "cross_entropy",
    "grad_dot",
    "influence",
    "knn_shapley",
    "leave_one_out",
    "metagradient",
    "tracin",
    "trak",
]
__all__ += ["Run", "member", "retrain", "stack_outputs"]  # the truth, by training again
__all__ += [
    "lds",
    "lds_ceiling",
    "lds_interval",
    "margins",
    "random_subsets",
]  # how near to it the scores come
__all__ += ["banzhaf", "payouts", "sampled_banzhaf", "sampled_shapley", "shapley"]
