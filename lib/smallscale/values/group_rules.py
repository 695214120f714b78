"""Whose preferences count how much? Pooled, equal-weight and worst-group training, and where each must end.

A pooled preference is a Borda count (Siththaranjan et al. 2024); worst-group training of preferences is Ramesh et al.
2024, with the weights of Sagawa et al. 2020, and its regret form Agarwal and Zhang 2022.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar, root
from scipy.special import expit
from torch import Tensor

from smallscale.dpo import optimal_policy

RULES = ("pooled", "equal", "worst", "regret")


class GroupLoss:
    """The number to minimise on a batch of pairs, of several groups: the `combine` of `train_preferences`.

        pooled   the mean over pairs: groups count by their size
        equal    the mean over groups of their mean losses
        worst    sum of q_g * (mean loss of g); q_g grows as exp(eta * loss_g), so the largest loss is minimised
        regret   the same, but loss_g counts only above `floors[g]`, the least that any policy can have on the group

    groups: (pairs,) whole numbers from 0, the group of each pair. A group without a pair in the batch is left out of
    it. weights: q so far. Raises ValueError for an unknown rule, and for floors that are not one for each group.
    """

    def __init__(
        self, groups: Any, rule: str, *, eta: float = 0.1, floors: Sequence[float] = ()
    ) -> None:
        self.groups, self.rule, self.eta = torch.as_tensor(groups), _known(rule), eta
        count = int(self.groups.max()) + 1
        if rule == "regret" and len(floors) != count:
            raise ValueError(
                f"floors must be one for each of {count} groups; got {len(floors)}"
            )
        self.floors = torch.tensor(floors if rule == "regret" else [0.0] * count)
        self.weights = torch.full((count,), 1 / count)

    def __call__(self, losses: Tensor, pairs: Tensor) -> Tensor:
        """losses: (batch,), with gradient; pairs: (batch,) their positions."""
        if self.rule == "pooled":
            return losses.mean()
        member = torch.nn.functional.one_hot(
            self.groups[pairs.cpu()], len(self.weights)
        ).to(losses)  # (batch, groups)
        present = member.sum(0) > 0
        means = (
            losses @ member / member.sum(0).clamp(min=1)
        )  # (groups,); 0 where absent
        if self.rule != "equal":
            excess = (means.detach().cpu() - self.floors).where(present.cpu(), 0.0)
            self.weights = torch.softmax(self.weights.log() + self.eta * excess, 0)
        weights = self.weights.to(losses) * present
        return weights @ means / weights.sum()


def _known(rule: str) -> str:
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}; got {rule!r}")
    return rule


def prefers(utility: np.ndarray) -> np.ndarray:
    """(n, n) how likely somebody with this utility (n,) prefers answer i to j: sigmoid(u_i - u_j)."""
    return expit(utility[:, None] - utility[None])


def learned_reward(utility: np.ndarray, weights: Any, reference: Any) -> np.ndarray:
    """(n,) the reward that explains endless pairs best, when group g asks for the share weights[g] of them.

    utility: (n, groups); reference: (n,), which both answers of a pair are drawn from. It is the minimum of

        sum over i, j of p_i p_j P_ij * -log sigmoid(r_i - r_j),   P_ij = sum over g of weights[g] sigmoid(u_gi - u_gj)

    found where its gradient is 0, with mean 0 under p. There each answer's expected wins are those that P says: it
    orders answers by their Borda count, and knows nothing of how much any group cares.
    """
    p, shares = (
        np.asarray(reference, dtype=float),
        np.asarray(weights, dtype=float) / np.sum(weights),
    )
    wins = sum(
        share * prefers(column) for share, column in zip(shares, utility.T, strict=True)
    )
    seen = np.outer(p, p)

    def slope(reward: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The gradient and the Hessian, with what keeps the mean at 0: a constant would cost nothing otherwise."""
        fitted = prefers(reward)
        curvature = seen * fitted * (1 - fitted)
        hessian = np.diag(curvature.sum(1)) - curvature + seen
        return (seen * (fitted - wins)).sum(1) + seen @ reward, hessian

    return root(slope, np.zeros(len(p)), jac=True, tol=1e-12).x


def preference_losses(
    utility: np.ndarray, reward: np.ndarray, reference: Any
) -> np.ndarray:
    """(groups,) the mean loss -log sigmoid(r_i - r_j) over each group's endless pairs, i preferred to j."""
    seen, cost = (
        np.outer(reference, reference),
        np.logaddexp(0, reward[None] - reward[:, None]),
    )
    return np.array([2 * (seen * prefers(column) * cost).sum() for column in utility.T])


def group_weights(
    utility: np.ndarray, rule: str, sizes: Any, reference: Any
) -> np.ndarray:
    """(2,) the weights of two groups' mean losses that a rule ends at, given endless pairs.

    pooled: the groups' sizes; equal: a half each; worst and regret: the weights whose fit has the largest loss, or
    the largest above the groups' floors, since minimising the largest of several is maximising over such weights.
    """
    if _known(rule) == "pooled":
        return np.asarray(sizes, dtype=float) / np.sum(sizes)
    if rule == "equal":
        return np.array([0.5, 0.5])
    floors = loss_floors(utility, reference) * (rule == "regret")

    def reached(first: float) -> float:
        weights = np.array([first, 1 - first])
        losses = preference_losses(
            utility, learned_reward(utility, weights, reference), reference
        )
        return float(-weights @ (losses - floors))

    first = minimize_scalar(
        reached, bounds=(0, 1), method="bounded", options={"xatol": 1e-6}
    ).x
    return np.array([first, 1 - first])


def loss_floors(utility: np.ndarray, reference: Any) -> np.ndarray:
    """(groups,) the least mean loss on each group's pairs: that of its own utility. The noise in its choices."""
    return np.array([preference_losses(u[:, None], u, reference)[0] for u in utility.T])


def gains(policy: Any, utility: np.ndarray, reference: Any, beta: float) -> np.ndarray:
    """(groups,) what a policy (n,) is worth to each group: 0 as much as the reference, 1 as if it were asked alone.

    Asked alone, a group would get the optimum of its own utility at this beta. Below 0 it would rather have the
    reference back. A policy that sums to less than 1 gives the worst answer the rest of the time.
    """
    p, start = np.asarray(policy, dtype=float), np.asarray(reference) @ utility
    own = np.array(
        [optimal_policy(reference, column, beta) @ column for column in utility.T]
    )
    worth = p @ utility + (1 - p.sum()) * utility.min(0)
    return (worth - start) / (own - start)
