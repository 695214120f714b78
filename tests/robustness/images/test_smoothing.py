"""Does the vote under noise certify what a linear classifier's margin says?

And no more than its samples allow?
"""

import math

import pytest
import torch
from scipy.stats import norm
from torch import nn

from smallscale.robustness.images.smoothing import smoothed, votes

SIGMA = 0.5


@pytest.fixture(scope="module")
def linear():
    """z_1 - z_0 = a - 2b + 1, of images (1, 1, 2); the length of its gradient is the
    root of 5.
    """
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2)).eval()
    model[1].weight.data = torch.tensor([[0.0, 0.0], [1.0, -2.0]])
    model[1].bias.data = torch.tensor([0.0, 1.0])
    return model


def at_distances(*distances: float) -> torch.Tensor:
    """Images so far from the boundary, on class 1's side where above 0."""
    foot, way = torch.tensor([-0.2, 0.4]), torch.tensor([1.0, -2.0]) / math.sqrt(5)
    return torch.stack([foot + distance * way for distance in distances]).reshape(
        -1, 1, 1, 2
    )


def test_the_radius_of_a_linear_classifier_is_its_distance_from_the_boundary(linear):
    """p = Phi(distance / sigma), so that sigma * quantile(p) is the distance; the
    estimate stays below, but near.
    """
    distances = [0.2, 0.4, 0.6, -0.2, -0.5]
    classes, radii = smoothed(
        linear, at_distances(*distances), sigma=SIGMA, samples=5000
    )
    assert classes.tolist() == [1, 1, 1, 0, 0]
    true = torch.tensor(distances).abs()
    assert (radii <= true).all()
    assert (radii >= true - 0.07).all()


def test_the_share_of_votes_is_the_normal_distribution(linear):
    share = (
        votes(linear, at_distances(0.3), SIGMA, 4000, torch.Generator().manual_seed(1))[
            0
        ]
        / 4000
    )
    assert share.sum() == 1
    assert share[1] == pytest.approx(norm.cdf(0.3 / SIGMA), abs=0.02)


def test_the_radius_is_limited_by_the_number_of_samples(linear):
    """All 500 votes for one class prove p >= alpha^(1/500) and no more, by Clopper and
    Pearson's closed form.
    """
    _, radii = smoothed(
        linear, at_distances(50.0), sigma=SIGMA, samples=500, alpha=0.01
    )
    assert float(radii) == pytest.approx(SIGMA * norm.ppf(0.01 ** (1 / 500)))


def test_on_the_boundary_it_abstains(linear):
    classes, radii = smoothed(linear, at_distances(0.0, 0.01, 1.0), sigma=SIGMA)
    assert classes.tolist() == [-1, -1, 1]
    assert radii[:2].tolist() == [0, 0]


def test_the_radius_is_too_large_at_most_as_often_as_alpha_says(linear):
    """With alpha 0.2, over 150 seeds, about a fifth of the radii are too large: the
    interval is not wasteful either.
    """
    wrong = [
        float(
            smoothed(
                linear,
                at_distances(0.3),
                sigma=SIGMA,
                samples=40,
                alpha=0.2,
                generator=seeded(k),
            )[1]
        )
        > 0.3
        for k in range(150)
    ]
    assert 0.08 < sum(wrong) / 150 < 0.25


def test_the_class_is_selected_on_samples_of_its_own():
    """A model that names a new class at every call never wins twice: selecting and
    counting in one draw would.
    """
    calls = iter(range(10**6))

    def fickle(images):
        return nn.functional.one_hot(
            torch.full((len(images),), int(next(calls) < 100)), 2
        ).float()

    classes, _ = smoothed(fickle, torch.rand(3, 1, 2, 2), sigma=SIGMA, samples=1000)
    assert classes.tolist() == [-1, -1, -1]  # selected 1, then not one vote for it


def test_no_image_depends_on_the_others_and_the_generator_decides(linear):
    images = at_distances(0.1, 0.3, 0.5, 0.2)
    classes, radii = smoothed(linear, images, sigma=SIGMA, samples=200)
    alone = [
        smoothed(linear, image[None], sigma=SIGMA, samples=200) for image in images
    ]
    assert torch.equal(torch.cat([radius for _, radius in alone]), radii)
    assert torch.equal(torch.cat([one for one, _ in alone]), classes)
    torch.manual_seed(9)
    before = torch.get_rng_state()
    assert not torch.equal(
        smoothed(linear, images, sigma=SIGMA, samples=200, generator=seeded(3))[1],
        radii,
    )
    assert torch.equal(
        smoothed(linear, images, sigma=SIGMA, samples=200, generator=seeded(0))[1],
        radii,
    )
    assert torch.equal(torch.get_rng_state(), before)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": 0.0}, "sigma must be a finite number, above 0; got 0"),
        ({"sigma": math.inf}, "sigma must be"),
        ({"sigma": math.nan}, "sigma must be"),
        (
            {"sigma": 0.5, "alpha": 0.0},
            "alpha must be a finite number, above 0 and below 1",
        ),
        ({"sigma": 0.5, "alpha": 1.0}, "alpha must be a finite number"),
        (
            {"sigma": 0.5, "samples": 9},
            "samples must be a whole number, at least 10; got 9",
        ),
    ],
)
def test_arguments_that_cannot_be_right(linear, options, message):
    with pytest.raises(ValueError, match=message):
        smoothed(linear, at_distances(1.0), **options)


def test_noise_that_breaks_the_model_is_refused(linear):
    """Finite where it is asked without noise, NaN outside of [0, 1]."""

    def broken(images):
        outside = (images < 0).flatten(1).any(1, keepdim=True)
        return linear(images).masked_fill(outside, math.nan)

    inside = torch.full((2, 1, 1, 2), 0.5)
    assert broken(inside).isfinite().all()
    with pytest.raises(ValueError, match="model must return finite logits"):
        smoothed(broken, inside, sigma=0.5, samples=50)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.full((1, 1, 1, 2), math.nan), "images must be finite"),
        (torch.ones(1, 1, 1, 2, dtype=torch.uint8), "images must be floating-point"),
    ],
)
def test_images_that_cannot_be_right(linear, images, message):
    with pytest.raises(ValueError, match=message):
        smoothed(linear, images, sigma=0.5)


def test_noise_in_half_precision_is_as_wide(linear):
    """Drawn and added in float32: the radius is what it is in float32."""
    images = at_distances(0.3).half()
    _, narrow = smoothed(linear, images, sigma=SIGMA, samples=2000)
    _, wide = smoothed(linear, images.float(), sigma=SIGMA, samples=2000)
    assert float(narrow) == pytest.approx(float(wide), abs=0.02)
