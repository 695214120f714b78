"""Does each model of a stack keep what is its own, and are others refused?"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smallscale.attribution import (
    member,
    metagradient,
    retrain,
    stack_outputs,
)
from tests.attribution.scores.small_problems import (
    CONFIG,
    alone,
    cross_entropy,
    examples,
    network,
    same,
)


@pytest.mark.parametrize(
    ("given_rows", "given_weights", "message"),
    [
        ([[0, 20]], None, "rows must lie in 0..19, the training points; got 0 to 20"),
        ([[-1, 2]], None, "rows must lie in 0..19"),
        ([0, 1], None, "rows must be \\(models, 2\\)"),
        (
            None,
            torch.ones(2, 19),
            "weights must be \\(models, 20\\), one for each example seen",
        ),
        (
            [[0, 1]] * 3,
            torch.ones(2, 2),
            "models, rows and weights must have the same length, or 1",
        ),
        (None, torch.full((1, 20), torch.nan), "weights must be finite"),
    ],
)
def test_stacks_that_cannot_be_say_why(
    given_rows: Any, given_weights: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        retrain(
            network(),
            cross_entropy,
            examples(),
            CONFIG,
            rows=given_rows,
            weights=given_weights,
        )


class Scaled(nn.Module):
    """A frozen first layer, two trained ones, and buffers, saved and not."""

    def __init__(self, seed: int, scale: float = 1.0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first = nn.Linear(5, 4, dtype=torch.float64)
            self.second = nn.Linear(4, 4, dtype=torch.float64)
            self.third = nn.Linear(4, 3, dtype=torch.float64)
        self.first.requires_grad_(False)
        self.register_buffer("gain", torch.full((4,), 1.0 + seed).double())
        self.register_buffer("shift", torch.tensor([seed]), persistent=False)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.second(torch.tanh(self.first(x)) * self.gain))
        outputs: Tensor = self.third(hidden + self.shift) * self.scale
        return outputs


def test_each_of_a_stack_keeps_its_own_frozen_weights_and_buffers() -> None:
    train, test = examples(), examples(4, seed=9)[0]
    starts = [Scaled(seed) for seed in range(3)]
    stack = retrain(starts, cross_entropy, train, CONFIG)
    together = stack_outputs(Scaled(7), stack, test)
    for k in range(3):
        expected = alone(Scaled(k), train, CONFIG)
        one = member(Scaled(7), stack, k)
        same(one, expected)
        for name, values in expected.named_buffers():
            assert torch.equal(dict(one.named_buffers())[name], values)
        torch.testing.assert_close(one(test), expected(test))
        torch.testing.assert_close(together[k], expected(test).detach())
    rows = torch.arange(20).repeat(3, 1)
    on_rows = retrain(starts, cross_entropy, train, CONFIG, rows=rows)
    torch.testing.assert_close(on_rows["third.bias"], stack["third.bias"])
    once = retrain(starts[1], cross_entropy, train, CONFIG, rows=rows)
    torch.testing.assert_close(once["third.bias"][2], stack["third.bias"][1])
    torch.testing.assert_close(
        stack_outputs(Scaled(7), once, test)[0], together[1], atol=1e-12, rtol=1e-9
    )


def test_the_trained_values_take_part_in_no_other_model() -> None:
    start = Scaled(2)
    stack = retrain(start, cross_entropy, examples(), CONFIG)
    assert stack["gain"].tolist() == [[3.0] * 4]
    assert torch.equal(stack["first.weight"][0], Scaled(2).first.weight)
    same(start, Scaled(2))


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self, seed: int, tied: bool = True) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first = nn.Linear(5, 5, dtype=torch.float64)
            self.second = nn.Linear(5, 5, dtype=torch.float64)
        if tied:
            self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.second(torch.tanh(self.first(x)))
        return outputs


def test_shared_weights_stay_shared() -> None:
    train, test = examples(), examples(4, seed=9)
    stack = retrain([Tied(0), Tied(1)], cross_entropy, train, CONFIG)
    for k in range(2):
        one = member(Tied(5), stack, k)
        assert isinstance(one, Tied)
        assert one.first.weight is one.second.weight
        same(one, alone(Tied(k), train, CONFIG))
    scores = metagradient(Tied(0), cross_entropy, train, test, config=CONFIG)
    weights = torch.ones(2, 20, dtype=torch.float64)
    weights[0, 3] -= 1e-5
    weights[1, 3] += 1e-5
    moved = retrain(Tied(0), cross_entropy, train, CONFIG, weights=weights)
    less, more = (
        cross_entropy(outputs, test[1])
        for outputs in stack_outputs(Tied(0), moved, test[0])
    )
    torch.testing.assert_close(scores[3], (less - more) / 2e-5, atol=1e-8, rtol=1e-5)


def with_activation(layer: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(5, 4), layer, nn.Linear(4, 3)).double()


def frozen(model: nn.Module) -> nn.Module:
    next(model.parameters()).requires_grad_(False)
    return model


@pytest.mark.parametrize(
    "starts",
    [
        lambda: [with_activation(nn.ReLU()), with_activation(nn.GELU())],
        lambda: [network(0), with_activation(nn.ReLU())],
        lambda: [network(0), frozen(network(1))],
        lambda: [network(0), network(1).float()],
        lambda: [Tied(0), Tied(0, tied=False)],
        lambda: [Scaled(0), Scaled(1, scale=2.0)],
    ],
)
def test_models_of_two_kinds_are_refused(starts: Any) -> None:
    with pytest.raises(ValueError, match="models must be of one architecture"):
        retrain(starts(), cross_entropy, examples(), CONFIG)


class LateScale(nn.Module):
    """Its setting shows only in inputs above 2."""

    def __init__(self, scale: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 3, dtype=torch.float64)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        scale = self.scale[0] if isinstance(self.scale, list) else self.scale
        outputs: Tensor = self.layer(x) * torch.where(x[:, :1] > 2, scale, 1.0)
        return outputs


@pytest.mark.parametrize("values", [(1.0, 30.0), ([1.0], [30.0])])
def test_a_setting_that_shows_in_late_examples_alone_is_refused(values: Any) -> None:
    x, y = examples()
    x = x.clamp(max=1)
    x[12:, 0] = 3
    starts = [LateScale(value) for value in values]
    with pytest.raises(ValueError, match="model 1 has another scale"):
        retrain(starts, cross_entropy, (x, y), CONFIG)
    retrain([LateScale(values[0]), LateScale(values[0])], cross_entropy, (x, y), CONFIG)


def test_models_in_either_mode_train_alike() -> None:
    one, two = network(0).train(), network(1).eval()
    stack = retrain([one, two], cross_entropy, examples(), CONFIG)
    same(member(network(), stack, 1), alone(network(1), examples(), CONFIG))
    assert one.training
    assert not two.training


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (with_activation(nn.BatchNorm1d(4)), "leave BatchNorm1d out"),
        (with_activation(nn.Dropout(0.1)), "leave Dropout out"),
        (with_activation(nn.RReLU()), "leave RReLU out"),
        (
            nn.Sequential(
                nn.Unflatten(1, (1, 5)),
                nn.TransformerEncoderLayer(5, 1, 8, dropout=0.5, batch_first=True),
                nn.Flatten(),
            ).double(),
            "leave Dropout out",
        ),
        (network().bfloat16(), "models must compute in single or double precision"),
        (network().requires_grad_(False), "models must have parameters that require"),
        (lambda x: x, "models must be torch.nn.Module"),
    ],
)
def test_models_that_cannot_be_trained_are_refused(model: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        retrain([network(), model][1:], cross_entropy, examples(), CONFIG)


class Attends(nn.Module):
    """Dropout inside of attention, where no layer is called so."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(5, 1, dropout=0.5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        rows = x[:, None].expand(-1, 6, -1)
        outputs: Tensor = self.attention(rows, rows, rows)[0].mean(1)
        return outputs


