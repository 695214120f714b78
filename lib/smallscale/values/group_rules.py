"""Whose preferences count how much? Pooled, equal-weight and worst-group training, and
where each must end.

A pooled preference is a Borda count (Siththaranjan et al. 2024). Worst-group training
of preferences is Ramesh et al. 2024, with the weights of Sagawa et al. 2020, and its
regret form is Agarwal and Zhang 2022.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import brentq, minimize_scalar, root
from scipy.special import expit
from torch import Tensor

from smallscale.core.validation import as_array, as_tensor, one_of, require
from smallscale.dpo import kl_divergence, optimal_policy
from smallscale.training.group_losses import group_means

GROUP_RULES = ("pooled", "equal", "worst", "regret")
SHARPEST, DULLEST = 1e-3, 1e3  # temperatures between which a policy's is looked for


class GroupLoss:
    """The number to minimise on a batch of pairs of several groups. It is the `combine`
    of `train_preferences`.

        pooled   the mean over pairs: groups count by their size
        equal    the mean over groups of their mean losses
        worst    sum over g of q_g * (mean loss of g), where q_g grows as
                 exp(eta * loss_g), so that the largest loss is minimised
        regret   the same, but loss_g counts only above `floors[g]`, the least that any
                 policy can have on the group

    groups: (pairs,) whole numbers from 0, the group of each pair. A group without a
    pair in the batch is left out of it. weights: q so far, on the CPU as all of this.
    Raises ValueError for an unknown rule, and for floors that are not one for each
    group.
    """

    def __init__(
        self, groups: Any, rule: str, *, eta: float = 0.1, floors: Sequence[float] = ()
    ) -> None:
        self.groups = as_tensor("groups", groups).cpu()
        self.rule = one_of("rule", rule, GROUP_RULES)
        self.eta = eta
        count = int(self.groups.max()) + 1
        if rule == "regret":
            require(
                len(floors) == count,
                f"floors must be one for each of {count} groups; got {len(floors)}",
            )
            self.floors = torch.tensor(floors)
        else:
            self.floors = torch.zeros(count)
        self.weights = torch.full((count,), 1 / count)

    def __call__(self, losses: Tensor, pairs: Tensor) -> Tensor:
        """Return the sum over groups g of q_g * (mean loss of g), where q_g is g's
        share of the pairs (pooled), one share each (equal), or grows with the group's
        loss: q_g <- q_g exp(eta (loss_g - floor_g)), then divided by their sum.

        losses: (batch,), with gradient. pairs: (batch,), their positions.
        """
        if self.rule == "pooled":
            return losses.mean()  # the same as q_g = share of the batch
        groups = self.groups[pairs.cpu()]  # (batch,)
        means, present = group_means(losses, groups, len(self.weights))  # (groups,)
        if self.rule != "equal":
            excess = means.detach().cpu() - self.floors  # floors are 0 under "worst"
            excess = excess.where(present.cpu(), 0.0)
            # Sagawa et al. 2020, algorithm 1: softmax is exp, divided by the sum.
            self.weights = torch.softmax(self.weights.log() + self.eta * excess, 0)
        q = self.weights.to(losses) * present  # absent groups are left out
        return q @ means / q.sum()


def preference_chances(utility: np.ndarray) -> np.ndarray:
    """Return how likely somebody with this utility (n,) prefers answer i to j, (n, n):
    sigmoid(u_i - u_j)."""
    chances: np.ndarray = expit(utility[:, None] - utility[None])
    return chances


def learned_reward(utility: np.ndarray, weights: Any, reference: Any) -> np.ndarray:
    """Return the reward (n,) that explains endless pairs best, when group g asks for
    the share weights[g] of them: the minimum over r of
    sum over i, j of p_i p_j P_ij * -log sigmoid(r_i - r_j), where
    P_ij = sum over g of weights[g] sigmoid(u_gi - u_gj).

    utility: (n, groups). reference: (n,) p, which both answers of a pair are drawn
    from. The minimum is found where the gradient is 0, with mean 0 under p. There each
    answer's expected wins are those that P says: it orders answers by their Borda
    count, and knows nothing of how much any group cares.
    """
    p = as_array("reference", reference, dtype=float)
    shares = as_array("weights", weights, dtype=float)
    shares = shares / shares.sum()
    wins = sum(
        share * preference_chances(column)
        for share, column in zip(shares, utility.T, strict=True)
    )
    seen = np.outer(p, p)

    def gradient_and_hessian(reward: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        fitted = preference_chances(reward)
        curvature = seen * fitted * (1 - fitted)
        # seen @ reward keeps the mean at 0; a constant would cost nothing otherwise.
        gradient = (seen * (fitted - wins)).sum(1) + seen @ reward
        hessian = np.diag(curvature.sum(1)) - curvature + seen
        return gradient, hessian

    found = root(gradient_and_hessian, np.zeros(len(p)), jac=True, tol=1e-12)
    reward: np.ndarray = found.x
    return reward


def preference_losses(
    utility: np.ndarray, reward: np.ndarray, reference: Any
) -> np.ndarray:
    """Return the mean loss -log sigmoid(r_i - r_j) over each group's endless pairs,
    (groups,), where i is preferred to j."""
    p = as_array("reference", reference, dtype=float)
    seen = np.outer(p, p)
    cost = np.logaddexp(0, reward[None] - reward[:, None])
    return np.array(
        [2 * (seen * preference_chances(column) * cost).sum() for column in utility.T]
    )


def group_weights(
    utility: np.ndarray, rule: str, sizes: Any, reference: Any
) -> np.ndarray:
    """Return the weights (2,) of two groups' mean losses that a rule ends at, given
    endless pairs.

    pooled: the groups' sizes. equal: one half each. worst and regret: the weights whose
    fit has the largest loss, or the largest above the groups' floors, since minimising
    the largest of several losses is maximising over such weights.
    Raises ValueError for an unknown rule.
    """
    one_of("rule", rule, GROUP_RULES)
    if rule == "pooled":
        counted = as_array("sizes", sizes, dtype=float)
        shares: np.ndarray = counted / counted.sum()
        return shares
    if rule == "equal":
        return np.array([0.5, 0.5])
    floors = loss_floors(utility, reference) * (rule == "regret")

    def negative_excess(first: float) -> float:
        weights = np.array([first, 1 - first])
        reward = learned_reward(utility, weights, reference)
        losses = preference_losses(utility, reward, reference)
        return float(-weights @ (losses - floors))

    found = minimize_scalar(
        negative_excess, bounds=(0, 1), method="bounded", options={"xatol": 1e-6}
    )
    return np.array([found.x, 1 - found.x])


def loss_floors(utility: np.ndarray, reference: Any) -> np.ndarray:
    """Return the least mean loss on each group's pairs, (groups,): that of its own
    utility. It is the noise in the group's choices."""
    return np.array([preference_losses(u[:, None], u, reference)[0] for u in utility.T])


