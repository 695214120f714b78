"""Does FAB find the nearest image beyond the boundary, where that can be computed?"""

import math

import pytest
import torch
from torch import Tensor, nn

from smallscale.robustness.images.fab import fab, to_plane
from smallscale.robustness.images.norms import Ball
from smallscale.training.evaluation import predict_logits
from tests.robustness.images.helpers import (
    NORMS,
    length,
    linear,
    network,
    private,
    read,
    some_images,
)

BOUNDS = (0.0, 1.0)
DUAL = {"linf": 1, "l2": 2}


@NORMS
def test_on_a_linear_model_it_finds_the_distance(norm):
    """|z_y - z_t| / ||w||_dual, where no bounds cut: found within a hundredth."""
    model, images = linear().double(), some_images(40, low=0.45, high=0.55).double()
    logits = predict_logits(model, images)
    labels = logits.argmax(1)
    w = (model[1].weight[0] - model[1].weight[1]).detach()
    distance = (logits[:, 0] - logits[:, 1]).abs() / w.norm(p=DUAL[norm])
    uncut = distance < 4
    whole = Ball(images, 40.0, norm, (-9.0, 9.0))
    found = fab(model, whole, labels, 1 - labels)
    assert uncut.sum() > 20  # by chance some lie very far
    assert (read(model, found) != labels)[uncut].all()
    reached = length(found - images, norm)[uncut]
    assert (reached >= distance[uncut] - 1e-12).all()
    assert (reached <= 1.01 * distance[uncut] + 1e-9).all()


@NORMS
def test_in_the_ball_or_brought_back_into_it(norm):
    model, images = network(4), some_images(12)
    labels = read(model, images)
    targets = (labels + 1) % 4
    for eps in (0.01, 0.2):
        found = fab(model, Ball(images, eps, norm, BOUNDS), labels, targets)
        assert length(found - images, norm).max() <= eps + 1e-6
        assert found.min() >= 0
        assert found.max() <= 1


def by_bisection(
    x: Tensor, value: float, gradient: Tensor, norm: str
) -> tuple[Tensor, bool]:
    """Follow the change as s grows, pixel by pixel, until the plane is reached."""
    uphill = gradient if value < 0 else -gradient

    def change(s: float) -> Tensor:
        moved = []
        for pixel, g in zip(x.tolist(), uphill.tolist(), strict=True):
            step = s * abs(g) if norm == "l2" else s * (g != 0)
            room = 1 - pixel if g > 0 else pixel
            moved.append(math.copysign(min(step, room), g))
        return torch.tensor(moved, dtype=torch.float64)

    low, high = 0.0, 1e6
    reachable = abs(value) <= float((uphill * change(high)).sum())
    for _ in range(200):
        middle = (low + high) / 2
        enough = float((uphill * change(middle)).sum()) >= abs(value)
        low, high = (low, middle) if enough else (middle, high)
    return change(high), reachable


@NORMS
def test_the_way_to_a_plane_is_the_shortest_within_bounds(norm):
    generator = private()
    reachable = 0
    for scale in (0.1, 1.0, 3.0, 30.0):
        x = torch.rand(20, 6, generator=generator, dtype=torch.float64)
        gradient = torch.randn(20, 6, generator=generator, dtype=torch.float64)
        gradient[:, 0] = 0
        value = scale * torch.randn(20, generator=generator, dtype=torch.float64)
        found = to_plane(x, value, gradient, norm, BOUNDS)
        for i in range(20):
            expected, reached = by_bisection(x[i], float(value[i]), gradient[i], norm)
            torch.testing.assert_close(found[i], expected, atol=1e-6, rtol=0)
            reachable += reached
            if reached:
                left = float(value[i] + gradient[i] @ found[i])
                assert left == pytest.approx(0, abs=1e-9)
        assert (x + found).min() >= -1e-12
        assert (x + found).max() <= 1 + 1e-12
    assert 20 < reachable < 80


@NORMS
def test_where_there_is_no_gradient_nothing_moves(norm):
    x = some_images(2).flatten(1)
    still = to_plane(x, torch.ones(2), torch.zeros_like(x), norm, BOUNDS)
    assert (still == 0).all()


@NORMS
def test_the_scale_of_the_logits_does_not_matter(norm):
    model, images = network(3).double(), some_images(10).double()
    labels = read(model, images)
    targets = (labels + 1) % 3
    loud = nn.Sequential(model, nn.Linear(3, 3, bias=False)).double().eval()
    loud[1].weight.data = 1e5 * torch.eye(3, dtype=torch.float64)
    ball = Ball(images, 0.5, norm, BOUNDS)
    plain, scaled = (fab(each, ball, labels, targets) for each in (model, loud))
    torch.testing.assert_close(plain, scaled, atol=1e-6, rtol=0)
    assert (read(model, plain) != labels).any()
