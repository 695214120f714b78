"""Are scores that are made of rounding said to be?

Two nets of one layer are certain of some points: at logits 40, 0, 0 the probability of
the first class is 1 in any precision, and at 13, 0, 0 it is 1 - 5e-6, which single
precision knows to a hundredth and double precision well.
"""

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smallscale.attribution import grad_dot, influence, metagradient, tracin, trak
from smallscale.attribution.scores.gradients import cross_entropy
from smallscale.attribution.scores.rounding import rounding_slopes
from smallscale.attribution.scores.training_config import TrainingConfig

SMALL_STEP = TrainingConfig(epochs=1, lr=1e-4)


def certain(logit: float, dtype: torch.dtype = torch.float64) -> nn.Module:
    """Answers its inputs (n, 3) times `logit`."""
    model = nn.Linear(3, 3).to(dtype)
    with torch.no_grad():
        model.weight.copy_(logit * torch.eye(3))
        model.bias.zero_()
    return model


def doubtful(n: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return x / 40, torch.randint(3, (n,), generator=generator)


SURE = (torch.eye(3, dtype=torch.float64), torch.arange(3))
MIXED = tuple(torch.cat(parts) for parts in zip(doubtful(4), SURE, strict=True))


def by_metagradient(model: nn.Module, loss: Any, train: Any, test: Any) -> Tensor:
    return metagradient(model, loss, train, test, config=SMALL_STEP)


def by_influence(model: nn.Module, loss: Any, train: Any, test: Any) -> Tensor:
    return influence(model, loss, train, test, damping=0.1)


def by_trak(model: nn.Module, loss: Any, train: Any, test: Any) -> Tensor:
    return trak(model, loss, train, test, ridge=0.1)


METHODS = [by_metagradient, by_influence, by_trak, grad_dot, tracin]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_certain_test_point_is_named(method: Any, dtype: torch.dtype) -> None:
    model = certain(40, dtype)
    match = "3 of 7 test points, such as test point 4, are rounding"
    with pytest.warns(UserWarning, match=match):
        scores = method(model, cross_entropy, doubtful(), MIXED)
    assert scores[:, :4].abs().min() > 0  # the others keep theirs


@pytest.mark.parametrize("method", [grad_dot, tracin, by_metagradient])
def test_double_precision_is_the_cure_where_it_is_one(method: Any) -> None:
    with pytest.warns(UserWarning, match="compute in double precision"):
        method(certain(13, torch.float32), cross_entropy, doubtful(), SURE)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        method(certain(13), cross_entropy, doubtful(), SURE)


@pytest.mark.parametrize("method", [by_influence, by_trak])
def test_what_computes_in_double_precision_needs_no_warning(method: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        method(certain(13, torch.float32), cross_entropy, doubtful(), SURE)


def test_an_exact_fit_is_named_too() -> None:
    # Residuals of a line through its points are rounding; one of 0.1 is not.
    x = torch.tensor([[0.1], [0.2], [0.3]], dtype=torch.float64)
    line = nn.Linear(1, 1, bias=False).double()
    with torch.no_grad():
        line.weight.fill_(3.0)

    def square(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs[..., 0] - targets) ** 2

    y = torch.tensor([0.3, 0.6, 1.0], dtype=torch.float64)
    with pytest.warns(UserWarning, match="2 of 3 test points, such as test point 0"):
        grad_dot(line, square, (x, y + 1), (x, y))


@pytest.mark.parametrize("method", [grad_dot, tracin, by_metagradient])
def test_training_points_are_named_where_all_are_rounding(method: Any) -> None:
    with pytest.warns(UserWarning, match="3 of 3 training points"):
        method(certain(40), cross_entropy, SURE, doubtful())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        method(certain(40), cross_entropy, MIXED, doubtful())  # their scores are near 0


@pytest.mark.parametrize("width", [40, 5000])
@pytest.mark.parametrize("method", [grad_dot, tracin, influence, by_influence])
def test_a_model_through_all_training_points_is_named(method: Any, width: int) -> None:
    """The residuals of the shortest weights through 20 points are rounding."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(25, width, generator=generator, dtype=torch.float64)
    y = torch.randn(25, generator=generator, dtype=torch.float64)
    train, test = (x[:20], y[:20]), (x[20:], y[20:])
    model = nn.Linear(width, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_((torch.linalg.pinv(train[0]) @ train[1])[None])

    def half_square(outputs: Tensor, targets: Tensor) -> Tensor:
        return 0.5 * (outputs[..., 0] - targets) ** 2

    with pytest.warns(UserWarning, match="20 of 20 training points"):
        method(model, half_square, train, test)


def least_squares(kind: torch.dtype, n: int, width: int = 40) -> tuple[nn.Module, Any]:
    """The shortest weights on n random points, stored in this type, and the points."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n + 5, width, generator=generator, dtype=torch.float64)
    y = torch.randn(n + 5, generator=generator, dtype=torch.float64)
    model = nn.Linear(width, 1, bias=False).to(kind)
    with torch.no_grad():
        model.weight.copy_((torch.linalg.pinv(x[:n]) @ y[:n])[None])
    return model, (x.float(), y.float())


def half_square(outputs: Tensor, targets: Tensor) -> Tensor:
    return 0.5 * (outputs[..., 0] - targets) ** 2


def in_double(model: nn.Module, loss: Any, train: Any, test: Any) -> Tensor:
    return grad_dot(model.double(), loss, train, test)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("method", [by_influence, in_double])
def test_weights_through_all_points_are_rounded_as_they_are_stored(
    method: Any, kind: torch.dtype
) -> None:
    """Double precision tells residuals of 1e-7 well: those of weights in single.

    A model in half precision that is made double looks as if it were a single one."""
    if (method, kind) == (in_double, torch.bfloat16):
        method = grad_dot
    model, (x, y) = least_squares(kind, 20)
    match = f"20 of 20 training points.*{str(kind)[6:]} tells.*train in double"
    with pytest.warns(UserWarning, match=match):
        method(model, half_square, (x[:20], y[:20]), (x[20:], y[20:]))
    with pytest.warns(UserWarning, match="5 of 5 test points.*train in double"):
        method(model, half_square, (x[20:], y[20:]), (x[:5], y[:5]))


@pytest.mark.parametrize("method", [by_influence, in_double])
def test_weights_that_leave_residuals_are_not_named(method: Any) -> None:
    """By hand: 100 points for 40 weights; single precision moves slopes by 1e-7."""
    model, (x, y) = least_squares(torch.float32, 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        method(model, half_square, (x[:100], y[:100]), (x[100:], y[100:]))


def test_a_run_from_weights_in_half_precision_does_not_end_at_such_weights() -> None:
    """Its last weights are single ones, though the test points fit the first ones."""
    model, (x, y) = least_squares(torch.bfloat16, 20)
    config = TrainingConfig(epochs=1, lr=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train, test = (x[20:], y[20:]), (x[:5], y[:5])
        metagradient(model, half_square, train, test, config=config)


def test_one_certain_training_point_is_enough_where_all_scores_rest_on_it() -> None:
    with pytest.warns(UserWarning, match="3 of 7 training points.*training point 4"):
        by_trak(certain(40), cross_entropy, MIXED, doubtful())


def test_a_slope_of_zero_is_no_rounding() -> None:
    def hinge(outputs: Tensor, targets: Tensor) -> Tensor:
        return (1 - outputs * targets).clamp_min(0)

    outputs, targets = torch.tensor([3.0, 0.5]), torch.tensor([1.0, 1.0])
    assert not rounding_slopes(hinge, outputs, targets).any()
