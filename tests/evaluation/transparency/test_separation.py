"""Are the correlations numpy's, and the chances exact?"""

from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import false_discovery_control, pointbiserialr

from smallscale.evaluation.transparency.made_up import (
    MadeUp,
    made_up_index,
    told_from_coins,
)
from smallscale.evaluation.transparency.separation import (
    chance_of_correlation,
    dealt_domain_gaps,
    domain_gap,
    indicator_correlations,
    item_rest_correlation,
    separation,
)

SHAPES = st.tuples(st.integers(2, 8), st.integers(3, 7))
SCORES = SHAPES.flatmap(lambda shape: arrays(int, shape, elements=st.integers(0, 1)))


@given(SCORES)
def test_it_is_scipys_point_biserial_with_the_rest(x: np.ndarray) -> None:
    found = item_rest_correlation(x)
    for i, row in enumerate(x):
        rest = np.delete(x, i, axis=0).sum(0)
        if row.min() == row.max() or rest.min() == rest.max():
            assert np.isnan(found[i])
        else:
            expected = pointbiserialr(row, rest).statistic
            assert found[i] == pytest.approx(expected, abs=1e-9)


def test_by_hand() -> None:
    # The rest of the first is 0, 1, 2, 3: correlation of 0, 0, 1, 1 with it.
    x = np.array([[0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]])
    assert item_rest_correlation(x)[0] == pytest.approx(2 / np.sqrt(5))
    # Two of six ways to deal two yeses ... only {3, 4} reaches the sum 2 + 3.
    assert chance_of_correlation(x)[0] == pytest.approx(1 / 6)


@given(SCORES)
def test_the_chance_counts_all_ways_to_deal(x: np.ndarray) -> None:
    chances = chance_of_correlation(x)
    constant = np.isnan(item_rest_correlation(x))
    assert (np.isnan(chances) == constant).all()
    for i in np.flatnonzero(~constant)[:1]:
        rest = np.delete(x, i, axis=0).sum(0)
        sums = [np.dot(order, rest) for order in permutations(x[i])]
        expected = np.mean([total >= np.dot(x[i], rest) for total in sums])
        assert chances[i] == pytest.approx(expected)


def test_many_developers_are_dealt_by_sample() -> None:
    made = made_up_index(40, seed=0)
    chances = chance_of_correlation(made.scores)
    coins = chances[made.coin.to_numpy() & ~np.isnan(chances)]
    others = chances[~made.coin.to_numpy() & ~np.isnan(chances)]
    assert np.median(others) < 0.01
    assert 0.2 < np.median(coins) < 0.8


def test_coins_pass_a_test_at_5_percent_in_no_more_than_5_percent() -> None:
    passed = []
    for seed in range(30):
        made = made_up_index(12, seed=seed)
        chance = chance_of_correlation(made.scores)[made.coin.to_numpy()]
        passed.extend(chance[~np.isnan(chance)] <= 0.05)
    assert 0.02 < np.mean(passed) < 0.07


def test_correlations_of_indicators_are_numpys() -> None:
    x = np.array([[0, 1, 0, 1], [0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 1, 1]])
    phi = indicator_correlations(x)
    assert phi[:3, :3] == pytest.approx(np.corrcoef(x[:3]))
    assert np.isnan(phi[3]).all()
    assert np.isnan(phi[:, 3]).all()


def test_the_gap_of_domains_by_hand() -> None:
    phi = np.array([[1, 0.8, 0.1], [0.8, 1, 0.3], [0.1, 0.3, 1]])
    assert domain_gap(phi, ["a", "a", "b"]) == pytest.approx(0.8 - 0.2)
    gaps = dealt_domain_gaps(phi, ["a", "a", "b"], 200, seed=0)
    # The pair within is any of three: .8 - .2, .1 - .55, .3 - .45.
    assert sorted(set(gaps.round(9))) == pytest.approx([-0.45, -0.15, 0.6])
    assert np.isnan(domain_gap(phi, ["a", "a", "a"]))
    assert np.isnan(domain_gap(phi, ["a", "b", "c"]))


def test_the_table_has_the_best_first_and_adjusts_as_scipy_does() -> None:
    made = made_up_index(12, seed=0)
    table = separation(made.scores, made.domains)
    known = table.dropna(subset="correlation")
    assert known.correlation.is_monotonic_decreasing
    assert table.correlation.isna().sum() == (made.scores.nunique(axis=1) == 1).sum()
    expected = false_discovery_control(known.chance)
    assert known.adjusted.to_numpy() == pytest.approx(expected)
    assert (table.yeses == made.scores.sum(axis=1)[table.index]).all()
    assert (table.domain == made.domains[table.index]).all()


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ([[0, 1, 2], [0, 1, 1]], "must be 0 or 1"),
        ([[0, 1, np.nan], [0, 1, 1]], "must be 0 or 1"),
        ([[0, 1], [1, 0]], "3 or more developers"),
        ([[0, 1, 1]], "2 or more indicators"),
        (pd.DataFrame(), "2 or more indicators"),
    ],
)
def test_what_are_no_scores_is_refused(scores: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        item_rest_correlation(scores)


def test_made_up_indicators_are_as_said() -> None:
    made = made_up_index(5, seed=3)
    assert made.scores.shape == (100, 5)
    assert made.coin.sum() == 20
    assert made.domains.value_counts().to_dict() == {
        "Upstream": 32,
        "Model": 33,
        "Downstream": 35,
    }
    assert made.scores.columns.str.startswith("Made-up").all()
    assert made_up_index(5, seed=3).scores.equals(made.scores)
    with pytest.raises(ValueError, match="developers must be"):
        made_up_index(2)


def test_how_well_coins_are_told_by_hand() -> None:
    # Of the coins one has -1, and one is the same for all, which counts as 0.
    scores = pd.DataFrame([[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 1, 1]])
    domains = pd.Series("Model", scores.index)
    coin = pd.Series([False, False, True, True])
    correlation = item_rest_correlation(scores)
    assert np.isnan(correlation[0])  # the rest is the same for all: 1, 1, 1, 1 + 1
    assert told_from_coins(MadeUp(scores, domains, coin)) == pytest.approx(3 / 4)


def test_coins_are_told_better_the_more_developers_there_are() -> None:
    few, many = (
        np.mean([told_from_coins(made_up_index(n, seed=s)) for s in range(5)])
        for n in (6, 96)
    )
    assert few < 0.9 < 0.99 < many
