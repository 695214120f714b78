"""Is a wrong answer told why it is wrong?"""

from typing import Any

import numpy as np
import pytest

from smallscale.notebook.exercises import NOT_YET
from smallscale.simulation import friedkin_johnsen
from smallscale.simulation.assistants import make_world
from smallscale.simulation.assistants.exercises import (
    RESTARTED,
    RIGHT_POINT,
    check_fixed_point,
    check_ranking,
)

HARD_CODED = friedkin_johnsen(
    [[0.2, 0.5, 0.3], [0.6, 0.4, 0.0], [0.1, 0.1, 0.8]], [0.9, 0.5, 0.2], [10, 50, 90]
)


def solved(W: np.ndarray, lam: np.ndarray, x0: np.ndarray) -> np.ndarray:
    return np.linalg.solve(np.eye(len(W)) - lam[:, None] * W, (1 - lam) * x0)


def iterated(W: np.ndarray, lam: np.ndarray, x0: np.ndarray) -> np.ndarray:
    x = x0
    for _ in range(3000):
        x = lam * (W @ x) + (1 - lam) * x0
    return x


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda W, lam, x0: None, NOT_YET),
        (lambda W, lam, x0: x0[:2], "the shape must be"),
        (lambda W, lam, x0: lam * (W @ x0) + (1 - lam) * x0, "the first step"),
        (
            lambda W, lam, x0: np.linalg.solve(np.eye(3) - lam[:, None] * W, x0),
            "hold on to nothing",
        ),
        (
            lambda W, lam, x0: np.linalg.solve(np.eye(3) - W * lam, (1 - lam) * x0),
            "multiplies the columns",
        ),
        (lambda W, lam, x0: solved(W, 1 - lam, x0), "wrong way round"),
        (lambda W, lam, x0: x0, "first opinions"),
        (
            lambda W, lam, x0: np.linalg.matrix_power(W, 4096) @ x0,
            "DeGroot's limit",
        ),
        (lambda W, lam, x0: W @ x0, "Put it into one step"),
        (lambda W, lam, x0: HARD_CODED, RESTARTED),
        (lambda W, lam, x0: solved(W, np.array([0.9, 0.5, 0.2]), x0), RESTARTED),
        (solved, RIGHT_POINT),
        (iterated, RIGHT_POINT),
    ],
)
def test_each_wrong_fixed_point_is_told_why(answer: Any, says: str) -> None:
    assert says in check_fixed_point(answer)


def standard(scores: np.ndarray) -> np.ndarray:
    centred = scores - scores.mean(-1, keepdims=True)
    return centred / centred.std(-1, keepdims=True).clip(1e-9)


def less_divisive(clicks: np.ndarray) -> np.ndarray:
    """Rank down what lies far out on the direction in which people differ most."""
    apart = clicks - clicks.mean(0)
    apart = apart - apart.mean(1, keepdims=True)
    direction = np.linalg.svd(apart, full_matrices=False)[2][0]
    return standard(clicks) - 0.5 * standard(np.abs(direction))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda clicks: None, NOT_YET),
        (lambda clicks: clicks[:, :3], "That is no ranking: scores must be"),
        (lambda clicks: clicks, "100% as wrong, for 100% of the clicks. They must"),
        (lambda clicks: np.tile(clicks.mean(0), (len(clicks), 1)), "Neither is enough"),
        (lambda clicks: np.zeros(clicks.shape), "The clicks must stay at 93 %"),
        (lambda clicks: standard(clicks) + standard(clicks.mean(0)), "They must be"),
        (
            lambda clicks: np.random.default_rng(0).random(clicks.shape),
            "The clicks must stay",
        ),
        (less_divisive, "Right. People are"),
    ],
)
def test_each_wrong_ranking_is_told_why(answer: Any, says: str) -> None:
    worlds = [make_world(120, 40, seed=seed) for seed in (100, 101)]
    assert says in check_ranking(answer, worlds)
