"""Do corruptions corrupt, as strongly as they say, and leave their input alone?"""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from smallscale.core.intervals import binomial_interval
from smallscale.datasets.digits import digits
from smallscale.robustness.shift.corruptions import (
    CORRUPTIONS,
    corrupt,
    corruption_accuracy,
    corruption_errors,
)
from tests.robustness.shift.helpers import PLACES, some_images

NAMES = list(CORRUPTIONS)


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


def test_errors_are_shares_of_a_baselines_by_hand() -> None:
    """Errors .2 and .4 against .5 and .5, clean errors .1 and .3: CE .6, relative 1."""
    columns = ["corruption", "severity", "accuracy"]
    table = pd.DataFrame([("blur", 1, 0.8), ("blur", 2, 0.6)], columns=columns)
    baseline = pd.DataFrame([("blur", 1, 0.5), ("blur", 2, 0.5)], columns=columns)
    clean = {"clean": 0.9, "baseline_clean": 0.7}
    errors = corruption_errors(table, baseline, **clean)
    assert errors.loc["blur"].tolist() == pytest.approx([0.6, 1.0])
    steady = corruption_errors(table, baseline, clean=0.9, baseline_clean=0.4)
    assert math.isnan(steady.relative_CE["blur"])
    with pytest.raises(ValueError, match="the same corruptions and severities"):
        corruption_errors(table, baseline[:1], **clean)


@pytest.mark.parametrize("severity", [True, np.True_])
def test_a_severity_is_a_number(severity):
    with pytest.raises(ValueError, match="severity must be a whole number from 0 to 5"):
        corrupt([[[[0.5, 1.0]]]], "brightness", severity)
