"""Is a step of length one, and a random point anywhere in the ball?"""

import math

import pytest
import torch

from smallscale.robustness.images import norms
from tests.robustness.images.helpers import NORMS, length, private, some_images


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_starts_fill_the_ball(norm):
    x, generator = torch.zeros(1, 1, 1, 3), torch.Generator().manual_seed(0)
    radii = torch.cat(
        [
            length(norms.random_change(x, 2.0, norm, generator), norm)
            for _ in range(2000)
        ]
    )
    assert radii.max() <= 2
    # Uniform in a ball of three dimensions: half the volume lies within 2^(-1/3) =
    # 0.794 of the radius.
    assert (radii <= 2 * 0.5 ** (1 / 3)).float().mean() == pytest.approx(0.5, abs=0.04)


def test_a_tiny_gradient_is_a_direction_all_the_same():
    """A gradient of 1e-30 squared is zero in single precision; its direction is not."""
    gradient = torch.tensor([3e-30, -4e-30]).reshape(1, 1, 1, 2)
    expected = torch.tensor([0.6, -0.8])
    torch.testing.assert_close(norms.direction(gradient, "l2").flatten(), expected)
    broken = torch.tensor([math.nan, math.inf]).reshape(1, 1, 1, 2)
    assert norms.direction(broken, "l2").flatten().tolist() == [0, 0]
    assert norms.direction(broken, "linf").flatten().tolist() == [0, 0]


@NORMS
def test_a_ball_of_some_images_is_theirs_alone(norm):
    ball = norms.Ball(some_images(5), 0.3, norm, (0.0, 1.0))
    some = torch.tensor([3, 1])
    outside = some_images(5, low=-3, high=3, seed=1)
    part = ball.of(some)
    assert torch.equal(part.centre, ball.centre[some])
    assert torch.equal(part.project(outside[some]), ball.project(outside)[some])


@NORMS
def test_a_projection_keeps_what_is_inside_and_ends_on_the_edge(norm):
    ball = norms.Ball(some_images(6, low=0.4, high=0.6), 0.2, norm, (0.0, 1.0))
    inside = ball.centre + 0.01
    torch.testing.assert_close(ball.project(inside), inside)
    outside = ball.centre + some_images(6, low=0.3, high=0.9, seed=1)
    change = ball.project(outside) - ball.centre
    torch.testing.assert_close(length(change, norm), torch.full((6,), 0.2))


@NORMS
def test_a_random_point_is_one_change_for_all_images(norm):
    ball = norms.Ball(some_images(6, low=0.4, high=0.6), 0.1, norm, (0.0, 1.0))
    change = ball.random_point(private()) - ball.centre
    torch.testing.assert_close(change, change[:1].expand_as(change))
    assert 0 < length(change, norm).max() <= 0.1 + 1e-6


def test_a_cut_projection_stays_in_the_bounds():
    centre = torch.tensor([0.05, 0.95]).view(1, 1, 1, 2)
    ball = norms.Ball(centre, 0.1, "linf", (0.0, 1.0))
    far = torch.tensor([-1.0, 2.0]).view(1, 1, 1, 2)
    assert ball.project(far).flatten().tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_narrower_type_rounds_towards_the_centre(dtype):
    """By hand: of the two neighbours the nearer, unless it lies farther out."""
    generator = private()
    centre = (2 * torch.rand(5000, generator=generator) - 1).to(dtype).float()
    x = centre + 0.3 * (2 * torch.rand(5000, generator=generator) - 1)
    centre[:3], x[:3] = torch.tensor([-0.5, 0.5, 0.0]), torch.tensor([-1e-9, 1e-9, 0.1])
    found = norms.rounded_towards(centre, x, dtype)
    assert found.dtype == dtype
    change, wanted = found.float() - centre, x - centre
    assert (change.abs() <= wanted.abs()).all()
    unit = torch.finfo(dtype).eps * torch.maximum(x.abs(), torch.tensor(1e-4))
    assert ((found.float() - x).abs() <= unit).all()
    nearest = x.to(dtype)
    inside = (nearest.float() - centre).abs() <= wanted.abs()
    assert torch.equal(found[inside], nearest[inside])
    assert 0.2 < inside.float().mean() < 0.8
    exact = norms.rounded_towards(centre, centre, dtype)
    assert torch.equal(exact.float(), centre)


def test_the_length_of_a_very_large_change_is_finite():
    change = torch.tensor([[3e30, 4e30], [3.0, 4.0], [0.0, 0.0]])
    expected = torch.tensor([5e30, 5.0, 0.0])
    torch.testing.assert_close(norms.l2_norm(change), expected)


@NORMS
def test_no_ball_is_larger_than_all_images(norm):
    x = torch.zeros(2, 1, 3, 3)
    assert norms.farthest(x, norm, (-1.0, 1.0)) == {"linf": 2, "l2": 6}[norm]
