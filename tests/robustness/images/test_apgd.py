"""Does the ascent set its own step as the paper says, and keep what it found?"""

from itertools import pairwise

import pytest
import torch

from smallscale.robustness import pgd
from smallscale.robustness.images import apgd as module
from smallscale.robustness.images.apgd import apgd, checkpoints
from smallscale.robustness.images.losses import loss_and_gradient
from smallscale.robustness.images.norms import Ball, direction
from smallscale.training import accuracy
from tests.robustness.images.helpers import NORMS, network, read, some_images

BOUNDS = (0.0, 1.0)


@NORMS
@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_one_ascent_beats_pgd_at_as_many_steps(digit_model, digit_test_set, norm, loss):
    images, labels = digit_test_set
    eps = {"linf": 0.1, "l2": 0.6}[norm]
    ball = Ball(images, eps, norm, BOUNDS)
    found = apgd(digit_model, ball, labels, images, loss)
    plain = pgd(digit_model, images, labels, eps, norm=norm, steps=100, loss=loss)
    ours, theirs = (accuracy(digit_model, each, labels) for each in (found, plain))
    assert ours <= theirs + 0.02


def test_the_checkpoints_are_the_papers():
    """p: 0, .22, then each gap .03 shorter, at least .06 (Croce and Hein 2020)."""
    expected = [22, 41, 57, 70, 80, 87, 93, 99]
    found = [place for place in checkpoints(100) if place <= 100]
    # .41 * 100 may round to 42.
    assert all(abs(a - b) <= 1 for a, b in zip(found, expected, strict=True))
    assert next(iter(checkpoints(100).values())) == 22


def valley(images):
    """Read a pixel a: class 0 but for |a - .53| < .04, the nearer to .53 the surer."""
    a = images.flatten()
    return torch.stack([5 * (a - 0.53).abs() - 0.2, 0 * a], 1)


def test_the_step_halves_where_the_loss_stops_rising():
    """Steps of 2 eps = .2 from .5 jump over the bottom; halved, they end there."""
    visited = []

    def deep(images):
        visited.append(float(images.detach()))
        # Nothing fools it, so that the ascent walks to the end.
        return valley(images) + torch.tensor([1.0, 0.0])

    x = torch.full((1, 1, 1, 1), 0.5)
    best = apgd(deep, Ball(x, 0.1, "linf", BOUNDS), torch.tensor([0]), x, "ce")
    assert float(best) == pytest.approx(0.53, abs=0.002)
    assert max(abs(a - 0.53) for a in visited[-5:]) < 0.01
    assert max(abs(a - 0.53) for a in visited[2:20]) > 0.05


def test_an_ascent_that_walks_on_keeps_its_success(monkeypatch):
    """From .45 a step leads to .55, which fools, and the next to .425, which does not.

    The other image, at .9, is never fooled and keeps the ascent walking.
    """
    monkeypatch.setattr(module, "ASCENT_STEPS", 2)
    # Nothing sends it back to its best point.
    monkeypatch.setattr(module, "checkpoints", lambda steps: {})
    x = torch.tensor([0.45, 0.9]).reshape(2, 1, 1, 1)
    found = apgd(valley, Ball(x, 0.1, "linf", BOUNDS), torch.tensor([0, 0]), x, "ce")
    assert float(found[0]) == pytest.approx(0.55)


def plain_apgd(model, image, label, eps, norm, loss):
    """Follow algorithm 1 of Croce and Hein 2020 line by line, for one image (1, ...).

    Returns the first point that fools, else the best, and how often eta was halved.
    """
    ball = Ball(image, eps, norm, BOUNDS)

    def at(point):
        found = loss_and_gradient(model, point, label, loss)
        return float(found.loss), bool(found.fooled), found.gradient

    points = [image]
    seen = [at(image)]
    best = 0  # the index of the point with the highest loss
    eta = 2 * eps
    halvings = 0
    windows = checkpoints(module.ASCENT_STEPS)
    losses_of_window = [seen[0][0]]
    best_at_start = seen[0][0]
    halved_before = False
    x = before = image
    gradient = seen[0][2]
    for k in range(1, module.ASCENT_STEPS + 1):
        z = ball.project(x + eta * direction(gradient, norm))
        if k > 1:
            z = ball.project(x + 0.75 * (z - x) + 0.25 * (x - before))
        before, x = x, z
        points.append(x)
        seen.append(at(x))
        value, fools, gradient = seen[-1]
        if fools:
            return x, halvings
        losses_of_window.append(value)
        if value > seen[best][0]:
            best = k
        if k in windows:
            rises = sum(low < high for low, high in pairwise(losses_of_window))
            rarely = rises < 0.75 * windows[k]
            stuck = not halved_before and seen[best][0] == best_at_start
            halved_before = rarely or stuck
            if halved_before:
                eta = eta / 2
                halvings += 1
                x = points[best]
                value, _, gradient = seen[best]
            losses_of_window, best_at_start = [value], seen[best][0]
    return points[best], halvings


@NORMS
@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_the_ascent_of_many_images_is_the_papers_of_each(norm, loss):
    eps = {"linf": 0.05, "l2": 0.2}[norm]
    halvings = set()
    for seed in range(2):
        model, images = network(seed=seed).double(), some_images(5, seed=seed).double()
        labels = read(model, images)
        together = apgd(model, Ball(images, eps, norm, BOUNDS), labels, images, loss)
        for i in range(5):
            alone, halved = plain_apgd(
                model, images[i : i + 1], labels[i : i + 1], eps, norm, loss
            )
            torch.testing.assert_close(together[i : i + 1], alone, atol=1e-6, rtol=0)
            halvings.add(halved)
    # Some are fooled before the first checkpoint, others halve their step many times.
    assert 0 in halvings
    assert max(halvings) >= 3
