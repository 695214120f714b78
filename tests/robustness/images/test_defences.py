"""Do all ways of training get the same budget?"""

import math

import pytest
import torch
from torch import nn

from smallscale.robustness import pgd
from smallscale.robustness.images import defences
from smallscale.robustness.images.defences import (
    DEFENCES,
    mean_over_seeds,
    train_defence,
)
from tests.robustness.images.helpers import some_images


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("defence", DEFENCES)
def test_the_same_seed_gives_the_same_model_and_another_another(defence):
    images, labels = some_images(70), torch.arange(70) % 10
    how = {"epochs": 2, "steps": 2}
    first, again, other = (
        weights(train_defence(defence, images, labels, 0.1, seed=seed, **how))
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_every_defence_starts_alike_and_takes_as_many_steps(monkeypatch):
    images, labels = some_images(70), torch.arange(70) % 10
    seen = []

    def watched(model, images, labels, **how):
        seen.append((weights(model), how["epochs"], how["seed"], sorted(how)))
        return model

    monkeypatch.setattr(defences, "train_classifier", watched)
    for defence in DEFENCES:
        train_defence(defence, images, labels, 0.1, epochs=3, seed=4)
    start = seen[0][0]
    assert all(torch.equal(each[0], start) for each in seen)
    assert {each[1:3] for each in seen} == {(3, 4)}
    common = ["epochs", "progress", "seed"]
    assert [sorted(set(each[3]) - set(common)) for each in seen] == [
        [],
        ["perturb"],
        ["perturb"],
        ["loss"],
    ]


def test_training_starts_its_attack_at_ever_new_points(monkeypatch):
    images, labels = some_images(64), torch.arange(64) % 10
    calls = []

    def watched(model, x, y, eps, **how):
        state = tuple(how["generator"].get_state().tolist())
        calls.append((how["random_start"], state))
        return pgd(model, x, y, eps, **how)

    monkeypatch.setattr(defences, "pgd", watched)
    train_defence("PGD", images, labels, 0.1, epochs=3, steps=1)
    assert [random for random, _ in calls] == [True] * 3
    assert len({state for _, state in calls}) == 3


def test_noise_moves_every_pixel_by_eps_at_most(monkeypatch):
    images, labels = some_images(64, low=0.3, high=0.7), torch.arange(64) % 10
    shown = []

    def watched(model, images, labels, *, perturb, **how):
        shown.extend(perturb(model, images, labels) - images for _ in range(2))

    monkeypatch.setattr(defences, "train_classifier", watched)
    train_defence("noise", images, labels, 0.1, epochs=1)
    for change in shown:
        torch.testing.assert_close(change.abs(), torch.full_like(change, 0.1))
    assert not torch.equal(*shown)


def test_an_unknown_defence_is_refused():
    with pytest.raises(ValueError, match="defence must be one of"):
        train_defence("hope", some_images(10), torch.arange(10), 0.1, epochs=1)


def test_the_interval_is_students():
    mean, low, high = mean_over_seeds([1.0, 2.0, 3.0])
    assert mean == 2
    assert high - mean == pytest.approx(4.302652729 / math.sqrt(3))
    assert mean - low == pytest.approx(high - mean)
    with pytest.raises(ValueError, match="two or more"):
        mean_over_seeds([1.0])
