"""Is a loss that is not one finite value of each example refused, with the point?"""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smallscale.attribution import (
    grad_dot,
    metagradient,
    retrain,
    tracin,
)
from tests.attribution.scores.every_method import (
    BY_TRAINING_POINT,
    METHODS,
    Method,
    by_influence,
    column,
    line,
    squares,
)
from tests.attribution.scores.small_problems import CONFIG

WRONG = {
    "all pairs": lambda o, t: (o - t) ** 2,
    "a mean of all pairs": lambda o, t: ((o - t) ** 2).mean(1),
    "a mean of all pairs, the other way": lambda o, t: ((o - t) ** 2).mean(0),
    "torch's mean": lambda o, t: F.mse_loss(o[:, 0], t),
    "torch's sum": lambda o, t: F.mse_loss(o[:, 0], t, reduction="sum"),
    "the mean, a list of one": lambda o, t: F.mse_loss(o[:, 0], t)[None],
    "the mean for each": lambda o, t: F.mse_loss(o[:, 0], t).expand(len(t)),
    "divided by n": lambda o, t: (o[:, 0] - t) ** 2 / len(t),
    "less the batch's mean": lambda o, t: (o[:, 0] - t - (o[:, 0] - t).mean()) ** 2,
    "two for each": lambda o, t: ((o - t[:, None]) ** 2).expand(-1, 2),
    "a row": lambda o, t: ((o[:, 0] - t) ** 2)[None],
    "complex": lambda o, t: torch.complex(o[:, 0] - t, o[:, 0]),
}


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("loss", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("method", METHODS)
def test_a_loss_that_is_not_one_value_per_example_is_refused(
    method: Method, loss: Any
) -> None:
    with pytest.raises(ValueError, match="loss must"):
        method(line(), loss, column(), column(5))


@pytest.mark.parametrize("method", METHODS)
def test_a_column_of_losses_is_the_list_of_them(method: Method) -> None:
    def listed(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs[:, 0] - targets) ** 2

    def in_a_column(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets[:, None]) ** 2

    found = [
        method(line(), loss, column(), column(5)) for loss in (listed, in_a_column)
    ]
    if isinstance(found[0], dict):
        found = [stack["weight"] for stack in found]
    torch.testing.assert_close(*found)


def test_weights_multiply_a_column_of_losses_example_by_example() -> None:
    weights = torch.arange(12.0)[None] / 6
    stacks = [
        retrain(line(), loss, column(), CONFIG, weights=weights)
        for loss in (
            lambda o, t: (o[:, 0] - t) ** 2,
            lambda o, t: (o - t[:, None]) ** 2,
        )
    ]
    torch.testing.assert_close(stacks[0]["weight"], stacks[1]["weight"])


@pytest.mark.parametrize("method", BY_TRAINING_POINT)
@pytest.mark.parametrize(
    "loss",
    [
        lambda o, t: (o[:, 0].detach() - t) ** 2,
        lambda o, t: (o[:, 0] > t).double(),
        lambda o, t: torch.zeros(len(t)),
    ],
)
def test_a_loss_without_slope_is_refused(method: Method, loss: Any) -> None:
    with pytest.raises(ValueError, match="loss must be differentiable in the outputs"):
        method(line(), loss, column(), column(5))


def log_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """A squared error, and infinite where the target is -1."""
    return (outputs[:, 0] - targets) ** 2 - torch.log1p(targets)


def cusp(outputs: Tensor, targets: Tensor) -> Tensor:
    """A finite loss, whose slope is 0 / 0 where the target is -1."""
    z = outputs[:, 0]
    return ((z - z.detach()) ** 2 + (targets + 1) ** 2).sqrt() + (z - targets) ** 2


@pytest.mark.parametrize("method", BY_TRAINING_POINT)
@pytest.mark.parametrize(("loss", "what"), [(log_loss, "loss"), (cusp, "gradient")])
def test_one_infinite_training_loss_or_gradient_is_refused_by_its_point(
    method: Method, loss: Any, what: str
) -> None:
    x, y = column()
    y[7] = -1
    with pytest.raises(
        ValueError,
        match=f"({what}|second derivative) must be .* training point 7 is (inf|nan)",
    ):
        method(line(), loss, (x, y), column(5))


def test_a_diverging_run_is_refused() -> None:
    config = replace(CONFIG, lr=1e3, epochs=40)
    for fit in (retrain, metagradient):
        arguments = (column(5),) if fit is metagradient else ()
        with pytest.raises(ValueError, match=r"the run diverges|lr|point \d+ is"):
            fit(line(), squares, column(), *arguments, config=config)  # type: ignore[operator]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", [lambda o, t: list(squares(o, t)), lambda o, t: None])
def test_a_loss_that_is_no_tensor_is_refused(method: Method, loss: Any) -> None:
    with pytest.raises(ValueError, match="loss must return one value per example, as"):
        method(line(), loss, column(), column(5))


@pytest.mark.parametrize(
    ("method", "size"), [(grad_dot, 1e37), (tracin, 1e37), (by_influence, 1e40)]
)
def test_scores_beyond_the_range_of_their_type_are_refused(
    method: Method, size: float
) -> None:
    model = line().float()
    with pytest.raises(
        ValueError, match="score must be finite for each point of train"
    ):
        method(model, lambda o, t: squares(o, t) * size, column(), column(5))
