"""What becomes of opinions that are averaged? Three models whose outcome can be written down.

DeGroot 1974; Friedkin and Johnsen 1990; Hegselmann and Krause 2002.
"""

from typing import Any

import numpy as np

from smallscale.simulation.checks import finite, require, whole

ROUNDING = 1e-6  # how far from 1 a row's sum may be: single precision
SQUARED = 60  # times: the power is 2^60, after which not even rounding errors are still to be mixed


def degroot(weights: Any, opinions: Any) -> np.ndarray:
    """The opinions that x <- W x ends in (DeGroot 1974): in one closed group pi @ x for all, pi the stationary weights.

    weights W: (n, n), rows sum to 1; opinions x: (n,) or (n, topics). Several closed groups each reach a consensus of
    their own, and people outside them end at a mixture of these. Returns the shape of opinions.
    Raises ValueError for weights that are no such matrix, counts that differ, and where opinions do not converge:
    some closed group takes turns (has a period above 1), as two who each copy the other.
    """
    W, x = _weights(weights, opinions)
    limit = W
    for _ in range(SQUARED):
        limit = limit @ limit
        limit /= limit.sum(
            1, keepdims=True
        )  # else rounding errors would grow as the power does
    advice = "a closed group takes turns, as two who each copy the other; give one of them a weight on their own opinion"
    require(
        np.allclose(W @ limit, limit, rtol=0, atol=ROUNDING),
        f"opinions do not converge: {advice}",
    )
    return limit @ x


def friedkin_johnsen(weights: Any, susceptibility: Any, opinions: Any) -> np.ndarray:
    """The opinions that x <- L W x + (I - L) x0 ends in: (I - L W)^-1 (I - L) x0, L = diag(susceptibility).

    weights W: (n, n), rows sum to 1; susceptibility: (n,) or one number, in [0, 1], 0 for who never moves;
    opinions x0: (n,) or (n, topics). Returns the shape of opinions.
    Raises ValueError for values that cannot be, counts that differ, and where a group listens to nobody who holds on
    to anything: with susceptibility 1 throughout, the limit is DeGroot's, if there is one.
    """
    W, x0 = _weights(weights, opinions)
    lam = finite("susceptibility", susceptibility)
    require(
        lam.shape in ((), (len(W),)),
        f"susceptibility must be one number or ({len(W)},); got shape {lam.shape}",
    )
    require(
        ((lam >= 0) & (lam <= 1)).all(),
        f"susceptibility must lie in [0, 1]; got {lam.min():g} to {lam.max():g}",
    )
    lam = np.broadcast_to(lam, len(W))
    reach = lam < 1  # who listens, through others, to somebody who holds on
    while (grown := reach | (W[:, reach] > 0).any(1)).sum() > reach.sum():
        reach = grown
    advice = "the start alone decides; use degroot for them, or let somebody hold on"
    require(
        reach.all(),
        f"susceptibility is 1 for {(~reach).sum()} people who listen to nobody below 1, so {advice}",
    )
    start = ((1 - lam) * x0.T).T
    return np.linalg.solve(np.eye(len(W)) - lam[:, None] * W, start)


def bounded_confidence(opinions: Any, eps: float, steps: int) -> np.ndarray:
    """The opinions (n,) after `steps` rounds in which each takes the mean of all within eps, its own included.

        x_i <- mean of x_j over |x_i - x_j| <= eps        (Hegselmann and Krause 2002, eq. 3), all at once

    Opinions on a line keep their order, so the neighbours of each are a stretch of the sorted opinions, and a round
    costs n log n. Raises ValueError for opinions that are not finite numbers (n,), eps < 0, or steps < 0.
    """
    x, steps = finite("opinions", opinions), whole("steps", steps, 0)
    require(
        x.ndim == 1 and len(x),
        f"opinions must be (n,), at least one; got shape {x.shape}",
    )
    require(0 <= eps < np.inf, f"eps must be finite and at least 0; got {eps}")
    order = np.argsort(x, kind="stable")
    ranked = x[order]
    for _ in range(steps):
        low, high = _within(ranked, eps)
        sums = np.concatenate(
            [[0.0], (ranked - ranked[0]).cumsum()]
        )  # from the lowest: fewer digits are lost
        after = ranked[0] + (sums[high] - sums[low]) / (high - low)
        after = np.where(
            ranked[high - 1] == ranked[low], ranked, after
        )  # agreed already: exactly as they are
        if np.array_equal(after, ranked):
            break  # a fixed point stays
        ranked = np.sort(after)  # rounding may swap two that agree
    result = np.empty_like(x)
    result[order] = ranked
    return result


def _within(ranked: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """The first, and one past the last, of those within eps of each of the sorted opinions (n,).

    x - eps is rounded, and so may disagree with |x - y| <= eps at the edge, so the edge is looked at in those terms.
    """
    low = np.searchsorted(ranked, ranked - eps)
    before = ranked[np.maximum(low - 1, 0)]
    low = np.where(ranked - before <= eps, np.searchsorted(ranked, before), low)
    at = ranked[low]
    low = np.where(ranked - at > eps, np.searchsorted(ranked, at, side="right"), low)
    # Being within eps is mutual: i reaches up to the last j that reaches down to i.
    return low, np.searchsorted(low, np.arange(len(low)), side="right")


def _weights(weights: Any, opinions: Any) -> tuple[np.ndarray, np.ndarray]:
    W, x = finite("weights", weights), finite("opinions", opinions)
    require(
        W.ndim == 2 and 0 < len(W) == W.shape[1],
        f"weights must be (n, n), n at least 1; got shape {W.shape}",
    )
    shapes, sums = f"({len(W)},) or ({len(W)}, topics)", W.sum(1)
    require(
        x.ndim in (1, 2) and len(x) == len(W),
        f"opinions must be {shapes}, as weights; got shape {x.shape}",
    )
    right = (W >= 0).all() and np.allclose(sums, 1, rtol=0, atol=ROUNDING)
    require(
        right,
        "weights must not be negative and each row must sum to 1; divide each row by its sum",
    )
    return W / sums[:, None], x
