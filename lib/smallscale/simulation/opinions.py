"""What becomes of opinions that are averaged? Four models of how people move.

DeGroot 1974; Friedkin and Johnsen 1990; Hegselmann and Krause 2002; Deffuant et al.
2000.
"""

from typing import Any

import numpy as np

from smallscale.core.validation import (
    as_array,
    finite,
    finite_number,
    require,
    whole_number,
)

ROUNDING = 1e-6  # how far from 1 the sum of a row may be: single precision
# Squaring W sixty times gives W^(2^60); by then even rounding errors are mixed.
SQUARINGS = 60
SETTLED = 1e-6  # how far apart people of one camp may still be
NO_LIMIT = (
    "opinions do not converge: a closed group takes turns, as two who each copy the "
    "other; give one of them a weight on their own opinion"
)


def degroot(weights: Any, opinions: Any) -> np.ndarray:
    """Return the opinions that repeated averaging, x <- W x, ends in:
        lim W^t x        (DeGroot 1974)

    In one closed group everybody ends at pi @ x, with pi the stationary weights.
    Several closed groups each reach a consensus of their own, and the people outside of
    them end at a mixture of these.

    weights W: (n, n), rows sum to 1. opinions x: (n,) or (n, topics). Returns the shape
    of opinions. Raises ValueError for weights that are not such a matrix, lengths that
    differ, and where opinions do not converge: some closed group takes turns (it has a
    period above 1), as two people who each copy the other.

    >>> degroot([[0.75, 0.25], [0.5, 0.5]], [0, 3]).round(6).tolist()
    [1.0, 1.0]
    """
    W, x = _checked_weights(weights, opinions)
    limit = W
    for _ in range(SQUARINGS):
        limit = limit @ limit  # W^1, W^2, W^4, W^8, …
        limit /= limit.sum(1, keepdims=True)  # or rounding errors grow with the power
    converged = np.allclose(W @ limit, limit, rtol=0, atol=ROUNDING)
    require(converged, NO_LIMIT)
    final: np.ndarray = limit @ x
    return final


def friedkin_johnsen(weights: Any, susceptibility: Any, opinions: Any) -> np.ndarray:
    """Return the limit of x <- L W x + (I - L) x0, where people hold on to their start:
        (I - L W)^-1 (I - L) x0,    L = diag(susceptibility)    (Friedkin, Johnsen 1990)

    weights W: (n, n), rows sum to 1. susceptibility: (n,) or one number, in [0, 1]; 0
    is for people who never move. opinions x0: (n,) or (n, topics). Returns the shape of
    opinions. Raises ValueError for values that are not allowed, lengths that differ,
    and where a group listens to nobody who holds on to anything: with susceptibility 1
    throughout, the limit is DeGroot's, if there is one.

    >>> friedkin_johnsen([[0, 1], [1, 0]], 0.5, [3, 0]).round(6).tolist()
    [2.0, 1.0]
    """
    W, x0 = _checked_weights(weights, opinions)
    lam = _checked_susceptibility(susceptibility, W)
    identity = np.eye(len(W))
    start = ((1 - lam) * x0.T).T  # (I - L) x0
    return np.linalg.solve(identity - lam[:, None] * W, start)


def bounded_confidence(opinions: Any, eps: float, steps: int) -> np.ndarray:
    """Return opinions after rounds in which each takes the mean of all within eps:
        x_i <- mean of x_j over |x_i - x_j| <= eps    (Hegselmann, Krause 2002, eq. 3)

    All people move at once, and their own opinion is part of the mean. `steps` is the
    number of rounds. Opinions on a line keep their order, so the neighbours of each are
    a stretch of the sorted opinions, and a round costs n log n.

    opinions: (n,). Raises ValueError for opinions that are not finite numbers (n,), for
    eps < 0 and for steps < 0.

    >>> bounded_confidence([9, 0, 2, 1], eps=1, steps=1).tolist()
    [9.0, 0.5, 1.5, 1.0]
    """
    x = _checked_opinions(opinions)
    eps = finite_number("eps", eps, least=0)
    steps = whole_number("steps", steps, least=0)
    order = np.argsort(x, kind="stable")
    ranked = x[order]
    for _ in range(steps):
        after = _means_of_neighbours(ranked, eps)
        if np.array_equal(after, ranked):
            break  # a fixed point stays
        ranked = np.sort(after)  # rounding may swap two that agree
    result = np.empty_like(x)
    result[order] = ranked
    return result


