"""Is a stack of trainings what each is alone?"""

from decimal import Decimal
from fractions import Fraction

import pytest
import torch
from torch import nn

from smallscale.attribution import (
    TrainingConfig,
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


def test_a_setting_may_be_a_number_of_any_library() -> None:
    config = TrainingConfig(momentum=Decimal("0.5"), weight_decay=Fraction(1, 4))  # type: ignore[arg-type]
    assert (config.momentum, config.weight_decay) == (0.5, 0.25)
    assert isinstance(config.momentum, float)
    with pytest.raises(ValueError, match="momentum must be"):
        TrainingConfig(momentum=True).steps(4)
