"""Does the widget open on two camps, survive its ends, and show what was lived?"""

import numpy as np
import pytest

from smallscale.notebook import explore
from smallscale.simulation.assistants import Rules, explorer, live, make_world
from smallscale.simulation.assistants.explorer import (
    ALPHAS,
    RANKED_BY,
    beliefs_explorer,
    beliefs_html,
)
from smallscale.simulation.assistants.rules import INTERVENTIONS


def test_the_explorer_opens_survives_its_ends_and_lives_no_life_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = make_world(20, 4, seed=0)
    box = explore(*beliefs_explorer(world))
    monkeypatch.setattr(explorer, "live", None)
    alpha, ranked_by, intervention, day, view = box.children
    assert (alpha.value, ranked_by.value, day.value) == (1.0, "engagement", 4)
    assert "Day 4: people think" in view.value
    assert 'role="img"' in view.value
    said = set()
    for alpha.value in ALPHAS[::4]:
        for ranked_by.value in RANKED_BY:
            for intervention.value in INTERVENTIONS:
                for day.value in (0, 4):
                    assert f"Day {day.value}: people think" in view.value
                    said.add(view.value)
    assert len(said) > 30


def test_a_scene_says_what_the_life_was() -> None:
    world = make_world(20, 4, seed=0)
    lived = live(world, Rules())
    found = lived.measures()
    said = beliefs_html(lived, 4)
    assert f"are {found['error']:.1f} million off" in said
    assert f"the operator earns {found['clicks']:.2f} clicks" in said
    start = beliefs_html(lived, 0)
    assert f"the spread is {np.std(world.belief):.1f}" in start
    assert said.count("<svg") == said.count("</svg>") == 1
