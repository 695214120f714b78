"""Does the widget open on a slow path, answer at once, and survive its extremes?"""

import re
from typing import Any

import numpy as np
import pytest
from defusedxml.ElementTree import fromstring

from smallscale.foundations.races.explorer import (
    IN_TURN,
    contour_paths,
    path_explorer,
)
from smallscale.foundations.races.surfaces import DESCENDERS, SURFACES
from smallscale.notebook import explore


@pytest.fixture(scope="module")
def scene() -> Any:
    return path_explorer()[0]


def said(html: str) -> str:
    found = re.search("<strong>(.*)</strong>", html)
    assert found
    return found[1]


def test_it_opens_on_adam_slowed_by_the_turn(scene: Any) -> None:
    view = explore(*path_explorer()).children[-1].value
    assert "Adam on the same valley, turned, rate 0.1" in view
    steps = [
        int(re.search(r"at step (\d+)", scene(where, "Adam", 0.1, 0.9, 0.999))[1])
        for where in list(SURFACES)[:2]
    ]
    assert steps[1] > 3 * steps[0]


@pytest.mark.parametrize("name", DESCENDERS)
@pytest.mark.parametrize("where", [*SURFACES, IN_TURN])
def test_every_state_is_a_picture_with_a_sentence(
    scene: Any, where: str, name: str
) -> None:
    for lr, beta1, beta2 in [(0.001, 0.0, 0.1), (1.0, 0.99, 0.999), (1.0, 0.0, 0.1)]:
        html = scene(where, name, lr, beta1, beta2)
        svg = re.search(r"<svg.*</svg>", html, re.S)
        assert svg
        fromstring(svg[0])
        assert name in said(html)
        assert "nan" not in html
        assert ("It has no β2" in html) == (name in ("momentum", "Muon"))


def test_the_counterexample_tells_adam_from_amsgrad(scene: Any) -> None:
    assert "the worst (" in scene(IN_TURN, "Adam", 0.3, 0.0, 0.1)
    assert "the best (" in scene(IN_TURN, "AMSGrad", 0.3, 0.0, 0.1)
    assert "the best (" in scene(IN_TURN, "Adam", 0.3, 0.0, 0.9)


def test_a_path_that_runs_away_is_told(scene: Any) -> None:
    html = scene("Rosenbrock's bend", "momentum", 1.0, 0.0, 0.9)
    assert "left the picture for good at step" in html


def test_contours_are_where_the_loss_is_equal() -> None:
    surface = SURFACES["a saddle"]
    for line in contour_paths(surface):
        pairs = [pair.split() for pair in line[1:].split("L")]
        x, y = (np.array(pairs, dtype=float) / 100 - 2).T
        losses = surface.value(x, -y)
        assert np.ptp(losses) < 0.05 + 0.05 * abs(losses).max()