def test_hidden_dropout_is_refused() -> None:
    state = torch.get_rng_state()
    for fit in (retrain, metagradient):
        test = (examples(2),) if fit is metagradient else ()
        with pytest.raises(ValueError, match="model must train as it predicts"):
            fit(Attends().double(), cross_entropy, examples(), *test, config=CONFIG)  # type: ignore[operator]
    torch.set_rng_state(state)


def test_a_stack_of_other_models_is_refused() -> None:
    stack = retrain(network(), cross_entropy, examples(), CONFIG)
    for read in (stack_outputs, member):
        with pytest.raises(
            ValueError, match="stack must be of models built like model"
        ):
            read(Tied(0), stack, 0)  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"inputs must be finite.*point 0 is nan"):
        stack_outputs(network(), stack, [[torch.nan] * 5])
    with pytest.raises(ValueError, match=r"inputs must be such as the model takes"):
        stack_outputs(network(), stack, torch.ones(2, 5, dtype=torch.uint8))


def test_a_loss_that_becomes_infinite_names_point_and_model() -> None:
    rows = torch.stack([torch.arange(10), torch.arange(10, 20)])
    x, labels = examples()[0], torch.zeros(20, dtype=torch.long)
    labels[13] = 2

    def wall(outputs: Tensor, targets: Tensor) -> Tensor:
        # It draws the logit up; for label 2 there is a wall at 3.
        logit = outputs.gather(-1, targets[..., None])[..., 0]
        room = torch.where(targets == 2, 3.0, 1e6) - logit
        return -30 * logit - room.relu().log()

    with pytest.raises(
        ValueError, match=r"training point 13 is (inf|nan).* It is so for model 1;"
    ):
        retrain(network(), wall, (x, labels), CONFIG, rows=rows)