def gains(policy: Any, utility: np.ndarray, reference: Any, beta: float) -> np.ndarray:
    """Return what a policy (n,) is worth to each group, (groups,): 0 as much as the
    reference, 1 as much as if the group were asked alone.

    Asked alone, a group would get the optimum of its own utility at this beta. Below 0
    it would rather have the reference back. A policy that sums to less than 1 gives the
    worst answer the rest of the time.
    """
    p = as_array("policy", policy, dtype=float)
    start = as_array("reference", reference, dtype=float) @ utility
    asked_alone = np.array(
        [optimal_policy(reference, column, beta) @ column for column in utility.T]
    )
    worth = p @ utility + (1 - p.sum()) * utility.min(0)
    share: np.ndarray = (worth - start) / (asked_alone - start)
    return share


def frontier(
    utility: np.ndarray, reference: Any, beta: float, kl: float, *, points: int = 41
) -> np.ndarray:
    """Return the most that two groups can gain together at a distance of `kl` nats from
    the reference, (points, 2): on this line no policy so far from the reference, or
    nearer, gives one group more without giving the other less.

    Its policies are pi ~ reference exp((w u_1 + (1 - w) u_2) / t), for w from 0 to 1,
    where t is such that the distance is `kl`. Gains are counted as by `gains`, at
    `beta`.
    Raises ValueError for a distance that is not above 0, or that no such policy has.
    """
    line = []
    for w in np.linspace(0, 1, points):
        mixed = utility @ [w, 1 - w]

        def excess(log_t: float, mixed: np.ndarray = mixed) -> float:
            policy = optimal_policy(reference, mixed, float(np.exp(log_t)))
            return float(kl_divergence(policy, reference)) - kl

        ends = np.log([SHARPEST, DULLEST])
        require(
            excess(ends[0]) > 0 > excess(ends[1]),
            "kl must be above 0 and within reach of policies that serve the groups; "
            f"got {kl}",
        )
        t = float(np.exp(brentq(excess, *ends)))
        line.append(
            gains(optimal_policy(reference, mixed, t), utility, reference, beta)
        )
    return np.array(line)
