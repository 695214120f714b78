"""Does the widget answer, and say what the ranking says?"""

import re
from xml.etree import ElementTree

import pytest

from smallscale.evaluation.holistic.board import METRICS, Draws, answer_table
from smallscale.evaluation.holistic.entrants import Echo, MostCommon, Nearest
from smallscale.evaluation.holistic.explorer import ranking_explorer, ranking_scene
from smallscale.evaluation.holistic.scenarios import SCENARIOS
from smallscale.notebook.explorer import explore


@pytest.fixture(scope="module")
def draws() -> Draws:
    entrants = [Echo(), Nearest("<nearest & co>"), MostCommon()]
    return Draws(answer_table(entrants, SCENARIOS, n=8), 300)


def test_what_is_first_is_said_first(draws: Draws) -> None:
    for metric in METRICS:
        html = ranking_scene(draws, {metric: 1})
        first = draws.win_rates({metric: 1}).index[0]
        (sentence,) = re.findall(r"<strong>(.*?)</strong>", html)
        assert (
            sentence.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&")
            .startswith(first)
        )


def test_it_is_well_formed_and_escaped(draws: Draws) -> None:
    html = ranking_scene(draws, dict.fromkeys(METRICS, 0))
    assert "counts as equal" in html
    svg = re.search(r"<svg.*</svg>", html, re.S)
    assert svg is not None
    root = ElementTree.fromstring(svg[0])
    assert root.get("aria-label")
    assert "<nearest" not in html


def test_it_answers_at_every_extreme(draws: Draws) -> None:
    scene, sliders = ranking_explorer(draws)
    assert list(sliders) == list(METRICS)
    assert draws.rates.size
    for values in ((0,) * 5, (10,) * 5, (10, 0, 0, 0, 0), (0, 0, 0, 0, 1)):
        assert "<strong>" in scene(*values)
    box = explore(scene, sliders)
    assert "mean win rate" in box.still
