"""Is a model that no score can take refused in our words?"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.attribution.scores.every_method import (
    BY_TRAINING_POINT,
    METHODS,
    Method,
    column,
    line,
    squares,
)


class Half(nn.Module):
    """Gives what its `give` makes of a line's outputs."""

    def __init__(self, give: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.line, self.give = line(), give

    def forward(self, x: Tensor) -> Any:
        return self.give(self.line(x))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("give", "message"),
    [
        (lambda o: (o, o), "model must return a tensor of outputs; got tuple"),
        (lambda o: {"logits": o}, "model must return a tensor of outputs; got dict"),
        (lambda o: o.mean(), "model must return a row of outputs for each input"),
        (lambda o: o[None], "model must return a row of outputs for each input"),
        (lambda o: o - o.mean(0), "model must answer each input on its own"),
    ],
)
def test_models_without_a_row_of_outputs_for_each_input_are_refused(
    method: Method, give: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        method(Half(give), squares, column(), column(5))


@pytest.mark.parametrize("method", METHODS)
def test_the_callers_examples_and_model_stay_as_they_are(method: Method) -> None:
    train, test, model = column(), column(5), line()
    method(model, squares, train, test)
    for given, kept in ((train, column()), (test, column(5))):
        assert all(torch.equal(a, b) for a, b in zip(given, kept, strict=True))
    for p, q in zip(model.parameters(), line().parameters(), strict=True):
        assert torch.equal(p, q)
        assert p.grad is None


def gives(change: Callable[[nn.Module], Any]) -> Any:
    """A line that something was done to."""
    return change(line())


@pytest.mark.parametrize("method", BY_TRAINING_POINT)
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: squares, r"models? must be torch.nn.Module; got function"),
        (lambda: gives(torch.jit.script), "must be a plain torch.nn.Module"),
        (lambda: gives(nn.DataParallel), "torch.func takes no DataParallel"),
        (
            lambda: nn.Sequential(gives(nn.DataParallel)),
            "torch.func takes no DataParallel",
        ),
        (lambda: nn.LazyLinear(1), "weight has no values yet: call it once"),
        (lambda: nn.Linear(4, 1, device="meta"), "weight has no values yet"),
        (lambda: Half(lambda o: o.detach()), "model must be differentiable in its"),
        (
            lambda: Half(lambda o: torch.from_numpy(o.detach().numpy())),
            "must be such as torch.func|model must be differentiable in its",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_models_that_torch_func_cannot_take_are_refused(
    method: Method, model: Callable[[], Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        method(model(), squares, column(), column(5))


class Counts(nn.Module):
    """Writes into itself at each call."""

    def __init__(self) -> None:
        super().__init__()
        self.line = line()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        outputs: Tensor = self.line(x)
        return outputs


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(4, 1, batch_first=True).double()

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.gru(x[:, None])[0][:, 0]
        return outputs


@pytest.mark.parametrize("method", BY_TRAINING_POINT)
@pytest.mark.parametrize("model", [Counts, Recurrent])
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_what_torch_func_refuses_is_refused_in_our_words(
    method: Method, model: Callable[[], nn.Module]
) -> None:
    try:
        method(model(), squares, column(), column(5))
    except ValueError as error:
        assert "torch.func" in str(error)  # noqa: PT017


@pytest.mark.parametrize("method", METHODS)
def test_no_score_is_computed_in_autocast(method: Method) -> None:
    with (
        pytest.raises(ValueError, match=r"compute them outside of torch.autocast"),
        torch.autocast("cpu", torch.bfloat16),
    ):
        method(line().float(), squares, column(), column(5))


@pytest.mark.parametrize("method", BY_TRAINING_POINT)
def test_without_gradients_is_as_with_them_and_inference_mode_is_refused(
    method: Method,
) -> None:
    found = [method(line(), squares, column(), column(5))]
    with torch.no_grad():
        found.append(method(line(), squares, column(), column(5)))
    if isinstance(found[0], dict):
        found = [stack["weight"] for stack in found]
    assert torch.equal(*found)
    with (
        torch.inference_mode(),
        pytest.raises(ValueError, match=r"outside of torch.inference_mode"),
    ):
        method(line(), squares, column(), column(5))
    with torch.inference_mode():
        made = [part.clone() for part in column()]
    again = method(line(), squares, made, column(5))
    again = again["weight"] if isinstance(again, dict) else again
    assert torch.equal(again, found[0])


class Unused(nn.Module):
    """Has a trained layer that no output depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.line, self.idle = line(), line(1)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.line(x)
        return outputs


@pytest.mark.parametrize("method", BY_TRAINING_POINT)
def test_a_layer_that_is_not_used_changes_nothing(method: Method) -> None:
    found = method(Unused(), squares, column(), column(5))
    plain = method(line(), squares, column(), column(5))
    if isinstance(plain, dict):
        # Only its penalty moves it: by (1 - lr * weight_decay) without momentum.
        assert (found["idle.weight"].abs() < line(1).weight.abs()).all()
        found, plain = found["line.weight"], plain["weight"]
    torch.testing.assert_close(found, plain)
