"""Is the answer right, and if not, why? Checks for the exercises on polarization."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smallscale.notebook.exercises import NOT_YET, matching_message
from smallscale.simulation.assistants.life import live
from smallscale.simulation.assistants.rules import Rules
from smallscale.simulation.assistants.world import World
from smallscale.simulation.opinions import friedkin_johnsen

RIGHT_POINT = "Right, also for other people and other numbers of them."
RESTARTED = "Right for three people, wrong for others: use W, lam and x0 as given."
LEAST_GAIN = 0.1  # of the error, that the ranking must take away
MOST_COST = 0.07  # of the clicks, that it may cost


def check_fixed_point(solve: Callable[..., Any]) -> str:
    """Check a function (W, lam, x0) -> the limit of Friedkin and Johnsen's model.

    W: (n, n), lam: (n,), x0: (n,).
    """
    W = np.array([[0.2, 0.5, 0.3], [0.6, 0.4, 0.0], [0.1, 0.1, 0.8]])
    lam = np.array([0.9, 0.5, 0.2])
    x0 = np.array([10.0, 50.0, 90.0])
    one = np.eye(3)
    held = (1 - lam) * x0
    message = matching_message(
        _answer(solve, W, lam, x0),
        {
            RIGHT_POINT: friedkin_johnsen(W, lam, x0),
            "That is the first step, lam W x0 + (1 - lam) x0. The limit is the x that "
            "a step leaves as it is.": lam * (W @ x0) + held,
            "Here people hold on to nothing: x0 must be weighted by 1 - lam on the "
            "right-hand side.": np.linalg.solve(one - lam[:, None] * W, x0),
            "lam multiplies the columns of W, so it says how much one is listened to. "
            "Row i must be multiplied by person i's own lam.": np.linalg.solve(
                one - W * lam, held
            ),
            "lam and 1 - lam are the wrong way round: lam is how much one moves, and "
            "with lam = 0 one stays.": np.linalg.solve(
                one - (1 - lam)[:, None] * W, lam * x0
            ),
            "These are the first opinions: nobody has listened to anybody.": x0,
            "That is DeGroot's limit, where nobody holds on to their start.": np.full(
                3, _degroots(W) @ x0
            ),
        },
        shape="One opinion for each person: the shape must be (3,).",
        otherwise=(
            "For three people the limit differs. Put it into one step and see whether "
            "it stays."
        ),
    )
    if message != RIGHT_POINT:
        return message
    rng = np.random.default_rng(0)
    for n in (1, 6):
        other = rng.random((n, n)) + 0.1
        other /= other.sum(1, keepdims=True)
        some, start = rng.random(n), rng.random(n)
        again = _answer(solve, other, some, start)
        expected = friedkin_johnsen(other, some, start)
        if np.shape(again) != (n,) or not np.allclose(again, expected, atol=1e-6):
            return RESTARTED
    return RIGHT_POINT


def _answer(solve: Callable[..., Any], *arguments: np.ndarray) -> Any:
    """Return what a function makes of copies of these arrays; None where it fails to
    fit other numbers of people."""
    try:
        return solve(*(array.copy() for array in arguments))
    except (ValueError, IndexError, np.linalg.LinAlgError):
        return np.empty(0)


def _degroots(W: np.ndarray) -> np.ndarray:
    weights: np.ndarray = np.linalg.matrix_power(W, 1 << 12)[0]
    return weights


def check_ranking(rank: Callable[[np.ndarray], Any], worlds: Sequence[World]) -> str:
    """Check a function of foretold clicks, (people, items) -> scores of that shape: in
    these worlds people must be less wrong than with engagement, by a tenth, and the
    operator must keep 93 % of the clicks.
    """
    if rank(np.zeros((4, 30))) is None:
        return NOT_YET
    try:
        lives = [live(world, Rules(), rank) for world in worlds]
    except ValueError as refusal:
        return f"That is no ranking: {refusal}."
    before = [live(world, Rules()).measures() for world in worlds]
    after = [lived.measures() for lived in lives]
    clicks = _mean(after, "clicks") / _mean(before, "clicks")
    error = _mean(after, "error") / _mean(before, "error")
    found = f"People are {error:.0%} as wrong, for {clicks:.0%} of the clicks."
    if error > 1 - LEAST_GAIN and clicks < 1 - MOST_COST:
        return f"{found} Neither is enough: at most 90 %, for at least 93 %, is asked."
    if error > 1 - LEAST_GAIN:
        return (
            f"{found} They must be at most 90 % as wrong. What most people like is not "
            "what is true: which items do the two camps like equally?"
        )
    if clicks < 1 - MOST_COST:
        return (
            f"{found} The clicks must stay at 93 % or more: add to what the reader "
            "likes, and do not replace it."
        )
    return f"Right. {found}"


def _mean(found: Sequence[dict[str, float]], name: str) -> float:
    return float(np.mean([measures[name] for measures in found]))
