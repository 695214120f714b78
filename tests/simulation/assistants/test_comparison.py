"""Comparisons: intervals by hand and by scipy, and the same towns on both sides."""

import pandas as pd
import pytest
from scipy.stats import ttest_1samp, ttest_rel

from smallscale.simulation.assistants import Rules, live, make_world
from smallscale.simulation.assistants.comparison import compare, difference, means


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    worlds = [make_world(12, 3, seed=seed) for seed in range(4)]
    return compare(worlds, {"own": Rules(), "shared": Rules(alpha=0.0)})


def test_rows_are_the_measures_of_each_town(table: pd.DataFrame) -> None:
    assert table["rules"].tolist() == ["own"] * 4 + ["shared"] * 4
    third = table[(table["rules"] == "shared") & (table["town"] == 2)].iloc[0]
    found = live(make_world(12, 3, seed=2), Rules(alpha=0.0)).measures()
    assert {name: third[name] for name in found} == found


def test_intervals_are_scipys(table: pd.DataFrame) -> None:
    own = table[table["rules"] == "own"]["spread"]
    shared = table[table["rules"] == "shared"]["spread"]
    low, high = ttest_1samp(own, 0).confidence_interval(0.95)
    row = means(table, "spread").loc["own"]
    assert row.tolist() == pytest.approx([own.mean(), low, high])
    low, high = ttest_rel(own, shared).confidence_interval(0.95)
    found = difference(table, "spread", "own", "shared")
    assert found == pytest.approx((own.mean() - shared.mean(), low, high))


def test_what_is_not_in_the_table_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="rules must be in the table; none is not"):
        difference(table, "spread", "own", "none")
    with pytest.raises(ValueError, match="measure must be one of rules, town, spread"):
        means(table, "hope")
