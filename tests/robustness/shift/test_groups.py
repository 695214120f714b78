"""Do groups hold what they say, and does training attend to them?"""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from smallscale.core.intervals import binomial_interval
from smallscale.datasets.digits import digits
from smallscale.models.classifiers import small_cnn
from smallscale.robustness.shift.groups import (
    TRAINING_METHODS,
    Striped,
    average_and_worst,
    both_ways,
    group_accuracy,
    striped,
    train_groups,
    worst_group_accuracy,
)
from tests.robustness.shift.helpers import PLACES, Brightest, some_images

# groups


@given(st.floats(0, 1), st.integers(0, 5))
def test_the_stripe_agrees_as_often_as_asked_and_covers_the_right_column(
    agree: float, seed: int
) -> None:
    x, y = some_images(40), torch.arange(40) % 10
    before = x.clone()
    s = striped(x, y, agree=agree, seed=seed)
    assert torch.equal(x, before)
    assert torch.equal(s.labels, (y >= 5).long())
    for label in (0, 1):
        assert int((s.sides == label)[s.labels == label].sum()) == round(agree * 20)
    assert (s.images[s.sides == 0, :, :, 0] == 1).all()
    assert (s.images[s.sides == 1, :, :, -1] == 1).all()
    assert torch.equal(s.images[:, :, :, 1:-1], x[:, :, :, 1:-1])
    assert torch.equal(s.images[s.sides == 0, :, :, -1], x[s.sides == 0, :, :, -1])
    assert s.groups.tolist() == [
        2 * label + side for label, side in zip(s.labels, s.sides, strict=True)
    ]
    assert torch.equal(s.sides, striped(x, y, agree=agree, seed=seed).sides)


def test_another_seed_picks_others_and_a_wide_image_has_a_wide_stripe() -> None:
    x, y = some_images(40, 28), torch.arange(40) % 10
    assert not torch.equal(
        striped(x, y, agree=0.5, seed=0).sides, striped(x, y, agree=0.5, seed=1).sides
    )
    left = striped(x, y, agree=1).images[y < 5]
    assert (left[..., :4] == 1).all()  # an eighth of 28, rounded
    assert not (left[..., 4] == 1).any()


def test_both_ways_shows_every_digit_with_each_stripe() -> None:
    both = both_ways(some_images(), PLACES)
    assert both.groups.bincount().tolist() == [10, 10, 10, 10]
    assert torch.equal(both.sides[:20], 1 - both.sides[20:])
    assert torch.equal(both.images[:20, ..., 1:-1], both.images[20:, ..., 1:-1])


@pytest.mark.parametrize(
    ("n", "labels", "agree", "message"),
    [
        (3, [1, 2], 0.9, "images and digits must have the same length"),
        (0, [], 0.9, "at least 1"),
        (
            2,
            [1, 2],
            1.1,
            "agree must be a finite number, at least 0 and at most 1; got 1.1",
        ),
        (2, [1, 2], math.nan, "agree must be a finite number"),
        (2, [1, 10], 0.9, "digits must lie in 0..9; got 1 to 10"),
        (2, [-1, 1], 0.9, "digits must lie in 0..9"),
    ],
)
def test_a_stripe_that_cannot_be_says_why(
    n: int, labels: list[int], agree: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        striped(some_images(n), labels, agree=agree)


# the worst group


def test_worst_group_by_hand() -> None:
    correct = [1, 1, 0, 1, 0, 0]
    assert worst_group_accuracy(correct, ["a", "a", "a", "b", "b", "a"]) == 0.5
    assert worst_group_accuracy(
        np.array(correct) == 1, np.array([1, 1, 1, 7, 7, 7])
    ) == pytest.approx(1 / 3)
    assert (
        worst_group_accuracy(torch.tensor(correct), torch.tensor([0, 0, 1, 0, 0, 0]))
        == 0
    )
    assert worst_group_accuracy([True, False], [("low", 1), ("low", 1)]) == 0.5
    assert worst_group_accuracy([True, False, True], [None, None, "a"]) == 0.5
    assert worst_group_accuracy([True, False], torch.tensor([[0, 1], [0, 1]])) == 0.5


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=30))
def test_worst_group_is_the_least_of_the_means(pairs: list[tuple[bool, int]]) -> None:
    frame = pd.DataFrame(pairs, columns=["right", "group"])
    worst = worst_group_accuracy(frame.right, frame.group)
    assert worst == pytest.approx(frame.groupby("group").right.mean().min())
    assert worst <= frame.right.mean() + 1e-12


