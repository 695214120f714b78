"""Are scores means of shares, and is what no weights turn found?"""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallscale.evaluation.transparency.editions import Edition, published_editions
from smallscale.evaluation.transparency.weights import (
    firm_pairs,
    orders_by_weight,
    weighted_scores,
)


def edition(yeses: Any, sizes: Any) -> Edition:
    domains = [f"domain {i}" for i in range(len(sizes))]
    table = pd.DataFrame(yeses, columns=domains).rename(index="developer {}".format)
    empty = pd.Series("", table.index)
    own = pd.Series(sizes, domains)
    return Edition("made up", "", own, table, empty, table.sum(axis=1))


def test_scores_by_hand() -> None:
    scores = weighted_scores(edition([[5, 0], [2, 4]], [10, 4]), [1, 3])
    assert scores.score.tolist() == [12.5, 80]
    # Variances .5 * .5 / 10 and 0, weight 1/4: 100 * sqrt(.025) / 4.
    assert scores.error.iloc[0] == pytest.approx(100 * 0.025**0.5 / 4)
    assert scores.error.iloc[1] == pytest.approx(100 * 0.016**0.5 / 4)


def test_weights_by_size_give_the_indexs_totals() -> None:
    for each in published_editions().values():
        scores = weighted_scores(each, each.sizes).score
        assert scores.to_numpy() == pytest.approx(each.totals.to_numpy())
        doubled = weighted_scores(each, 2 * each.sizes).score
        assert (scores - doubled).abs().max() < 1e-9


def test_orders_and_firm_pairs_by_hand() -> None:
    # 0 is ahead of 2 in both domains; 0 and 1 cross where the weights are equal.
    table = edition([[9, 3], [4, 7], [1, 1]], [10, 10])
    orders = orders_by_weight(table, parts=10).set_index(["ahead", "behind"]).share
    firm = firm_pairs(table)
    assert list(orders.index) == list(firm.index)
    pair = ("developer 0", "developer 1")
    # 9 w + 3 (1 - w) > 4 w + 7 (1 - w) from w = 4/9 on: 6 of 11 weights.
    assert orders[pair] == pytest.approx(6 / 11)
    assert not firm[pair]
    assert orders["developer 0", "developer 2"] == 1
    assert firm["developer 0", "developer 2"]


@given(
    st.lists(
        st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=2, max_size=6
    )
)
def test_no_weights_turn_a_firm_pair_and_some_turn_the_others(yeses: Any) -> None:
    table = edition(yeses, [9, 9, 9])
    orders = orders_by_weight(table, parts=10)
    firm = firm_pairs(table).to_numpy()
    assert len(orders) == len(firm)
    # Corners of the simplex are among the weights, and they decide: of a pair that is
    # not firm, one domain alone puts the other ahead.
    for row, holds in zip(orders.itertuples(), firm, strict=True):
        one, other = table.yeses.loc[row.ahead], table.yeses.loc[row.behind]
        assert holds == bool((one >= other).all())
        assert (row.share < 1) or holds
        if (one > other).all():
            assert row.share == 1


@pytest.mark.parametrize(
    "weights",
    [[1, 1], [0, 0, 0], [-1, 1, 1], [np.nan, 1, 1], [np.inf, 1, 1], [[1, 1, 1]]],
)
def test_weights_that_weigh_nothing_are_refused(weights: Any) -> None:
    with pytest.raises(ValueError, match="weights must be 3 numbers"):
        weighted_scores(published_editions()["May 2024"], weights)
