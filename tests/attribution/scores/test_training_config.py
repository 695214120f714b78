"""Does a run see every example, and refuse what has no place in it?"""

from dataclasses import replace

import pytest
import torch
from torch import nn

from smallscale.attribution import (
    TrainingConfig,
    metagradient,
    retrain,
)
from tests.attribution.scores.small_problems import (
    CONFIG,
    cross_entropy,
    examples,
    network,
)


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


def test_a_stopped_run_is_the_beginning_of_the_whole_one() -> None:
    whole = TrainingConfig(epochs=4, batch_size=4, seed=1)
    first = replace(whole, stop=3).steps(10)
    assert len(first) == 9
    for (batch, lr), (same_batch, same_lr) in zip(first, whole.steps(10), strict=False):
        assert torch.equal(batch, same_batch)
        assert lr == same_lr
    assert len(replace(whole, stop=4).steps(10)) == len(whole.steps(10))
    shorter = TrainingConfig(epochs=3, batch_size=4, seed=1).steps(10)
    assert [lr for _, lr in shorter] != [lr for _, lr in first]


def test_a_run_cannot_stop_after_its_end() -> None:
    with pytest.raises(ValueError, match="stop must be a whole number, at least 1 and"):
        TrainingConfig(epochs=4, stop=5).steps(10)


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
