"""Feeds for voters: planted tastes are found, by votes that the model never saw."""

import numpy as np
import pandas as pd
import pytest

from smallscale.simulation.assistants.voters import (
    fit_voters,
    split_votes,
    town_votes,
    voters_feeds,
)


@pytest.fixture(scope="module")
def camps() -> tuple[pd.DataFrame, pd.Series]:
    """Forty people in two camps, who vote against each other on ten statements of
    twelve; a tenth of the votes is noise."""
    rng = np.random.default_rng(0)
    camp = np.repeat([0, 1], [25, 15])
    sides = np.r_[np.tile([1, -1], 5), 1, 1]
    votes = np.where(camp[:, None] == 0, sides, -sides).astype(float)
    votes[:, 10:] = 1.0
    votes = np.where(rng.random(votes.shape) < 0.1, -votes, votes)
    return pd.DataFrame(votes), pd.Series(camp)


def test_halves_are_all_votes_once(camps: tuple[pd.DataFrame, pd.Series]) -> None:
    votes, _ = camps
    halves = split_votes(votes, seed=3)
    assert (halves.fitted.notna() ^ halves.held_out.notna()).all(axis=None)
    assert halves.fitted.fillna(halves.held_out).equals(votes)
    assert not halves.fitted.equals(split_votes(votes, seed=4).fitted)


def test_personal_feeds_please_camps_and_divide(
    camps: tuple[pd.DataFrame, pd.Series],
) -> None:
    votes, groups = camps
    halves = split_votes(votes, seed=0)
    table = voters_feeds(halves, groups, alphas=[0.0, 1.0])
    assert list(table.index) == [
        "chance", "taste, alpha 0", "taste, alpha 1", "bridging"
    ]  # fmt: skip
    assert table.liked["taste, alpha 1"] > table.liked["taste, alpha 0"] + 0.15
    assert table.liked["taste, alpha 1"] > table.liked["chance"] + 0.3
    assert table.divisive["bridging"] < table.divisive["taste, alpha 1"]
    assert table.liked.between(-1, 1).all()


def test_tastes_foretell_held_out_votes(
    camps: tuple[pd.DataFrame, pd.Series],
) -> None:
    halves = split_votes(camps[0], seed=1)
    features, tastes = fit_voters(halves.fitted)
    foretold = tastes.weights(1.0) @ features.T
    held = halves.held_out.to_numpy()
    seen = ~np.isnan(held)
    assert np.corrcoef(foretold[seen], held[seen])[0, 1] > 0.4


def test_held_out_votes_do_not_reach_the_model(
    camps: tuple[pd.DataFrame, pd.Series],
) -> None:
    votes, groups = camps
    halves = split_votes(votes, seed=0)
    turned = halves._replace(held_out=-halves.held_out)
    first = voters_feeds(halves, groups, alphas=[1.0])
    second = voters_feeds(turned, groups, alphas=[1.0])
    assert np.allclose(first.liked, -second.liked)  # the same feeds, votes turned round


def test_the_towns_votes_say_what_its_people_believe() -> None:
    belief = np.array([30.0] * 10 + [70.0] * 10)
    likes = np.zeros((20, 6))
    votes = town_votes(belief, likes, seed=0)
    assert votes.shape == (20, 24)
    assert 0.4 < votes.notna().mean(axis=None) < 0.6
    more = votes["The tram will cost more than 55 million."]
    assert more[10:].mean() > 0.7 > -0.7 > more[:10].mean()


def test_too_few_votes_say_so() -> None:
    votes = pd.DataFrame(np.ones((3, 4)))
    with pytest.raises(ValueError, match="votes are too few: two people at least"):
        voters_feeds(split_votes(votes), pd.Series([0, 0, 1]), alphas=[1.0])
