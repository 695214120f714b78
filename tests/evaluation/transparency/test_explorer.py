"""Does the widget open where weights turn the first place, and follow its sliders?"""

import re
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring

from smallscale.evaluation.transparency.editions import (
    Edition,
    published_editions,
)
from smallscale.evaluation.transparency.explorer import (
    WEIGHTS,
    weights_explorer,
    weights_scene,
)
from smallscale.notebook import explore

EDITIONS = published_editions()


@pytest.fixture
def widget() -> Any:
    return explore(*weights_explorer(EDITIONS))


def sentence(widget: Any) -> str:
    found = re.search(r"<strong>(.*?)</strong>", widget.children[-1].value)
    assert found
    return found[1]


def svg(widget: Any) -> Any:
    return fromstring(re.search(r"<svg.*</svg>", widget.children[-1].value, re.S)[0])


def test_it_opens_where_another_developer_is_first(widget: Any) -> None:
    edition = widget.children[0].value
    assert edition == "October 2023"
    assert EDITIONS[edition].totals.idxmax() == "Meta"
    assert sentence(widget).startswith("October 2023: Hugging Face would be first")
    assert "4 of 10 ranks differ" in sentence(widget)
    words = [text for text in svg(widget).itertext() if text.strip()]
    assert words[words.index("Hugging Face") - 2 :][:4] == [
        "1",
        "▲ from 2",
        "Hugging Face",
        "56",
    ]
    assert words[words.index("Meta") - 2 :][:4] == ["2", "▼ from 1", "Meta", "51"]
    assert words[words.index("Amazon") - 2 :][:2] == ["10", "="]


def test_it_answers_at_every_end(widget: Any) -> None:
    edition, upstream, model, downstream, _ = widget.children
    for edition.value in EDITIONS:
        for upstream.value in (0, 10):
            for model.value in (0, 10):
                for downstream.value in (0, 10):
                    assert f"{edition.value}:" in sentence(widget)
                    svg(widget)
    for weight in (upstream, model, downstream):
        weight.value = 0
    assert "counts as equal ones" in sentence(widget)


def test_at_the_indexs_own_weights_no_rank_differs() -> None:
    for edition in EDITIONS.values():
        said = weights_scene(edition, edition.sizes)
        assert f"0 of {len(edition.totals)} ranks differ" in said
        assert len(WEIGHTS) == 11


def test_a_leader_that_no_weights_turn_opens_too() -> None:
    only = {"December 2025": EDITIONS["December 2025"]}
    opened = explore(*weights_explorer(only))
    assert opened.children[0].value == "December 2025"
    assert "IBM would be first" in sentence(opened)


def test_names_are_escaped_and_equals_share_the_first_place() -> None:
    edition = EDITIONS["May 2024"]
    yeses = edition.yeses.iloc[:2].set_axis(["<b>x</b>", "y & z"])
    yeses.iloc[1] = yeses.iloc[0]
    odd = Edition(
        "made up", "", edition.sizes, yeses, edition.models[:2], yeses.sum(axis=1)
    )
    said = weights_scene(odd, (1, 1, 1))
    assert "<b>" not in said
    assert "&lt;b&gt;x&lt;/b&gt; and y &amp; z would be first" in said
