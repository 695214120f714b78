"""Is a stack of trainings what each is alone, and the metagradient its slope?"""

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from smallscale.attribution import (
    TrainingConfig,
    leave_one_out,
    member,
    metagradient,
    retrain,
    stack_outputs,
)
from smallscale.models.classifiers import small_mlp

cross_entropy = partial(F.cross_entropy, reduction="none")

CONFIG = TrainingConfig(epochs=3, batch_size=7, lr=0.1, weight_decay=0.01, seed=2)


def examples(n: int = 20, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 5, generator=generator, dtype=torch.float64), torch.arange(
        n
    ) % 3


def network(seed: int = 0) -> nn.Module:
    return small_mlp(5, 3, hidden=4, seed=seed).double()


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


def same(model: nn.Module, other: nn.Module) -> None:
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_the_steps_see_every_example_once_an_epoch_while_the_rate_falls() -> None:
    steps = TrainingConfig(epochs=2, batch_size=4, lr=1.0, seed=1).steps(10)
    assert [len(batch) for batch, _ in steps] == [4, 4, 2, 4, 4, 2]
    for epoch in (steps[:3], steps[3:]):
        assert sorted(torch.cat([batch for batch, _ in epoch]).tolist()) == list(
            range(10)
        )
    assert [lr for _, lr in steps] == pytest.approx(
        [1, 0.9330, 0.75, 0.5, 0.25, 0.0670], abs=1e-4
    )
    assert torch.equal(
        steps[0][0], TrainingConfig(epochs=2, batch_size=4, seed=1).steps(10)[0][0]
    )
    assert not torch.equal(
        steps[0][0], TrainingConfig(epochs=2, batch_size=4, seed=2).steps(10)[0][0]
    )


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


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.BatchNorm1d(5)])
def test_layers_that_train_otherwise_than_they_predict_are_refused(
    layer: nn.Module,
) -> None:
    model = nn.Sequential(layer, nn.Linear(5, 3)).double()
    for method in (
        lambda: retrain(model, cross_entropy, examples(), CONFIG),
        lambda: metagradient(
            model, cross_entropy, examples(), examples(2), config=CONFIG
        ),
    ):
        with pytest.raises(ValueError, match="model must train as it predicts"):
            method()


def test_a_run_without_epochs_says_why() -> None:
    with pytest.raises(
        ValueError, match="epochs must be a whole number, at least 1; got 0"
    ):
        retrain(network(), cross_entropy, examples(), TrainingConfig(epochs=0))


@given(st.integers(0, 19), st.floats(0, 0.95), st.sampled_from([3, 7, 20]))
@settings(max_examples=10)
def test_the_metagradient_is_the_slope_of_the_retrained_loss(
    point: int, momentum: float, batch_size: int
) -> None:
    run = TrainingConfig(
        epochs=3, batch_size=batch_size, lr=0.1, momentum=momentum, weight_decay=0.01
    )
    train, test = examples(), examples(4, seed=9)
    scores = metagradient(network(), cross_entropy, train, test, config=run)
    assert scores.shape == (20, 4)
    step = 1e-5
    weights = torch.ones(2, 20, dtype=torch.float64)
    weights[0, point] -= step
    weights[1, point] += step
    outputs = stack_outputs(
        network(),
        retrain(network(), cross_entropy, train, run, weights=weights),
        test[0],
    )
    less, more = (cross_entropy(part, test[1]) for part in outputs)
    torch.testing.assert_close(
        scores[point], (less - more) / (2 * step), atol=1e-8, rtol=1e-5
    )


def test_at_the_end_of_a_long_run_the_metagradient_is_the_influence() -> None:
    # Half squared error of a linear model, all examples in every batch, to convergence.
    from smallscale.attribution import influence

    x, y = examples()
    train, test = (
        (x, y[:, None].double()),
        (examples(4, seed=9)[0], torch.ones(4, 1, dtype=torch.float64)),
    )

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return 0.5 * (outputs - targets).square().sum(-1)

    start = nn.Linear(5, 1).double()
    run = TrainingConfig(
        epochs=600, batch_size=20, lr=0.1, momentum=0.8, weight_decay=0.1
    )
    end = member(start, retrain(start, loss, train, run))
    expected = influence(end, loss, train, test, weight_decay=0.1)
    torch.testing.assert_close(
        metagradient(start, loss, train, test, config=run),
        expected,
        atol=1e-7,
        rtol=1e-5,
    )


def test_the_start_of_a_metagradient_is_left_as_it_was() -> None:
    model = network()
    metagradient(model, cross_entropy, examples(), examples(2), config=CONFIG)
    same(model, network())


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
