"""Who made this prediction, and what is it worth to them? Shares of a common result, and what they are paid."""

from smallscale.attribution.games import banzhaf, sampled_banzhaf, sampled_shapley, shapley
from smallscale.attribution.payments import payouts

__all__ = ["banzhaf", "payouts", "sampled_banzhaf", "sampled_shapley", "shapley"]
