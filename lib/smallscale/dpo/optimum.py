"""How far can a reward take a policy before it is another policy?

Here all answers can be listed. A policy is an array of probabilities (..., answers),
and
everything is a sum: the policy with the most E[reward] - beta KL(policy || reference)
(Rafailov et al. 2023, eq. 3 and 4), the best of n draws, and how far they went.
"""

from typing import Any

import numpy as np
from scipy.special import rel_entr, softmax

from smallscale.core.validation import finite, finite_number, require, whole_number
from smallscale.dpo.losses import real_tensor


def optimal_policy(reference: Any, reward: Any, beta: float) -> np.ndarray:
    """Return the policy with the most E[reward] - beta KL(policy || reference):
    policy(y) = reference(y) exp(reward(y) / beta) / Z (Rafailov et al. 2023, eq. 4).

    reference: (..., answers) probabilities. An answer of probability 0 keeps it,
    whatever its reward. reward: (..., answers), finite. The two broadcast.
    Returns (..., answers) in double precision. No reward is too large and no beta too
    small: as beta falls, all probability goes to the best answers, in the reference's
    proportions.
    Raises ValueError for probabilities that are negative or do not sum to 1, for
    rewards that are not finite, and unless beta is finite and above 0.

    >>> optimal_policy([0.5, 0.5], [np.log(3), 0.0], beta=1.0)
    array([0.75, 0.25])
    """
    beta = finite_number("beta", beta, above=0)
    p, r = _policy_and_reward(reference, reward)
    possible = p > 0
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        best = np.where(possible, r, -np.inf).max(-1, keepdims=True)
        # Rewards count from the best one, so what overflows goes to probability 0.
        scores = np.where(possible, np.log(p) + (r - best) / beta, -np.inf)
    policy: np.ndarray = softmax(scores, axis=-1)
    return policy


def best_of_n(reference: Any, reward: Any, n: int) -> np.ndarray:
    """Return the policy that draws n answers from the reference and keeps one with the
    highest reward. Exactly: P(best reward <= r) = P(reward <= r)^n.

    reference, reward: (..., answers), as for `optimal_policy`. Among draws of equal
    reward each is as likely to be kept, so answers of equal reward share in the
    reference's proportions. Returns (..., answers).
    Raises ValueError as `optimal_policy` does, and for n below 1.

    >>> best_of_n([0.2, 0.2, 0.6], [0.0, 1.0, 1.0], n=2)  # the worst: drawn twice
    array([0.04, 0.24, 0.72])
    """
    n = whole_number("n", n)
    p, r = _policy_and_reward(reference, reward)
    if p.ndim > 1:
        return np.stack([best_of_n(a, b, n) for a, b in zip(p, r, strict=True)])
    _, level = np.unique(r, return_inverse=True)  # the rewards, numbered upwards
    share = np.bincount(level, weights=p)  # of probability, at each level
    up_to = np.minimum(share.cumsum(), 1.0)
    kept = np.diff(up_to**n, prepend=0.0)  # the best of n is at this level
    factor = np.divide(kept, share, out=np.zeros_like(kept), where=share > 0)
    policy = p * factor[level]
    normalised: np.ndarray = policy / policy.sum()
    return normalised


def kl_divergence(policy: Any, reference: Any) -> np.ndarray:
    """Return KL(policy || reference) = sum over y of policy(y) log(policy(y) /
    reference(y)), in nats.

    policy, reference: (..., answers) probabilities. Returns (...), infinite where the
    policy gives an answer that the reference never gives.
    Raises ValueError where probabilities are negative or do not sum to 1, and where the
    two are about different numbers of answers.

    >>> float(kl_divergence([1.0, 0.0], [0.5, 0.5]).round(4))  # log 2
    0.6931
    """
    p = _probabilities("policy", policy)
    q = _probabilities("reference", reference)
    require(
        p.shape[-1] == q.shape[-1],
        f"policy and reference must be (..., answers); got {p.shape} and {q.shape}",
    )
    # Rounding may leave -1e-17 for two policies that are alike.
    divergence: np.ndarray = np.maximum(rel_entr(p, q).sum(-1), 0.0)
    return divergence


def _policy_and_reward(reference: Any, reward: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and rewards, checked and of one shape (..., answers)."""
    p = _probabilities("reference", reference)
    r = _real_array("reward", reward)
    require(
        r.ndim > 0 and p.shape[-1] == r.shape[-1],
        f"reference and reward must be (..., answers); got {p.shape} and {r.shape}",
    )
    try:
        p, r = np.broadcast_arrays(p, r)
    except ValueError as error:
        raise ValueError(
            f"reference and reward must be of one shape; got {p.shape} and {r.shape}"
        ) from error
    # To forbid an answer, give it reference probability 0 and not a reward of -inf.
    finite("reward", r)
    return p, r


def _probabilities(name: str, values: Any) -> np.ndarray:
    """Return probabilities (..., answers) whose sum over the last axis is 1."""
    p = _real_array(name, values)
    require(
        p.ndim > 0 and p.shape[-1] > 0,
        f"{name} must be (..., answers), at least one answer; got shape {p.shape}",
    )
    positive = np.isfinite(p).all() and (p >= 0).all()
    require(
        positive and (abs(p.sum(-1) - 1) < 1e-3).all(),
        f"{name} must hold probabilities: none negative, and their sum over the last "
        "axis 1",
    )
    normalised: np.ndarray = p / p.sum(-1, keepdims=True)  # mends float32's rounding
    return normalised


def _real_array(name: str, values: Any) -> np.ndarray:
    """Return real numbers of any library as an array in double precision."""
    array: np.ndarray = real_tensor(name, values).detach().cpu().double().numpy()
    return array
