"""Does the widget start where something is to be seen, say what it shows, and follow
its sliders?"""

import re

import numpy as np
import pandas as pd
import pytest
from defusedxml.ElementTree import fromstring

from smallscale.notebook import explore
from smallscale.values import (
    group_aware_consensus,
    opinion_groups,
    opinion_map,
    pooled_agreement,
)
from smallscale.values.explorer import SHARES, reweighted_agreement, votes_explorer
from smallscale.values.population import population


@pytest.fixture(scope="module")
def made() -> tuple:
    votes = population(seed=0)
    return votes, opinion_groups(votes.matrix), opinion_map(votes.matrix)


@pytest.fixture
def widget(made: tuple):
    votes, groups, places = made
    return explore(
        *votes_explorer(votes.matrix, groups, places, votes.statements["comment-body"])
    )


def sentence(widget) -> str:
    return re.search(r"<strong>(.*?)</strong>", widget.children[2].value)[1]


def test_reweighting_by_hand() -> None:
    """Group a: 2 of 3 agree, so 3/5; b: 0 of 1, 1/3; c: nobody, 1/2. Shares .6, and .4
    in proportion 2 to 1."""
    votes = pd.DataFrame({"s": [1, 1, 0, -1, np.nan, np.nan]})
    groups = pd.Series(["a", "a", "a", "b", "b", "c"])
    found = reweighted_agreement(votes, groups, 0.6)["s"]
    assert found == pytest.approx(0.6 * 3 / 5 + 0.4 * (2 / 3 * 1 / 3 + 1 / 3 * 1 / 2))
    assert reweighted_agreement(votes, groups, 1.0)["s"] == pytest.approx(3 / 5)
    assert reweighted_agreement(votes[:3], groups[:3], 0.6)["s"] == pytest.approx(
        3 / 5
    )  # a group alone is all
    with pytest.raises(
        ValueError, match=r"share must be .*at least 0 and at most 1; got 1.5"
    ):
        reweighted_agreement(votes, groups, 1.5)


def test_a_statement_that_hardly_anybody_saw_comes_last() -> None:
    votes = pd.DataFrame({"once": [1] + [np.nan] * 19, "all": [1] * 4 + [-1] * 16})
    found = reweighted_agreement(votes, [0] * 12 + [1] * 8, 0.6)
    assert found["once"] == 0 < found["all"]


def test_at_the_true_share_it_is_nearly_the_pooled_count(made: tuple) -> None:
    votes, groups, _ = made
    share = (groups == 0).mean()
    difference = reweighted_agreement(votes.matrix, groups, share) - pooled_agreement(
        votes.matrix
    )
    assert difference.abs().max() < 0.05


def test_it_opens_on_the_statement_that_falls_furthest(widget, made: tuple) -> None:
    votes, groups, _ = made
    pooled = reweighted_agreement(votes.matrix, groups, 0.7).rank(
        ascending=False, method="first"
    )
    fall = (
        group_aware_consensus(votes.matrix, groups).rank(
            ascending=False, method="first"
        )
        - pooled
    )
    assert fall[widget.children[0].value] == fall[pooled <= 6].max() > 3
    assert widget.children[1].value == 0.7
    assert len(widget.children[0].options) == 24
    assert [s for _, s in widget.children[1].options] == SHARES


def test_the_sentence_says_what_the_map_shows_at_every_notch(
    widget, made: tuple
) -> None:
    votes, groups, _ = made
    statement = widget.children[0].value
    for g, name in enumerate("AB"):
        cast = votes.matrix.loc[groups == g, statement].dropna()
        assert (
            f"group {name}: {(cast == 1).mean():.0%} of {len(cast)} votes agree"
            in sentence(widget)
        )
    seen = set()
    for share in SHARES:
        widget.children[1].value = share
        text = sentence(widget)
        assert f"group A at {share:.0%}" in text
        agreement = reweighted_agreement(votes.matrix, groups, share)[statement]
        assert f"{agreement:.0%} of the votes agree" in text
        assert (
            f"consensus {group_aware_consensus(votes.matrix, groups)[statement]:.2f}"
            in text
        )
        seen.add(re.search(r"rank (\d+) by count", text)[1])
    assert len(seen) > 1  # moving the share moves the rank
    first = sentence(widget)
    widget.children[0].value = next(
        s for _, s in widget.children[0].options if s != statement
    )
    assert sentence(widget) != first


def test_the_view_is_well_formed_and_escapes_what_people_wrote(made: tuple) -> None:
    votes, groups, places = made
    words = votes.statements["comment-body"].where(
        votes.statements.index > 0, 'A <b>"bold"</b> & claim'
    )
    widget = explore(*votes_explorer(votes.matrix, groups, places, words))
    widget.children[0].value = 0
    tree = fromstring(widget.children[2].value)
    svg = next(tree.iter("svg"))
    assert svg.get("role") == "img"
    assert 'A <b>"bold"</b> & claim' in svg.get("aria-label")
    marks = [path for path in svg if path.tag == "path" and path.get("stroke")]
    assert len(marks) == groups.notna().sum()
    unseen = votes.matrix.loc[groups.dropna().index, 0].isna().sum()
    assert sum(path.get("fill") == "#BBBBBB" for path in marks) == unseen


def test_a_statement_nobody_saw_and_five_groups() -> None:
    rng = np.random.default_rng(0)
    votes = pd.DataFrame(rng.choice([1.0, 0.0, -1.0], size=(50, 4)))
    votes[3] = np.nan
    places = pd.DataFrame(rng.normal(size=(50, 2)), columns=["x", "y"])
    widget = explore(
        *votes_explorer(
            votes,
            pd.Series(np.arange(50) % 5),
            places,
            pd.Series([f"s{j}" for j in range(4)]),
        )
    )
    widget.children[0].value = 3
    assert "group E: no votes" in sentence(widget)
    fromstring(widget.children[2].value)