def deffuant(
    opinions: Any,
    eps: float,
    *,
    rate: float = 0.5,
    most_rounds: int = 100_000,
    seed: int = 0,
) -> np.ndarray:
    """Return where opinions settle when people meet in random pairs, and two who differ
    by less than eps move towards each other (Deffuant et al. 2000):
        x_i <- x_i + rate (x_j - x_i),    x_j <- x_j + rate (x_i - x_j)

    In a round everybody meets one other person, all at once; with an odd number one
    stays at home. The paper draws one pair after another. Either way what one gains the
    other loses, so the mean stays. Pairs are drawn by rank of opinion, so the order in
    which people are listed changes nothing.
    Opinions have settled where every two are within 1e-6 or at least eps apart. A
    thousand people mostly take some tens of rounds, and tens of thousands where three
    or four are left who are near to one another only, and seldom meet.

    opinions: (n,). rate: the paper's mu, above 0 and at most 1/2. Returns (n,). Raises
    ValueError for opinions that are not finite numbers (n,), for eps < 0, for another
    rate, and where opinions have not settled after most_rounds.

    >>> deffuant([0, 1, 8, 9], eps=2).tolist()
    [0.5, 0.5, 8.5, 8.5]
    """
    x = _checked_opinions(opinions)
    eps = finite_number("eps", eps, least=0)
    rate = finite_number("rate", rate, above=0, most=0.5)
    most_rounds = whole_number("most_rounds", most_rounds, least=0)
    random = np.random.default_rng(seed)
    order = np.argsort(x, kind="stable")
    ranked = x[order]
    for _ in range(most_rounds):
        if _settled(ranked, eps):
            break
        met = random.permutation(len(x))[: len(x) // 2 * 2]
        one, other = met.reshape(2, -1)
        apart = ranked[other] - ranked[one]
        step = np.where(np.abs(apart) < eps, rate * apart, 0.0)
        ranked[one] += step
        ranked[other] -= step
        again = np.argsort(ranked, kind="stable")
        order = order[again]
        ranked = ranked[again]
    require(
        _settled(ranked, eps),
        f"opinions have not settled after {most_rounds} rounds; raise most_rounds, or "
        "the rate",
    )
    result = np.empty_like(x)
    result[order] = ranked
    return result


def cluster_sizes(opinions: Any, apart: float) -> list[int]:
    """Return how many people are in each cluster, from the lowest opinion up: two
    neighbours on the line who differ by more than `apart` are in different clusters.

    opinions: (n,). Raises ValueError for opinions that are not finite numbers (n,), and
    for apart < 0.

    >>> cluster_sizes([0.5, 8.5, 0.5, 8.5, 8.5], apart=1)
    [2, 3]
    """
    ranked = np.sort(_checked_opinions(opinions))
    apart = finite_number("apart", apart, least=0)
    cuts = np.flatnonzero(np.diff(ranked) > apart) + 1
    return [len(part) for part in np.split(ranked, cuts)]


def _settled(ranked: np.ndarray, eps: float) -> bool:
    """Return whether sorted opinions are in camps that no meeting can change."""
    cuts = np.flatnonzero(np.diff(ranked) >= eps)
    lowest = ranked[np.concatenate([[0], cuts + 1])]
    highest = ranked[np.concatenate([cuts, [len(ranked) - 1]])]
    return bool((highest - lowest <= SETTLED).all())


def _means_of_neighbours(ranked: np.ndarray, eps: float) -> np.ndarray:
    """Return the mean of the opinions within eps of each sorted opinion, (n,).

    The plain lines, which need n * n numbers:
        near = np.abs(ranked[:, None] - ranked) <= eps
        return near @ ranked / near.sum(1)
    """
    low, high = _within(ranked, eps)
    shifted = ranked - ranked[0]  # from the lowest, so that fewer digits are lost
    sums = np.concatenate([[0.0], shifted.cumsum()])
    means = ranked[0] + (sums[high] - sums[low]) / (high - low)
    agreed = ranked[high - 1] == ranked[low]  # these stay exactly as they are
    return np.where(agreed, ranked, means)


def _within(ranked: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first position, and one past the last, within eps of each, (n,) each.

    ranked - eps is rounded, and may disagree at the edge with |x - y| <= eps, which is
    the definition; so the edge is looked at again in those terms.
    """
    low = np.searchsorted(ranked, ranked - eps)
    before = ranked[np.maximum(low - 1, 0)]
    is_near = ranked - before <= eps  # one more belongs to the stretch
    low = np.where(is_near, np.searchsorted(ranked, before), low)
    edge = ranked[low]
    is_far = ranked - edge > eps  # the first does not belong to it
    low = np.where(is_far, np.searchsorted(ranked, edge, side="right"), low)
    # Nearness is mutual: i reaches up to the last j that reaches down to i.
    high = np.searchsorted(low, np.arange(len(low)), side="right")
    return low, high


def _numbers(name: str, values: Any) -> np.ndarray:
    """Return finite numbers of any library as a new float64 array."""
    array = np.array(as_array(name, values, dtype=float))
    finite(name, array)
    return array


def _checked_weights(weights: Any, opinions: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return W, its rows summing to 1 exactly as far as digits go, and the opinions."""
    W = _numbers("weights", weights)
    x = _numbers("opinions", opinions)
    n = len(W) if W.ndim else 0
    square = W.ndim == 2 and n > 0 and W.shape == (n, n)
    require(square, f"weights must be (n, n), n at least 1; got shape {W.shape}")
    require(
        x.ndim in (1, 2) and len(x) == n,
        f"opinions must be ({n},) or ({n}, topics), as weights; got shape {x.shape}",
    )
    sums = W.sum(1)
    require(
        (W >= 0).all() and np.allclose(sums, 1, rtol=0, atol=ROUNDING),
        "weights must not be negative and each row must sum to 1; "
        "divide each row by its sum",
    )
    return W / sums[:, None], x


def _checked_susceptibility(susceptibility: Any, W: np.ndarray) -> np.ndarray:
    """Return one number in [0, 1] for each person, (n,), for which there is a limit."""
    n = len(W)
    lam = _numbers("susceptibility", susceptibility)
    shape = f"susceptibility must be one number or ({n},); got shape {lam.shape}"
    require(lam.shape in ((), (n,)), shape)
    inside = ((lam >= 0) & (lam <= 1)).all()
    span = f"{lam.min():g} to {lam.max():g}"
    require(inside, f"susceptibility must lie in [0, 1]; got {span}")
    lam = np.broadcast_to(lam, n)
    anchored = _listens_to_somebody_who_holds_on(W, lam)
    require(
        anchored.all(),
        f"susceptibility is 1 for {(~anchored).sum()} people who listen to nobody "
        "below 1, so the start alone decides; use degroot for them, or let "
        "somebody hold on",
    )
    return lam


def _listens_to_somebody_who_holds_on(W: np.ndarray, lam: np.ndarray) -> np.ndarray:
    """Return who is below 1, or listens, through others, to somebody who is, (n,)."""
    reached = lam < 1
    while True:
        further = reached | (W[:, reached] > 0).any(1)
        if np.array_equal(further, reached):
            return reached
        reached = further


def _checked_opinions(opinions: Any) -> np.ndarray:
    x = _numbers("opinions", opinions)
    given = f"opinions must be (n,), at least one; got shape {x.shape}"
    require(x.ndim == 1 and len(x) > 0, given)
    return x
