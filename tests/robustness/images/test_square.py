"""Does the search by squares find images without a gradient, inside the ball?"""

import pytest
import torch

from smallscale.robustness import pgd
from smallscale.robustness.images.norms import Ball
from smallscale.robustness.images.square import (
    _next_change,
    pyramid,
    side_length,
    square,
)
from smallscale.training import accuracy
from tests.robustness.images.helpers import NORMS, length, private

BOUNDS = (0.0, 1.0)


@NORMS
def test_square_alone_comes_near_the_gradient(digit_model, digit_test_set, norm):
    images, labels = digit_test_set
    eps = {"linf": 0.1, "l2": 0.8}[norm]
    found = square(digit_model, Ball(images, eps, norm, BOUNDS), labels, private())
    with_gradient = pgd(digit_model, images, labels, eps, norm=norm)
    white = accuracy(digit_model, with_gradient, labels)
    black = accuracy(digit_model, found, labels)
    assert length(found - images, norm).max() <= eps + 1e-6
    assert black <= white + {"linf": 0.03, "l2": 0.15}[norm]


def test_squares_shrink_as_queries_are_spent():
    """The first square has .8 of the 64 pixels, 7.16 squared; halved, 5.06 squared.

    The schedule's first 10 of 10,000 queries are 1 of these 1,000.
    """
    assert side_length(1, 8, 8) == 7
    assert side_length(2, 8, 8) == 5
    assert side_length(5, 8, 8) == 5
    assert side_length(6, 8, 8) == 4
    assert side_length(999, 8, 8) == 1
    sides = [side_length(query, 28, 28) for query in range(1, 1000)]
    assert sides == sorted(sides, reverse=True)


def test_a_pyramid_by_hand():
    """Three pixels wide it rises 1, 2, 1 each way; its squares sum to 6 * 6."""
    found = pyramid(3, 3, 3, torch.zeros(1), private())[0, 0]
    expected = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 6
    torch.testing.assert_close(found, expected)
    row = pyramid(1, 40, 5, torch.zeros(1), private(3))
    assert row.shape == (1, 1, 1, 40)
    assert int((row > 0).sum()) == 5
    assert float(row.norm()) == pytest.approx(1)


def test_a_new_square_in_l2_keeps_the_length_and_gathers_it():
    """What two squares held goes into the first: outside of both nothing changes."""
    centre = torch.full((4, 2, 8, 8), 0.5)
    ball = Ball(centre, 0.7, "l2", BOUNDS)
    change = torch.randn(centre.shape, generator=private(1))
    change = ball.project(centre + change) - centre
    torch.testing.assert_close(length(change, "l2"), torch.full((4,), 0.7))
    for seed in range(5):
        new = _next_change(change, ball, 3, private(seed))
        torch.testing.assert_close(length(new, "l2"), torch.full((4,), 0.7))
        touched = (new != change).any(0).any(0)
        assert 9 < int(touched.sum()) <= 18
        emptied = (new == 0).all(0).all(0)
        assert 0 < int(emptied.sum()) <= 9


def test_a_new_square_in_linf_moves_its_pixels_to_the_edge():
    centre = torch.full((4, 2, 8, 8), 0.5)
    ball = Ball(centre, 0.1, "linf", BOUNDS)
    change = torch.zeros_like(centre)
    new = _next_change(change, ball, 3, private(2))
    moved = new != 0
    assert moved[0, 0].sum() == 9
    torch.testing.assert_close(new[moved].abs(), torch.full((4 * 2 * 9,), 0.1))
    for channel in (0, 1):
        assert new[:, channel][moved[:, channel]].unique().numel() == 1
