"""Feeds: what is shown to whom, by hand, and what assistants learn."""

from typing import Any

import numpy as np
import pytest

from smallscale.simulation.assistants import Rules, make_world
from smallscale.simulation.assistants.feeds import (
    FRONT_PAGE,
    PLACES,
    Assistants,
    feed_scores,
    filled_places,
    foretold_error,
    standard,
)
from smallscale.simulation.assistants.news import TRUTH
from smallscale.simulation.assistants.taste import Tastes
from smallscale.simulation.assistants.world import ITEMS, LEARNING_DAYS

ITEMS_BY_HAND = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
TASTES = Tastes(np.array([1.0, 0.0]), np.array([[0.0, 2.0], [-4.0, 0.0]]))
WRONG = np.array([0.5, 0.25])


def scores(**rules: Any) -> np.ndarray:
    return feed_scores(ITEMS_BY_HAND, TASTES, WRONG, Rules(**rules))


def test_scores_by_hand() -> None:
    assert scores(alpha=0.0).tolist() == [[1, 0, 1], [1, 0, 1]]
    assert scores(alpha=1.0).tolist() == [[1, 2, 3], [-3, 0, -3]]
    assert scores(alpha=0.5).tolist() == [[1, 1, 2], [-1, 0, -1]]
    truth = [[-0.5, -0.25, -0.75]] * 2
    assert scores(alpha=0.3, objective="truth").tolist() == truth
    both = standard(scores(alpha=1.0)) + standard(np.array(truth))
    assert np.allclose(scores(objective="both"), both)


def test_bridging_adds_what_the_less_willing_camp_would_open() -> None:
    found = scores(intervention="bridging")
    lesser = np.array([-3.0, 0.0, -3.0])  # of (1, 2, 3) and (-3, 0, -3)
    expected = standard(scores(alpha=1.0)) + standard(lesser)
    assert np.allclose(found, expected)


def test_places_go_to_the_best_and_to_what_the_intervention_puts_first() -> None:
    random = np.random.default_rng(0)
    of_day = random.random((4, ITEMS))
    shared = random.random(ITEMS)
    plain = filled_places(of_day, shared, "none")
    for person in range(4):
        best = np.argsort(-of_day[person])[:PLACES]
        assert plain[person].tolist() == best.tolist()
    front = filled_places(of_day, shared, "front page")
    page = np.argsort(-shared)[:FRONT_PAGE].tolist()
    for person in range(4):
        assert front[person, :FRONT_PAGE].tolist() == page
        assert len(set(front[person])) == PLACES
        own = [i for i in np.argsort(-of_day[person]).tolist() if i not in page]
        assert front[person, FRONT_PAGE:].tolist() == own[: PLACES - FRONT_PAGE]
    fact = filled_places(of_day, shared, "fact source")
    assert (fact[:, 0] == ITEMS).all()
    assert np.array_equal(fact[:, 1:], plain[:, :-1])


def test_equal_scores_are_standardised_to_0() -> None:
    assert standard(np.ones((2, 3))).tolist() == [[0, 0, 0]] * 2
    found = standard(np.array([[1.0, 2.0, 6.0]]))
    assert found.mean() == pytest.approx(0)
    assert found.std() == pytest.approx(1)


def test_the_words_foretell_the_error_of_items_not_looked_at() -> None:
    world = make_world(10, 20, seed=0)
    weights = foretold_error(world, np.random.default_rng(0))
    later = slice(LEARNING_DAYS, None)
    foretold = (world.features[later] @ weights).ravel()
    error = np.abs(world.news.claim[later] - TRUTH).ravel()
    assert np.corrcoef(foretold, error)[0, 1] > 0.8


def test_learning_adds_up_what_was_shown_and_opened() -> None:
    world = make_world(5, 1, seed=0)
    assistants = Assistants(world, Rules(), None)
    shown = assistants.feeds(0)
    opened = np.zeros(shown.shape, dtype=bool)
    opened[2, 1] = True
    assistants.learn(0, shown, opened)
    f = world.features[0, shown[2]]
    assert np.allclose(assistants.squares[2], sum(np.outer(row, row) for row in f))
    assert np.allclose(assistants.products[2], f[1])
    assert not assistants.products[[0, 1, 3, 4]].any()


def test_the_learning_days_are_by_chance_under_all_rules() -> None:
    world = make_world(6, 1, seed=0)
    shown = [
        Assistants(world, rules, None).feeds(3)
        for rules in (Rules(), Rules(intervention="fact source"), Rules(alpha=0.0))
    ]
    assert np.array_equal(shown[0], shown[1])
    assert np.array_equal(shown[0], shown[2])


@pytest.mark.parametrize(
    ("ranking", "message"),
    [
        (lambda clicks: clicks[0], "scores must be \\(6, 30\\), a number for each"),
        (lambda clicks: None, "scores must be"),
        (lambda clicks: clicks * np.nan, "scores must be finite"),
    ],
)
def test_a_ranking_that_cannot_be_used_says_why(ranking: Any, message: str) -> None:
    assistants = Assistants(make_world(6, 1), Rules(), ranking)
    with pytest.raises(ValueError, match=message):
        assistants.feeds(LEARNING_DAYS)
