"""Do corruptions corrupt, do groups hold what they say, and do the weights follow the paper's line?"""

import math
from itertools import pairwise
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
from smallscale.notebook import explore
from smallscale.robustness.images.exercises import (
    NOT_YET,
    check_group_weights,
    check_worst_group,
)
from smallscale.robustness.images.explorer import corruption_explorer, corruption_scene
from smallscale.robustness.shift.corruptions import (
    CORRUPTIONS,
    corrupt,
    corruption_accuracy,
)
from smallscale.robustness.shift.groups import (
    METHODS,
    Striped,
    average_and_worst,
    both_ways,
    group_accuracy,
    group_dro_weights,
    striped,
    train_groups,
    worst_group_accuracy,
)

NAMES = list(CORRUPTIONS)
PLACES = torch.arange(20) % 10


def some_images(n: int = 20, side: int = 8, channels: int = 1) -> Tensor:
    return torch.rand(
        n, channels, side, side, generator=torch.Generator().manual_seed(0)
    )


class Brightest(nn.Module):
    """Reads the side of the stripe and nothing else: right where it agrees."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x[..., 0].mean((1, 2)), x[..., -1].mean((1, 2))], 1)


# corruptions


@pytest.mark.parametrize("name", NAMES)
def test_a_corruption_keeps_shape_and_range_is_seeded_and_leaves_its_input_alone(
    name: str,
) -> None:
    for images in (some_images(), some_images(3, 28), some_images(2, 9, channels=3)):
        before, state = images.clone(), torch.get_rng_state()
        for severity in range(1, 6):
            once, again = (corrupt(images, name, severity, seed=4) for _ in range(2))
            assert once.shape == images.shape
            assert once.dtype == torch.float32
            assert once.min() >= 0
            assert once.max() <= 1
            assert torch.equal(once, again)
            assert not torch.equal(once, images)
        assert torch.equal(images, before)
        assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", NAMES)
def test_a_higher_severity_changes_real_digits_more(name: str) -> None:
    images = digits().images[:200]
    change = [
        float((corrupt(images, name, k) - images).square().mean()) for k in range(6)
    ]
    assert change[0] == 0
    assert all(low < high for low, high in pairwise(change))


@pytest.mark.parametrize(
    "name",
    [name for name in NAMES if "noise" in name or name in ("rotation", "translation")],
)
def test_what_is_random_depends_on_the_seed(name: str) -> None:
    assert not torch.equal(
        corrupt(some_images(), name, 3, seed=0), corrupt(some_images(), name, 3, seed=1)
    )


def test_corruptions_by_hand() -> None:
    image = torch.tensor([[0.0, 1.0], [0.5, 0.5]]).view(1, 1, 2, 2)
    assert torch.allclose(
        corrupt(image, "brightness", 2),
        torch.tensor([[0.2, 1.0], [0.7, 0.7]]).view(1, 1, 2, 2),
    )
    # The mean is .5; a tenth of each distance is left.
    assert torch.allclose(
        corrupt(image, "contrast", 4),
        torch.tensor([[0.45, 0.55], [0.5, 0.5]]).view(1, 1, 2, 2),
    )
    blank = torch.full((1, 1, 64, 64), 0.5)
    assert (corrupt(blank, "gaussian noise", 1) - blank).std() == pytest.approx(
        0.08, abs=0.005
    )
    assert (corrupt(blank, "shot noise", 2) - blank).std() == pytest.approx(
        math.sqrt(0.5 / 25), abs=0.01
    )
    assert (
        corrupt(blank, "impulse noise", 5) != blank
    ).float().mean() == pytest.approx(0.27, abs=0.02)


def test_blur_and_translation_of_a_point() -> None:
    point = torch.zeros(50, 1, 21, 21)
    point[:, :, 10, 10] = 1
    blurred = corrupt(point[:1], "blur", 1)
    assert blurred.sum() == pytest.approx(1, abs=1e-5)  # light is spread, not lost
    assert torch.allclose(blurred, blurred.flip(2).transpose(2, 3), atol=1e-7)
    rows = blurred[0, 0].sum(1)
    assert (rows * (torch.arange(21) - 10) ** 2).sum().sqrt() == pytest.approx(
        0.05 * 21, rel=0.03
    )
    moved = corrupt(point, "translation", 4)[:, 0]  # by a fifth of 21 pixels
    place = torch.arange(21.0) - 10
    down, right = (moved.sum(2) * place).sum(1), (moved.sum(1) * place).sum(1)
    assert torch.allclose(moved.sum((1, 2)), torch.ones(50), atol=1e-4)
    assert torch.allclose(
        (down**2 + right**2).sqrt(), torch.full((50,), 4.2), atol=1e-3
    )
    assert min(down.min(), right.min()) < -3
    assert max(down.max(), right.max()) > 3


def test_rotation_keeps_the_distance_from_the_centre_also_in_an_oblong_image() -> None:
    point = torch.zeros(30, 1, 21, 41)
    point[:, :, 10, 28] = 1  # eight to the right of the centre
    turned = corrupt(point, "rotation", 4)[:, 0]
    down = (turned.sum(2) * (torch.arange(21.0) - 10)).sum(1) / turned.sum((1, 2))
    right = (turned.sum(1) * (torch.arange(41.0) - 20)).sum(1) / turned.sum((1, 2))
    assert torch.allclose((down**2 + right**2).sqrt(), torch.full((30,), 8.0), atol=0.2)
    assert torch.allclose(
        down.abs(), torch.full((30,), 8 * math.sin(math.radians(32))), atol=0.3
    )
    assert min(down) < 0 < max(down)


def test_accuracy_by_corruption_counts_and_brings_intervals() -> None:
    table = corruption_accuracy(lambda x: torch.eye(10)[PLACES], some_images(), PLACES)
    assert len(table) == 5 * len(NAMES)
    assert (table.accuracy == 1).all()
    half = corruption_accuracy(
        lambda x: torch.eye(10)[PLACES],
        some_images(),
        torch.where(PLACES < 5, PLACES, 0),
    )
    assert tuple(half.iloc[0][["accuracy", "low", "high"]]) == (
        0.5,
        *binomial_interval(10, 20),
    )


@pytest.mark.parametrize(
    ("images", "name", "severity", "message"),
    [
        (some_images(), "fog", 1, "name must be one of gaussian noise, .*got 'fog'"),
        (
            some_images(),
            "blur",
            6,
            "severity must be a whole number from 0 to 5; got 6",
        ),
        (some_images(), "blur", 1.5, "severity must be a whole number"),
        (
            some_images()[0],
            "blur",
            1,
            "images must be \\(n, channels, height, width\\)",
        ),
        (some_images()[:0], "blur", 1, "not empty"),
        (some_images() * 2, "blur", 1, "images must lie in \\[0, 1\\]"),
        (some_images() - 1, "blur", 1, "images must lie in \\[0, 1\\]"),
        (some_images() * math.nan, "blur", 1, "images must lie in \\[0, 1\\]"),
    ],
)
def test_what_cannot_be_corrupted_says_why(
    images: Tensor, name: str, severity: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        corrupt(images, name, severity)


def test_the_explorer_opens_on_a_misreading_answers_and_survives_its_ends() -> None:
    model = small_cnn((1, 8, 8))
    box = explore(*corruption_explorer(model, some_images(4), [0, 1, 2, 3]))
    image, name, severity, view = box.children
    assert severity.value == 3
    said = view.value
    assert "severity 3: true" in said
    assert 'role="img"' in said
    for name.value in NAMES:
        for severity.value in (0, 5):
            for image.value in (0, 3):
                assert f"true {image.value}, read as" in view.value
    severity.value = 0
    assert "Not corrupted" in view.value


def test_a_scene_says_truth_and_reading() -> None:
    said = corruption_scene(np.eye(4), np.array([0.25, 0.75]), 0, "blur", 2)
    assert "Blur, severity 2: true 0, read as 1 with probability 0.75." in said
    assert said.count("<svg") == 1


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
        (3, [1, 2], 0.9, "images and digits must be as many"),
        (0, [], 0.9, "at least 1"),
        (2, [1, 2], 1.1, "agree must lie in \\[0, 1\\]; got 1.1"),
        (2, [1, 2], math.nan, "agree must lie"),
        (2, [1, 10], 0.9, "digits must lie in 0..9; got 1 to 10"),
        (2, [-1, 1], 0.9, "digits must lie in 0..9"),
    ],
)
def test_a_stripe_that_cannot_be_says_why(
    n: int, labels: list[int], agree: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        striped(some_images(n), labels, agree=agree)


# group DRO's weights


def test_weights_by_hand() -> None:
    # ln 2 doubles: (1/2, 1/4 * 2, 1/4) / (5/4) = (.4, .4, .2)
    q = torch.tensor([0.5, 0.25, 0.25])
    new = group_dro_weights(q, torch.tensor([0.0, math.log(2), 0.0]), 1.0)
    assert torch.allclose(new, torch.tensor([0.4, 0.4, 0.2]))
    assert new.dtype == q.dtype
    # eta 2 squares the factor: (1, 4) / 5
    assert group_dro_weights([1, 1], [0, math.log(2)], 2).tolist() == pytest.approx(
        [0.2, 0.8]
    )
    assert group_dro_weights(
        np.array([3, 1]), np.array([7.0, 7.0]), 1
    ).tolist() == pytest.approx([0.75, 0.25])


@pytest.mark.parametrize("empty", [math.nan, None])
def test_an_empty_group_keeps_its_weight_up_to_normalisation(
    empty: float | None,
) -> None:
    # factors 1 and 3: (1/2, 3/2) / 2
    assert group_dro_weights(
        [0.5, 0.5], [empty, math.log(3)], 1
    ).tolist() == pytest.approx([0.25, 0.75])
    assert group_dro_weights([0.2, 0.8], [empty, empty], 1).tolist() == pytest.approx(
        [0.2, 0.8]
    )


def test_large_losses_are_safe() -> None:
    assert group_dro_weights([0.5, 0.5], [1e6, 1e6], 10).tolist() == [0.5, 0.5]
    assert group_dro_weights([0.5, 0.5], [1e308, 0], 1e3).tolist() == [1, 0]
    assert group_dro_weights([0.9, 0.1], [0, math.inf], 0.01).tolist() == [0, 1]
    assert group_dro_weights([0.0, 1.0], [math.inf, 1], 1).tolist() == [
        0,
        1,
    ]  # weight 0 stays 0
    assert group_dro_weights([0.5, 0.5], [math.inf, 0], 0).tolist() == [0.5, 0.5]


LOSSES = st.lists(
    st.one_of(st.floats(0, 1e9), st.just(math.nan)), min_size=1, max_size=6
)


@given(LOSSES, st.floats(0, 100), st.randoms(use_true_random=False))
def test_weights_are_a_distribution_and_follow_the_losses(
    losses: list[float], eta: float, random: Any
) -> None:
    q = torch.tensor([random.random() + 0.01 for _ in losses], dtype=torch.float64)
    given_losses = torch.tensor(losses, dtype=torch.float64, requires_grad=True)
    before = q.clone(), given_losses.detach().clone()
    new = group_dro_weights(q, given_losses, eta)
    assert not new.requires_grad
    assert new.sum() == pytest.approx(1)
    assert (new >= 0).all()
    assert torch.equal(q, before[0])
    assert torch.equal(given_losses.detach().nan_to_num(-1), before[1].nan_to_num(-1))
    for a in range(len(losses)):
        for b in range(len(losses)):
            if losses[a] > losses[b]:  # the ratio to another group moves with the loss
                assert new[a] * q[b] >= new[b] * q[a] * (1 - 1e-9)


@pytest.mark.parametrize(
    ("q", "losses", "eta", "message"),
    [
        ([1, 1], [1], 1, "q and group_losses must be \\(groups,\\)"),
        ([], [], 1, "q and group_losses must be"),
        (1.0, 1.0, 1, "q and group_losses must be"),
        ([-1, 2], [1, 1], 1, "q must be finite, not negative"),
        ([0, 0], [1, 1], 1, "not all 0"),
        ([math.nan, 1], [1, 1], 1, "q must be finite"),
        ([1, 1], [-math.inf, 1], 1, "group_losses must not be -inf"),
        ([1, 1], [1, 1], -1, "eta must be finite and at least 0; got -1"),
        ([1, 1], [1, 1], math.nan, "eta must be finite"),
        ([1, 1], [1, 1], math.inf, "eta must be finite"),
    ],
)
def test_weights_that_cannot_be_say_why(
    q: Any, losses: Any, eta: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        group_dro_weights(q, losses, eta)


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
        for m in METHODS
    }
    assert worst["erm"] < 0.3
    assert min(worst["reweight"], worst["dro"]) > worst["erm"] + 0.3


@pytest.mark.parametrize("method", METHODS)
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
    """Two images that contradict each other, in groups of their own: with a large eta, neither is given up."""
    x = torch.ones(2, 1, 2, 2)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    train_groups(
        model, x, [0, 1], [3, 8], method="dro", epochs=60, batch_size=1, eta=1.0
    )
    assert all(torch.isfinite(p).all() for p in model.parameters())
    with torch.no_grad():
        assert model(x[:1]).softmax(1).max() < 0.9


def test_reweighting_draws_each_group_as_often() -> None:
    """A constant model can only learn the share of the labels that it is shown: half, though 1 of 10 is labelled 1."""
    x, y = torch.zeros(200, 1, 1, 1), (torch.arange(200) % 10 == 0).long()
    shares = {}
    for method in METHODS:
        model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
        train_groups(model, x, y, y, method=method, epochs=150, lr=0.02)
        with torch.no_grad():
            shares[method] = float(model(x[:1]).softmax(1)[0, 1])
    assert shares["erm"] == pytest.approx(0.1, abs=0.04)
    assert shares["reweight"] == pytest.approx(0.5, abs=0.08)
    assert shares["dro"] == pytest.approx(0.5, abs=0.08)


def test_dro_ends_where_the_groups_losses_are_equal() -> None:
    """A constant p of label 1. Group 0 is half and half, group 1 all 1: the mean of their losses is least at p = 3/4,
    the larger of them at p = 1/2, where both are ln 2."""
    x, y, groups = (
        torch.zeros(200, 1, 1, 1),
        torch.tensor([0, 1, 1, 1]).repeat(50),
        torch.tensor([0, 0, 1, 1]).repeat(50),
    )
    shares = {}
    for method in ("reweight", "dro"):
        model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
        train_groups(model, x, y, groups, method=method, epochs=150, lr=0.01, eta=0.1)
        with torch.no_grad():
            shares[method] = float(model(x[:1]).softmax(1)[0, 1])
    assert shares["reweight"] == pytest.approx(0.75, abs=0.05)
    assert shares["dro"] == pytest.approx(0.5, abs=0.07)


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
        ({"method": "jtt"}, "method must be one of erm, reweight, dro; got 'jtt'"),
        ({"labels": [0]}, "images, labels and groups must be as many"),
        ({"groups": [0]}, "images, labels and groups must be as many"),
        ({"epochs": 0}, "epochs must be at least 1; got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1; got 0"),
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


# the exercises' checks


def _raised(q: Tensor, losses: Tensor, eta: float) -> Tensor:
    return q * (eta * losses).exp()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda q, losses, eta: None, NOT_YET),
        (lambda q, losses, eta: q[:2], "shape of q"),
        (_raised, "divide by their sum"),
        (
            lambda q, losses, eta: (eta * losses).softmax(0),
            "old weights were forgotten",
        ),
        (lambda q, losses, eta: (q.log() - eta * losses).softmax(0), "sign is wrong"),
        (lambda q, losses, eta: q, "compare with the equation"),
        (
            lambda q, losses, eta: (
                _raised(q, losses, eta) / _raised(q, losses, eta).sum()
            ),
            "a loss of 1000 gives NaN",
        ),
        (group_dro_weights, "Right"),
    ],
)
def test_answers_on_the_weights_are_told_what_is_wrong(answer: Any, says: str) -> None:
    assert says in check_group_weights(answer)


def test_answers_on_the_worst_group_are_told_what_is_wrong() -> None:
    x = torch.zeros(20, 1, 8, 8)
    test = Striped(x, (PLACES >= 5).long(), torch.zeros(20).long())
    seen = striped(x, PLACES, agree=1)
    told = {"beat": 0.3, "average": 0.75}
    assert check_worst_group(lambda x, y: None, seen, test, **told) == NOT_YET
    stripe = check_worst_group(
        lambda x, y: Brightest(), seen, both_ways(x, PLACES), **told
    )
    assert stripe == "The worst group is at 0.00, and the goal is above 0.30."

    def truth(images: Tensor) -> Tensor:
        return torch.eye(2)[test.labels]

    def half(images: Tensor) -> Tensor:
        return torch.eye(2)[
            torch.where(torch.arange(20) % 2 == 0, test.labels, 1 - test.labels)
        ]

    assert "below 0.75" in check_worst_group(lambda x, y: half, seen, test, **told)
    assert check_worst_group(lambda x, y: truth, seen, test, **told).startswith("Right")
