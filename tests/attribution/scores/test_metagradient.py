"""Is the metagradient the slope of retraining?"""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from smallscale.attribution import (
    TrainingConfig,
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
