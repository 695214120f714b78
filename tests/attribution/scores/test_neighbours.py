"""Are the values of the vote the Shapley values of its game?"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smallscale.attribution import (
    knn_shapley,
    shapley,
)


@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 100))
def test_knn_shapley_is_the_shapley_value_of_its_game(
    n: int, k: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    x, y = (
        random.integers(0, 4, size=(n, 2)),
        random.integers(0, 2, size=n),
    )  # whole numbers: distances tie
    test_x, test_y = random.integers(0, 4, size=(3, 2)), np.array([0, 1, 1])
    scores = knn_shapley(x, y, test_x, test_y, k)
    assert scores.shape == (n, 3)
    for j in range(3):

        def vote(players: frozenset[int], j: int = j) -> float:
            near = sorted(players, key=lambda i: (np.sum((x[i] - test_x[j]) ** 2), i))[
                :k
            ]
            return sum(y[i] == test_y[j] for i in near) / k

        np.testing.assert_allclose(scores[:, j], shapley(vote, n), atol=1e-12)


def test_knn_shapley_by_hand_and_of_images() -> None:
    # One test point at 0, k = 1, labels right, wrong, right from near to far:
    # s3 = 1/3; s2 = s3 + (0 - 1) / 2 = -1/6; s1 = s2 + 1 = 5/6.
    images = torch.tensor([3.0, 1.0, 2.0]).view(3, 1, 1, 1)
    scores = knn_shapley(images, ["a", "a", "b"], torch.zeros(1, 1, 1, 1), ["a"], 1)
    assert scores[:, 0].tolist() == pytest.approx([1 / 3, 5 / 6, -1 / 6])


@pytest.mark.parametrize(
    ("train_x", "train_y", "test_x", "k", "message"),
    [
        ([[1.0]], [0], [[1.0]], 0, "k must be a whole number, at least 1; got 0"),
        ([[1.0]], [0], [[1.0]], 1.5, "k must be a whole number"),
        ([[1.0]], [0, 1], [[1.0]], 1, "train_x and train_y must have the same length"),
        (
            [],
            [],
            [[1.0]],
            1,
            "train_x and train_y must have the same length, at least 1",
        ),
        (
            [[1.0]],
            [0],
            [[1.0, 2]],
            1,
            "train_x and test_x must have the same number of values a point; "
            "got 1 and 2",
        ),
        ([[math.nan]], [0], [[1.0]], 1, "train_x must be finite"),
    ],
)
def test_votes_that_cannot_be_say_why(
    train_x: Any, train_y: Any, test_x: Any, k: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        knn_shapley(train_x, train_y, test_x, [0], k)


def test_masked_labels_are_refused():
    masked = np.ma.array([0, 1], mask=[False, True])
    with pytest.raises(ValueError, match="train_y must not be masked"):
        knn_shapley([[1.0], [2.0]], masked, [[0.0]], [0], k=1)
