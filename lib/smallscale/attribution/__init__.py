"""Where does a prediction come from, and what is that worth? Scores of training points, shares of their owners."""

from smallscale.attribution.curvature import influence
from smallscale.attribution.games import banzhaf, sampled_banzhaf, sampled_shapley, shapley
from smallscale.attribution.gradients import cross_entropy, grad_dot, tracin, trak
from smallscale.attribution.neighbours import knn_shapley
from smallscale.attribution.payments import payouts
from smallscale.attribution.retraining import Run, leave_one_out, member, metagradient, retrain, stack_outputs
from smallscale.attribution.scoring import lds, lds_ceiling, lds_interval, margins, random_subsets

__all__ = ["cross_entropy", "grad_dot", "influence", "knn_shapley", "leave_one_out", "metagradient", "tracin", "trak"]
__all__ += ["Run", "member", "retrain", "stack_outputs"]  # the truth, by training again
__all__ += ["lds", "lds_ceiling", "lds_interval", "margins", "random_subsets"]  # how near to it the scores come
__all__ += ["banzhaf", "payouts", "sampled_banzhaf", "sampled_shapley", "shapley"]
