"""Is what does not fit refused in one line, with the argument or point it is about?"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smallscale.attribution import (
    grad_dot,
    influence,
    leave_one_out,
    metagradient,
    retrain,
    tracin,
    trak,
)
from smallscale.attribution.scores.examples import as_examples, check_losses
from tests.attribution.scores.small_problems import CONFIG, cross_entropy, randn

Method = Callable[..., Any]


def column(n: int = 12) -> tuple[Tensor, Tensor]:
    """Inputs (n, 4), and targets (n,) for a model with outputs (n, 1)."""
    return randn(n, 4), randn(n, seed=1).abs()


def line(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Linear(4, 1).double()


def by_retraining(model: nn.Module, loss: Any, train: Any, test: Any) -> Any:
    return retrain(model, loss, train, CONFIG)


def by_leaving_out(model: nn.Module, loss: Any, train: Any, test: Any) -> Any:
    return leave_one_out(lambda x, y: model, loss, train, test)


def by_metagradient(model: nn.Module, loss: Any, train: Any, test: Any) -> Any:
    return metagradient(model, loss, train, test, config=CONFIG)


def by_influence(model: nn.Module, loss: Any, train: Any, test: Any) -> Any:
    return influence(model, loss, train, test, damping=0.1)


def by_trak(model: nn.Module, loss: Any, train: Any, test: Any) -> Any:
    return trak(model, loss, train, test, ridge=0.1)


METHODS: list[Method] = [
    by_retraining,
    by_leaving_out,
    by_metagradient,
    by_influence,
    by_trak,
    grad_dot,
    tracin,
]
BY_TRAINING_POINT = [method for method in METHODS if method is not by_leaving_out]

# Outputs are (n, 1) and targets (n,): the first three compare every pair.
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


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_inputs_and_targets_that_are_not_finite_are_refused_by_their_point(
    method: Method, bad: float
) -> None:
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs[:, 0] - targets) ** 2

    for part in (0, 1):
        train = column()
        train[part].view(12, -1)[4, -1] = bad
        with pytest.raises(
            ValueError, match=r"train (inputs|targets) must be finite.* point 4 is"
        ):
            method(line(), loss, train, column(5))


@pytest.mark.parametrize("method", BY_TRAINING_POINT)
def test_a_label_that_is_no_class_is_refused_by_its_point(method: Method) -> None:
    x, y = randn(12, 5), torch.arange(12) % 3
    y[5] = 3
    with pytest.raises(ValueError, match="train point 5: loss must take outputs"):
        method(nn.Linear(5, 3).double(), cross_entropy, (x, y), (x[:2], y[:2]))


def squares(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs[:, 0] - targets) ** 2


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
@pytest.mark.parametrize("kind", [torch.uint8, torch.int32, torch.int64, torch.bool])
def test_images_of_whole_numbers_are_refused_with_the_cure(
    method: Method, kind: torch.dtype
) -> None:
    x, y = column()
    images = (x.abs() * 50).to(kind)
    for train, test in (((images, y), (x, y)), ((x, y), (images, y))):
        if method is by_retraining and test[0] is images:
            continue  # it has no test examples
        if method is by_leaving_out and train[0] is images:
            continue  # which its fit is given as they are
        with pytest.raises(
            ValueError,
            match=r"(train|test) inputs must be such as the model takes.*inputs.float",
        ):
            method(line(), squares, train, test)


@pytest.mark.parametrize("method", METHODS)
def test_tokens_of_any_whole_type_are_what_an_embedding_takes(method: Method) -> None:
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(8, 1)).double()
    tokens, y = torch.arange(24).view(12, 2) % 9, column()[1]
    found = []
    for kind in (torch.uint8, torch.int64):
        inputs = tokens.to(kind)
        if method is by_leaving_out:
            inputs = inputs.long()
        found.append(method(model, squares, (inputs, y), (inputs[:3], y[:3])))
    if isinstance(found[0], dict):
        found = [stack["2.weight"] for stack in found]
    assert torch.equal(*found)


@pytest.mark.parametrize("method", METHODS)
def test_strides_and_libraries_make_no_difference(method: Method) -> None:
    x, y = column()
    test = column(5)
    given = [
        (x, y),
        (x.T.contiguous().T, y.repeat_interleave(2)[::2]),
        (x.numpy()[::-1][::-1], y.numpy().copy()),
        (x.tolist(), y.tolist()),
    ]
    if method is by_leaving_out:
        given.pop()  # lists are given to `fit` in single precision
    found = [method(line(), squares, train, test) for train in given]
    for other in found[1:]:
        one = found[0]["weight"] if isinstance(other, dict) else found[0]
        again = other["weight"] if isinstance(other, dict) else other
        torch.testing.assert_close(again, one, rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_single_and_double_precision_mix(method: Method) -> None:
    train, test = column(), column(5)
    single = [tuple(part.float() for part in pair) for pair in (train, test)]
    in_double = method(line(), squares, train, test)
    mixed = method(line().float(), squares, train, single[1])
    if isinstance(mixed, dict):
        in_double, mixed = in_double["weight"], mixed["weight"]
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed.double(), in_double, rtol=1e-3, atol=1e-3)
    assert method(line(), squares, single[0], test) is not None


@pytest.mark.parametrize("method", METHODS)
def test_the_callers_examples_and_model_stay_as_they_are(method: Method) -> None:
    train, test, model = column(), column(5), line()
    method(model, squares, train, test)
    for given, kept in ((train, column()), (test, column(5))):
        assert all(torch.equal(a, b) for a, b in zip(given, kept, strict=True))
    for p, q in zip(model.parameters(), line().parameters(), strict=True):
        assert torch.equal(p, q)
        assert p.grad is None


@pytest.mark.parametrize("method", METHODS)
def test_no_test_examples_are_refused_and_one_of_each_will_do(method: Method) -> None:
    x, y = column()
    if method is not by_retraining:
        with pytest.raises(ValueError, match="test inputs and test targets must have"):
            method(line(), squares, (x, y), (x[:0], y[:0]))
    if method is not by_leaving_out:  # nothing would be left
        found = method(line(), squares, (x[:1], y[:1]), (x[:1], y[:1]))
        assert isinstance(found, dict) or found.shape == (1, 1)
        with pytest.raises(ValueError, match="loss must"):
            method(
                line(),
                lambda o, t: squares(o, t).mean(),
                (x[:1], y[:1]),
                (x[:1], y[:1]),
            )


def test_a_diverging_run_is_refused() -> None:
    config = replace(CONFIG, lr=1e3, epochs=40)
    for fit in (retrain, metagradient):
        arguments = (column(5),) if fit is metagradient else ()
        with pytest.raises(ValueError, match=r"the run diverges|lr|point \d+ is"):
            fit(line(), squares, column(), *arguments, config=config)  # type: ignore[operator]


def test_examples_alone_are_checked() -> None:
    assert [part.tolist() for part in as_examples("train", ([1, 2], [3, 4]))] == [
        [1, 2],
        [3, 4],
    ]
    with pytest.raises(
        ValueError, match=r"train inputs must be finite.*point 1 is inf"
    ):
        as_examples("train", ([1.0, 1e300], [0, 0]), torch.zeros(1))
    found = check_losses("test", line(), squares, column())
    torch.testing.assert_close(
        found, squares(line()(column()[0]), column()[1]).detach()
    )