@pytest.mark.parametrize(
    ("correct", "groups", "message"),
    [
        ([], [], "at least 1"),
        ([1, 0], [1], "correct and groups must be \\(n,\\)"),
        ([[1, 0]], [1], "correct and groups must be"),
        ([1, 2], [1, 1], "correct must hold only True and False"),
        ([1, math.nan], [1, 1], "correct must hold only"),
    ],
)
def test_a_worst_group_that_cannot_be_says_why(
    correct: Any, groups: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        worst_group_accuracy(correct, groups)


def test_group_accuracy_of_a_model_that_reads_the_stripe_alone() -> None:
    x, y = torch.zeros(20, 1, 8, 8), PLACES
    table = group_accuracy(Brightest(), both_ways(x, y))
    assert table.accuracy.tolist() == [1, 0, 0, 1]
    assert table.n.tolist() == [10] * 4
    assert tuple(table.iloc[1][["low", "high"]]) == binomial_interval(0, 10)
    assert (
        len(group_accuracy(Brightest(), striped(x, y, agree=1))) == 2
    )  # groups without images are left out
    seen = average_and_worst(Brightest(), striped(x, y, agree=0.9), both_ways(x, y))
    assert (seen["average"], seen["worst"]) == (0.9, 0)
    assert (seen["average_low"], seen["average_high"]) == binomial_interval(18, 20)
    assert (seen["worst_low"], seen["worst_high"]) == binomial_interval(0, 10)


# training


def small_set(n: int = 400) -> tuple[Striped, Striped]:
    d = digits()
    train = striped(d.images[d.train[:n]], d.labels[d.train[:n]], agree=0.95)
    return train, both_ways(d.images[d.test[:200]], d.labels[d.test[:200]])


def fit(train: Striped, **settings: Any) -> nn.Module:
    model = small_cnn((1, 8, 8), 2)
    return train_groups(model, train.images, train.labels, train.groups, **settings)


def test_attention_to_groups_lifts_the_worst_where_training_stops_early() -> None:
    train, test = small_set(1000)
    worst = {
        m: float(group_accuracy(fit(train, method=m, epochs=6), test).accuracy.min())
        for m in TRAINING_METHODS
    }
    assert worst["erm"] < 0.3
    assert min(worst[m] for m in TRAINING_METHODS if m != "erm") > worst["erm"] + 0.3


@pytest.mark.parametrize("method", TRAINING_METHODS)
def test_training_is_seeded_touches_no_global_state_and_stopping_is_training_less(
    method: str,
) -> None:
    train, _ = small_set(120)
    state, seen = torch.get_rng_state(), []

    def watch(epoch: int, model: nn.Module) -> None:
        assert not model.training
        seen.append((epoch, [p.detach().clone() for p in model.parameters()]))

    longer = fit(train, method=method, epochs=3, watch=watch, batch_size=16)
    shorter = fit(train, method=method, epochs=2, batch_size=16)
    assert torch.equal(torch.get_rng_state(), state)
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    assert not longer.training
    assert all(
        torch.equal(a, b) for a, b in zip(shorter.parameters(), seen[1][1], strict=True)
    )
    assert all(
        torch.equal(a, b) for a, b in zip(longer.parameters(), seen[2][1], strict=True)
    )
    other = fit(train, method=method, epochs=2, batch_size=16, seed=1)
    assert not all(
        torch.equal(a, b)
        for a, b in zip(other.parameters(), shorter.parameters(), strict=True)
    )


def test_dro_survives_batches_that_miss_a_group_and_learns_the_heavy_one() -> None:
    """Two images that contradict each other, in groups of their own: with a large eta,
    neither is given up.
    """
    x = torch.ones(2, 1, 2, 2)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    train_groups(
        model, x, [0, 1], [3, 8], method="dro", epochs=60, batch_size=1, eta=1.0
    )
    assert all(torch.isfinite(p).all() for p in model.parameters())
    with torch.no_grad():
        assert model(x[:1]).softmax(1).max() < 0.9


def test_reweighting_draws_each_group_as_often() -> None:
    """A constant model can only learn the share of the labels that it is shown: half,
    though 1 of 10 is labelled 1.
    """
    x, y = torch.zeros(200, 1, 1, 1), (torch.arange(200) % 10 == 0).long()
    shares = {}
    for method in TRAINING_METHODS:
        model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
        train_groups(model, x, y, y, method=method, epochs=150, lr=0.02)
        with torch.no_grad():
            shares[method] = float(model(x[:1]).softmax(1)[0, 1])
    assert shares["erm"] == pytest.approx(0.1, abs=0.04)
    assert shares["subsample"] == pytest.approx(0.5, abs=0.08)
    assert shares["reweight"] == pytest.approx(0.5, abs=0.08)
    assert shares["dro"] == pytest.approx(0.5, abs=0.08)


def test_dro_ends_where_the_groups_losses_are_equal() -> None:
    """A constant p of label 1. Group 0 is half and half, group 1 all 1: the mean of
    their losses is least at p = 3/4, the larger of them at p = 1/2, where both are ln
    2."""
    x = torch.zeros(200, 1, 1, 1)
    y = torch.tensor([0, 1, 1, 1]).repeat(50)
    groups = torch.tensor([0, 0, 1, 1]).repeat(50)
    shares = {}
    for method in ("reweight", "dro"):
        model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
        train_groups(model, x, y, groups, method=method, epochs=150, lr=0.01, eta=0.1)
        with torch.no_grad():
            shares[method] = float(model(x[:1]).softmax(1)[0, 1])
    assert shares["reweight"] == pytest.approx(0.75, abs=0.05)
    assert shares["dro"] == pytest.approx(0.5, abs=0.07)


def test_subsampling_sees_one_balanced_choice_as_often_as_the_others_see_all() -> None:
    """20 images of which 5 are in group 1: 5 of the other 15, always the same."""
    x = torch.arange(20.0).reshape(20, 1, 1, 1)
    groups = (torch.arange(20) % 4 == 0).long()
    seen: list[float] = []

    def keep(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        seen.extend(images.flatten().tolist())
        return images

    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    train_groups(model, x, groups, groups, method="subsample", epochs=3, perturb=keep)
    assert len(seen) == 3 * 20
    chosen = set(seen)
    assert len(chosen) == 10
    assert chosen >= {0.0, 4.0, 8.0, 12.0, 16.0}
    assert all(seen.count(each) == 6 for each in chosen)


def test_adjustment_leans_towards_the_small_group() -> None:
    """A constant p of label 1; group 0, nine tenths, is all 0, group 1 all 1. Without
    adjustment the losses become equal at p = 1/2; with C = 4 and 180 and 20 images
    -ln(1 - p) + C / sqrt(180) = -ln(p) + C / sqrt(20) at odds of exp(.596)."""
    x = torch.zeros(200, 1, 1, 1)
    y = (torch.arange(200) % 10 == 0).long()
    shares = {}
    for adjustment in (0.0, 4.0):
        model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
        passed: list[float] = []

        def keep(epoch: int, model: nn.Module, passed: list[float] = passed) -> None:
            with torch.no_grad():
                passed.append(float(model(x[:1]).softmax(1)[0, 1]))

        settings = {"epochs": 200, "lr": 0.01, "eta": 0.05, "adjustment": adjustment}
        train_groups(model, x, y, y, method="dro", watch=keep, **settings)
        shares[adjustment] = float(np.mean(passed[100:]))  # it swings about its end
    odds = math.exp(4 / math.sqrt(20) - 4 / math.sqrt(180))
    assert shares[0.0] == pytest.approx(0.5, abs=0.07)
    assert shares[4.0] == pytest.approx(odds / (1 + odds), abs=0.07)


def test_weight_decay_shrinks() -> None:
    train, _ = small_set(120)
    sizes = [
        sum(
            float(p.detach().square().sum())
            for p in fit(train, epochs=5, weight_decay=w).parameters()
        )
        for w in (0, 0.1)
    ]
    assert sizes[1] < 0.9 * sizes[0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"method": "jtt"},
            "method must be one of erm, subsample, reweight, dro; got 'jtt'",
        ),
        ({"adjustment": 1.0}, "adjustment must be 0 for a method other than dro"),
        ({"method": "dro", "adjustment": -1}, "adjustment must be"),
        ({"labels": [0]}, "images, labels and groups must have the same length"),
        ({"groups": [0]}, "images, labels and groups must have the same length"),
        ({"epochs": 0}, "epochs must be a whole number, at least 1; got 0"),
        ({"batch_size": 0}, "batch_size must be a whole number, at least 1; got 0"),
    ],
)
def test_training_that_cannot_be_says_why(
    changed: dict[str, Any], message: str
) -> None:
    given_all = {
        "images": some_images(2),
        "labels": [0, 1],
        "groups": [0, 1],
        "epochs": 1,
        **changed,
    }
    with pytest.raises(ValueError, match=message):
        train_groups(small_cnn((1, 8, 8), 2), **given_all)


def test_a_column_of_digits_is_refused() -> None:
    with pytest.raises(ValueError, match=r"digits must be \(n,\); got \(2, 1\)"):
        striped(torch.zeros(2, 1, 8, 8), [[1], [7]], agree=1.0)


def test_groups_are_trained_on_classes_alone() -> None:
    images, groups = torch.rand(4, 3), [0, 1, 0, 1]
    with pytest.raises(ValueError, match="labels must be classes"):
        train_groups(nn.Linear(3, 2), images, [0.9, 1, 0, 1], groups, epochs=1)
    with pytest.raises(ValueError, match=r"groups must be \(n,\)"):
        train_groups(nn.Linear(3, 2), images, [0, 1, 0, 1], [[0]] * 4, epochs=1)
    for labels in ([0, 1, 0, 1], [0.0, 1.0, 0.0, 1.0]):
        train_groups(nn.Linear(3, 2), images, labels, groups, epochs=1, method="dro")
