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
