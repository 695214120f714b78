"""Is leaving one point out what its definition says?"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smallscale.attribution import (
    leave_one_out,
)
from tests.attribution.scores.small_problems import (
    cross_entropy,
    examples,
)


def mean_model(x: Tensor, y: Tensor) -> Any:
    """Predicts the mean of the targets, whatever the input."""
    return lambda inputs: y.mean().expand(len(inputs))


def square(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square()


def test_leave_one_out_by_hand() -> None:
    # The mean of 1, 2, 6 is 3; of the test targets 3 and 5 the losses are 0 and 4.
    # Without 1: mean 4, losses 1 and 1. Without 2: 3.5, .25 and 2.25. Without 6: 1.5,
    # 2.25 and 12.25.
    train, test = (
        (torch.zeros(3, 1), torch.tensor([1.0, 2, 6])),
        (torch.zeros(2, 1), torch.tensor([3.0, 5])),
    )
    scores = leave_one_out(mean_model, square, train, test)
    assert scores.tolist() == [[1, -3], [0.25, -1.75], [2.25, 8.25]]
    assert leave_one_out(
        mean_model, square, train, test, points=[2, 0, 2]
    ).tolist() == [
        [2.25, 8.25],
        [1, -3],
        [2.25, 8.25],
    ]
    assert leave_one_out(mean_model, square, train, test, points=[]).shape == (0, 2)
    lists = leave_one_out(
        mean_model, square, ([[0.0]] * 3, [1.0, 2.0, 6.0]), ([[0.0]] * 2, [3.0, 5.0])
    )
    assert torch.equal(scores, lists)


def test_leave_one_out_reads_a_network_in_eval_mode() -> None:
    def fit(x: Tensor, y: Tensor) -> nn.Module:
        return nn.Sequential(nn.Linear(5, 3), nn.Dropout(0.9)).train()

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = fit(*examples())
    scores = leave_one_out(
        lambda x, y: model, cross_entropy, examples(), examples(6, seed=9)
    )  # float64 on float32
    assert (scores == 0).all()


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([3], "points must lie in 0..2, the training points; got 3 to 3"),
        ([-1], "points must lie in 0..2"),
        ([0.5], "points must be a list of positions"),
        ([True, False, True], "points must be a list of positions"),
        (1, "points must be a list of positions"),
    ],
)
def test_points_that_cannot_be_left_out_say_why(points: Any, message: str) -> None:
    train = (torch.zeros(3, 1), torch.tensor([1.0, 2, 6]))
    with pytest.raises(ValueError, match=message):
        leave_one_out(mean_model, square, train, train, points)


def test_nothing_left_and_a_mean_loss_say_why() -> None:
    one = (torch.zeros(1, 1), torch.ones(1))
    with pytest.raises(ValueError, match="train must hold at least 2 examples"):
        leave_one_out(mean_model, square, one, one)
    three = (torch.zeros(3, 1), torch.ones(3))
    with pytest.raises(ValueError, match="loss must return one value per example"):
        leave_one_out(mean_model, lambda o, t: square(o, t).mean(), three, three)


def test_leaving_out_gives_the_fit_a_copy() -> None:
    train = (torch.zeros(3, 1), torch.tensor([1.0, 2, 6]))

    def fit(x: Tensor, y: Tensor) -> Any:
        y -= 1
        mean = y.mean() + 1
        return lambda inputs: mean.expand(len(inputs))

    scores = leave_one_out(fit, square, train, (torch.zeros(1, 1), torch.tensor([3.0])))
    assert scores.flatten().tolist() == [1, 0.25, 2.25]
    assert train[1].tolist() == [1, 2, 6]


def test_a_fit_that_fails_without_a_point_says_which() -> None:
    train = (torch.zeros(3, 1), torch.tensor([1.0, 2, 6]))

    def fit(x: Tensor, y: Tensor) -> Any:
        value = y.mean() if 2 in y else torch.tensor(torch.nan)
        return lambda inputs: value.expand(len(inputs))

    with pytest.raises(
        ValueError, match=r"fit without training point 1 .*test point 0"
    ):
        leave_one_out(fit, square, train, train)
    with pytest.raises(ValueError, match="fit must return a model that can be called"):
        leave_one_out(lambda x, y: 3, square, train, train)


def test_zero_or_one_loss_is_left_out_in_numbers() -> None:
    train = (torch.zeros(3, 1), torch.tensor([1.0, 2, 6]))
    scores = leave_one_out(mean_model, lambda o, t: o > t, train, train)
    # The mean is 3, above 1 and 2; without 1, 2, 6: 4, 3.5, 1.5.
    assert scores.tolist() == [[0, 0, 0], [0, 0, 0], [0, -1, 0]]
