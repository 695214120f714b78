"""Are the surfaces' derivatives their own, and do paths end where they should?"""

import numpy as np
import pytest

from smallscale.foundations.races.surfaces import DESCENDERS, SURFACES, descend


@pytest.mark.parametrize("name", SURFACES)
def test_slopes_and_bends_are_the_derivatives(name: str) -> None:
    surface, h = SURFACES[name], 1e-4
    for x, y in [(0.3, -0.7), (-1.2, 0.4), (1.5, 1.9)]:
        at = surface.value
        slopes = (at(x + h, y) - at(x - h, y), at(x, y + h) - at(x, y - h))
        assert np.allclose(np.array(slopes) / (2 * h), surface.slope(x, y), rtol=1e-5)
        middle = 2 * at(x, y)
        bends = (
            at(x + h, y) + at(x - h, y) - middle,
            at(x, y + h) + at(x, y - h) - middle,
        )
        found = surface.bend(x, y)
        assert np.allclose(np.array(bends) / h**2, found, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SURFACES)
def test_nothing_on_the_picture_is_below_the_best(name: str) -> None:
    x, y = np.meshgrid(np.linspace(-2, 2, 201), np.linspace(-2, 2, 201))
    surface = SURFACES[name]
    assert surface.best == pytest.approx(surface.value(x, y).min(), abs=1e-3)


def test_only_rules_that_look_at_single_weights_notice_the_turn() -> None:
    straight, turned = list(SURFACES.values())[:2]
    for name in DESCENDERS:
        ends = []
        for surface in (straight, turned):
            path = descend(surface, name, lr=0.1, steps=60)
            ends.append(surface.value(*path.T)[[10, 30, 60]])
        same = np.allclose(ends[0], ends[1], rtol=0.2, atol=0.05 * ends[0][0])
        assert same == (name in ("momentum", "Muon")), name


def test_sophia_with_the_true_curvature_takes_newtons_steps() -> None:
    path = descend(
        SURFACES["valley along the axes"], "SophiaG", lr=1.0, beta1=0, beta2=0, steps=2
    )
    # Clipped to 1 in x at first, then Newton's step to the bottom.
    assert path == pytest.approx(np.array([(-1.7, 0.9), (-0.7, 0), (0, 0)]))


def test_a_path_that_runs_away_ends_and_lengths_are_right() -> None:
    bend = SURFACES["Rosenbrock's bend"]
    assert len(descend(bend, "momentum", lr=1.0, beta1=0.0)) < 10
    assert descend(bend, "Adam", lr=0.01, steps=7).shape == (8, 2)
    with pytest.raises(ValueError, match="name must be one of momentum"):
        descend(bend, "adam", lr=0.1)
    with pytest.raises(ValueError, match="lr must be a finite number, at least 0"):
        descend(bend, "Adam", lr=-0.1)
