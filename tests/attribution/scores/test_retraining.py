"""Is a stack of trainings what each is alone, and leaving out what it says?"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smallscale.attribution import (
    TrainingConfig,
    leave_one_out,
    member,
    metagradient,
    retrain,
    stack_outputs,
)
from tests.attribution.scores.small_problems import (
    CONFIG,
    cross_entropy,
    examples,
    network,
    same,
)


def alone(
    model: nn.Module, train: Any, run: TrainingConfig, weights: Tensor | None = None
) -> nn.Module:
    """The same training as one usually writes it."""
    x, y = train
    weights = torch.ones(len(x), dtype=x.dtype) if weights is None else weights
    optimizer = torch.optim.SGD(
        model.parameters(), lr=1, momentum=run.momentum, weight_decay=run.weight_decay
    )
    for batch, lr in run.steps(len(x)):
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        (cross_entropy(model(x[batch]), y[batch]) * weights[batch]).mean().backward()
        optimizer.step()
    return model


def test_one_step_by_hand() -> None:
    # Output w x + b, half squared error, w = b = 0: the gradient at (x, y) = (2, 1) is
    # -(2, 1); one step of lr 1.
    model = nn.Linear(1, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    stack = retrain(
        model,
        lambda o, t: 0.5 * (o - t).square()[..., 0],
        ([[2.0]], [[1.0]]),
        TrainingConfig(epochs=1, batch_size=1, lr=0.1),
    )
    assert stack["weight"].flatten().tolist() == pytest.approx([0.2])
    assert stack["bias"].flatten().tolist() == pytest.approx([0.1])


def test_each_of_a_stack_is_what_it_is_alone() -> None:
    train, starts = examples(), [network(seed) for seed in range(3)]
    stack = retrain(starts, cross_entropy, train, CONFIG)
    for k in range(3):
        same(member(network(), stack, k), alone(network(k), train, CONFIG))
    same(starts[0], network(0))


def test_a_model_that_sees_some_rows_is_trained_on_these_in_this_order() -> None:
    x, y = examples()
    rows = torch.tensor(
        [[3, 1, 4, 15, 9, 2, 6, 5, 8, 0], [19, 18, 17, 16, 15, 14, 13, 12, 11, 10]]
    )
    stack = retrain(network(), cross_entropy, (x, y), CONFIG, rows=rows)
    for k in range(2):
        same(
            member(network(), stack, k),
            alone(network(), (x[rows[k]], y[rows[k]]), CONFIG),
        )


def test_weights_are_those_of_the_examples_in_the_order_of_rows() -> None:
    x, y = examples()
    rows = torch.tensor([[3, 1, 4, 15, 9, 2, 6, 5, 8, 0]])
    weights = torch.arange(10, dtype=torch.float64)[None] / 5
    stack = retrain(
        network(), cross_entropy, (x, y), CONFIG, rows=rows, weights=weights
    )
    same(
        member(network(), stack),
        alone(network(), (x[rows[0]], y[rows[0]]), CONFIG, weights[0]),
    )


def test_weights_count_and_zero_takes_a_point_out_of_the_batches() -> None:
    x, y = examples()
    weights = torch.ones(2, 20, dtype=torch.float64)
    weights[0, 3], weights[1, 5] = 0, 2
    stack = retrain(network(), cross_entropy, (x, y), CONFIG, weights=weights)
    for k in range(2):
        same(member(network(), stack, k), alone(network(), (x, y), CONFIG, weights[k]))
    y = y.clone()
    y[3] = (y[3] + 1) % 3  # with weight 0, a label makes no difference
    other = retrain(network(), cross_entropy, (x, y), CONFIG, weights=weights)
    same(member(network(), other, 0), member(network(), stack, 0))
    assert not torch.equal(other["1.bias"][1], stack["1.bias"][1])


def test_outputs_of_a_stack_are_those_of_its_members() -> None:
    stack = retrain([network(0), network(1)], cross_entropy, examples(), CONFIG)
    x = examples(4, seed=9)[0]
    together = stack_outputs(network(), stack, x)
    assert together.shape == (2, 4, 3)
    for k in range(2):
        torch.testing.assert_close(together[k], member(network(), stack, k)(x).detach())
    assert not together.requires_grad


def test_no_global_generator_is_touched() -> None:
    state = torch.get_rng_state()
    retrain(network(), cross_entropy, examples(), CONFIG)
    metagradient(network(), cross_entropy, examples(), examples(2), config=CONFIG)
    assert torch.equal(state, torch.get_rng_state())


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
