"""Does a curve count what is read right, and bring its interval?"""

import pytest
import torch

from smallscale.core.intervals import binomial_interval, mean_interval
from smallscale.robustness import accuracy_curve, random_signs
from smallscale.robustness.images.curves import gaussian, mean_curve
from tests.robustness.images.helpers import some_images


def bright(images):
    """Read 1 in an image whose mean is above a half, else 0."""
    mean = images.flatten(1).mean(1)
    return torch.stack([torch.full_like(mean, 0.5), mean], 1)


def darken(model, images, labels, eps):
    return images - eps


def test_a_curve_by_hand():
    """Means .6 to .9 of label 1; darkened by .25, the last two are read right."""
    images = torch.tensor([0.6, 0.7, 0.8, 0.9]).view(4, 1, 1, 1)
    curve = accuracy_curve(bright, images, [1] * 4, [0.0, 0.25, 0.5], darken)
    assert list(curve.columns) == ["eps", "accuracy", "low", "high"]
    assert curve.eps.tolist() == [0, 0.25, 0.5]
    assert curve.accuracy.tolist() == [1, 0.5, 0]
    for row, kept in zip(curve.itertuples(), (4, 2, 0), strict=True):
        assert (row.low, row.high) == binomial_interval(kept, 4)


def dark(images):
    """Read 1 in an image whose mean is above .75, else 0."""
    return bright(images - 0.25)


def test_a_mean_curve_by_hand():
    """Of four images one model reads all, the other two: 1 and .5, with t(.975, 1)."""
    images = torch.tensor([0.6, 0.7, 0.8, 0.9]).view(4, 1, 1, 1)
    curve = mean_curve([bright, dark], images, [1] * 4, [0.0, 0.5], darken)
    assert list(curve.columns) == ["eps", "accuracy", "low", "high"]
    assert curve.accuracy.tolist() == [0.75, 0]
    interval = mean_interval([1.0, 0.5])
    assert interval.low < 0 < 1 < interval.high
    assert (curve.low[0], curve.high[0]) == (0, 1)
    narrow = mean_curve([dark, dark, dark], images, [1] * 4, [0.0], darken)
    assert narrow.iloc[0].tolist() == [0, 0.5, 0.5, 0.5]
    # Three models that read 4, 2 and 2 of 4: every one of them counts.
    three = mean_curve([bright, dark, dark], images, [1] * 4, [0.0], darken)
    assert three.accuracy[0] == pytest.approx(2 / 3)
    assert three.low[0] == max(0, mean_interval([1.0, 0.5, 0.5]).low)


def test_a_mean_curve_needs_two_models():
    with pytest.raises(ValueError, match="two or more"):
        mean_curve([bright], some_images(2), [1, 1], [0.1], darken)


def test_random_signs_move_every_pixel_by_eps_and_stay_in_the_unit_interval():
    images = some_images(30, low=0.3, high=0.7)
    moved = random_signs(bright, images, None, 0.25)
    torch.testing.assert_close((moved - images).abs(), torch.full_like(images, 0.25))
    assert 0.4 < float((moved > images).float().mean()) < 0.6
    assert torch.equal(moved, random_signs(bright, images, None, 0.25))
    assert not torch.equal(moved, random_signs(bright, images, None, 0.25, seed=1))
    wide = random_signs(bright, images, None, 2.0)
    assert set(wide.flatten().tolist()) == {0.0, 1.0}


def test_gaussian_noise_has_its_deviation_and_is_not_clipped():
    torch.manual_seed(0)
    images = torch.zeros(50, 1, 8, 8)
    noise = gaussian(bright, images, None, sigma=0.5)
    assert abs(float(noise.std()) - 0.5) < 0.02
    assert noise.min() < 0
