"""How far can a reward take a policy before it is another policy? What is exact when all answers can be listed.

A policy is then an array of probabilities (..., answers), and everything is a sum: the optimum of
E[reward] - beta KL(policy || reference) (Rafailov et al. 2023, eq. 4), the best of n draws, and how far they went.
"""

import math
from typing import Any

import numpy as np
from scipy.special import rel_entr, softmax

from smallscale.dpo.losses import floats


def optimal_policy(reference: Any, reward: Any, beta: float) -> np.ndarray:
    """The policy with the most E[reward] - beta KL(policy || reference), (..., answers), in double precision.

        policy(y) = reference(y) exp(reward(y) / beta) / Z        (Rafailov et al. 2023, eq. 4)

    reference: (..., answers) probabilities; an answer of probability 0 keeps it, whatever its reward.
    reward: (..., answers), finite; the two broadcast. No reward is too large and no beta too small: as beta falls
    all probability goes to the best answers, in the reference's proportions.
    Raises ValueError for probabilities that are negative or do not sum to 1, rewards not finite, or beta <= 0.
    """
    if not 0 < beta < math.inf:
        raise ValueError(f"beta must be finite and above 0; got {beta}")
    p, r = _policy_and_reward(reference, reward)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        best = np.where(p > 0, r, -np.inf).max(-1, keepdims=True)
        # Relative to the best answer that can occur: what overflows goes to -inf, which is probability 0.
        scores = np.where(p > 0, np.log(p) + (r - best) / beta, -np.inf)
    return softmax(scores, axis=-1)


def best_of_n(reference: Any, reward: Any, n: int) -> np.ndarray:
    """The policy (..., answers) that draws n answers from the reference and keeps one with the highest reward.

    Exact: the best reward is at most r with probability P(reward <= r)^n; among draws of equal reward each is as
    likely to be kept, so equal rewards share in the reference's proportions.
    Raises ValueError as `optimal_policy` does, and for n below 1.
    """
    if n < 1 or int(n) != n:
        raise ValueError(f"n must be a whole number, at least 1; got {n}")
    p, r = _policy_and_reward(reference, reward)
    if p.ndim > 1:
        return np.stack([best_of_n(a, b, n) for a, b in zip(p, r, strict=True)])
    _, level = np.unique(
        r, return_inverse=True
    )  # the rewards that occur, in increasing order
    share = np.bincount(level, weights=p)  # of probability at each
    upto = np.minimum(share.cumsum(), 1.0)
    won = np.diff(upto**n, prepend=0.0)
    factor = np.divide(won, share, out=np.zeros_like(won), where=share > 0)
    policy = p * factor[level]
    return policy / policy.sum()


def kl_divergence(policy: Any, reference: Any) -> np.ndarray:
    """KL(policy || reference) in nats, (...), inf where the policy gives an answer that the reference never gives.

    policy, reference: (..., answers) probabilities. Raises ValueError where they are negative or do not sum to 1.
    """
    terms = rel_entr(
        _probabilities("policy", policy), _probabilities("reference", reference)
    )
    return np.maximum(
        terms.sum(-1), 0.0
    )  # rounding may leave -1e-17 for two policies alike


def _policy_and_reward(reference: Any, reward: Any) -> tuple[np.ndarray, np.ndarray]:
    p, r = _probabilities("reference", reference), _array("reward", reward)
    if r.ndim == 0 or p.shape[-1] != r.shape[-1]:
        raise ValueError(
            f"reference and reward must be (..., answers); got {p.shape} and {r.shape}"
        )
    try:
        p, r = np.broadcast_arrays(p, r)
    except ValueError as error:
        raise ValueError(
            f"reference and reward must be of one shape; got {p.shape} and {r.shape}"
        ) from error
    if not np.isfinite(r).all():
        raise ValueError(
            "reward must be finite; to forbid an answer, give it reference probability 0"
        )
    return p, r


def _probabilities(name: str, values: Any) -> np.ndarray:
    p = _array(name, values)
    if p.ndim == 0 or p.shape[-1] == 0:
        raise ValueError(
            f"{name} must be (..., answers), at least one answer; got shape {p.shape}"
        )
    if not (
        np.isfinite(p).all() and (p >= 0).all() and (abs(p.sum(-1) - 1) < 1e-3).all()
    ):
        raise ValueError(
            f"{name} must hold probabilities: none negative, their sum over the last axis 1"
        )
    return p / p.sum(-1, keepdims=True)  # what float32 rounded away


def _array(name: str, values: Any) -> np.ndarray:
    return floats(name, values).detach().cpu().double().numpy()
