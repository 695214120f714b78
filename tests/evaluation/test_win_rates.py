"""Is the win rate HELM's, with ties and gaps?"""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from smallscale.evaluation.win_rates import mean_win_rate

SHAPES = st.tuples(st.integers(2, 6), st.integers(1, 5))
# Few values, so that there are ties.
SCORES = SHAPES.flatmap(lambda shape: arrays(float, shape, elements=st.integers(0, 3)))


def named(values: Any) -> pd.DataFrame:
    table = pd.DataFrame(values)
    return table.set_axis([f"model {i}" for i in table.index], axis=0)


def test_by_hand() -> None:
    table = pd.DataFrame({"x": [3, 2, 1], "y": [1, 2, 2]}, index=["a", "b", "c"])
    rates = mean_win_rate(table)
    # y: b and c tie, each with 1 + 1/2 of 2.
    assert rates.to_dict() == {"a": 0.5, "b": 0.625, "c": 0.375}
    assert rates.name == "mean win rate"


@given(SCORES)
def test_it_is_by_ranks(scores: np.ndarray) -> None:
    """Of n models, the one with average rank r from below beats (r - 1)/(n - 1)."""
    ranks = rankdata(scores, axis=0)
    expected = ((ranks - 1) / (len(scores) - 1)).mean(1)
    rates = mean_win_rate(named(scores))
    assert rates.tolist() == pytest.approx(expected.tolist())
    assert rates.mean() == pytest.approx(0.5)
    assert rates.between(0, 1).all()


@given(SCORES)
def test_only_the_order_in_each_scenario_counts(scores: np.ndarray) -> None:
    stretched = np.exp(scores) * np.arange(1, scores.shape[1] + 1)
    same = mean_win_rate(named(stretched)).tolist()
    assert same == mean_win_rate(named(scores)).tolist()
    mirrored = mean_win_rate(named(-scores)).tolist()
    assert mirrored == pytest.approx([1 - rate for rate in same])


def test_what_was_not_measured_is_not_compared() -> None:
    gap = np.nan
    table = named([[3, gap, 9], [2, 1, gap], [1, 2, gap]])
    # x: 1, 1/2, 0. y: models 1 and 2 alone. z: nobody to compare with.
    assert mean_win_rate(table).tolist() == [1.0, 0.25, 0.5]
    alone = named([[1, gap], [gap, 2], [gap, 1]])
    rates = mean_win_rate(alone)
    assert np.isnan(rates.iloc[0])
    assert rates.iloc[1:].tolist() == [1.0, 0.0]
    nullable = table.astype("Float64")
    assert mean_win_rate(nullable).tolist() == [1.0, 0.25, 0.5]


def test_an_infinite_score_is_the_best_or_the_worst() -> None:
    assert mean_win_rate(named([[-np.inf], [0.0], [np.inf]])).tolist() == [0, 0.5, 1]
    assert mean_win_rate(named([[np.inf], [np.inf]])).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (named([[1, 2]]), "at least 2 models; got 1"),
        (named(np.zeros((0, 2))), "at least 2 models; got 0"),
        (pd.DataFrame(index=["a", "b"]), "at least one scenario"),
        ([[1, 2], [3, 4]], "must be a DataFrame.*got list"),
        (pd.DataFrame({"x": [1, 2]}, index=["a", "a"]), "models once"),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["x", "x"]), "scenarios once"),
        (named([["good"], ["bad"]]), "must hold numbers"),
        (named([["1"], ["2"]]), "must hold numbers"),
        (named([[1], [b"2"]]), "'0'.* holds text"),
        (named([[1 + 2j], [1]]), "'0'.* holds complex numbers"),
        (named([[[1]], [2]]), "must hold numbers alone"),
    ],
)
def test_what_is_no_table_of_scores_is_refused_in_one_line(
    table: Any, says: str
) -> None:
    with pytest.raises(ValueError, match=says) as refusal:
        mean_win_rate(table)
    assert "\n" not in str(refusal.value)


def test_times_are_no_scores():
    table = pd.DataFrame({"a": pd.to_datetime(["2020", "2021"]), "b": [1, 2]})
    with pytest.raises(
        ValueError, match=r"table must hold numbers; \['a'\] holds times"
    ):
        mean_win_rate(table)
    spans = pd.DataFrame({"a": pd.to_timedelta([1, 2], unit="h"), "b": [1, 2]})
    with pytest.raises(ValueError, match="holds times"):
        mean_win_rate(spans)


@pytest.mark.parametrize("kind", ["int64", "uint64", "Int64", "object"])
def test_large_whole_numbers_do_not_tie(kind: str) -> None:
    """As floats the first two are one number."""
    large = pd.Series([2**53, 2**53 + 1, 2**53 + 2])
    table = pd.DataFrame({"x": large.astype(kind)})
    assert mean_win_rate(table).tolist() == [0.0, 0.5, 1.0]


def test_large_whole_numbers_with_a_gap_do_not_tie() -> None:
    gap = pd.array([2**63 - 1, None, 2**63 - 2], dtype="Int64")
    rates = mean_win_rate(pd.DataFrame({"x": gap}))
    assert rates.iloc[[0, 2]].tolist() == [1.0, 0.0]
    assert np.isnan(rates.iloc[1])


@pytest.mark.parametrize("fill", [0, np.nan])
def test_sparse_columns_are_as_dense_ones(fill: float) -> None:
    dense = pd.DataFrame({"x": [0.0, 3.0, 0.0], "y": [1.0, np.nan, 2.0]})
    sparse = dense.astype(pd.SparseDtype(float, fill))
    assert mean_win_rate(sparse).equals(mean_win_rate(dense))
    whole = pd.DataFrame({"x": pd.arrays.SparseArray([2**53, 2**53 + 1])})
    assert mean_win_rate(whole).tolist() == [0.0, 1.0]


def test_columns_of_truth_values_and_of_categories_are_numbers() -> None:
    table = pd.DataFrame({"x": [True, False], "y": pd.Categorical([1, 2])})
    assert mean_win_rate(table).tolist() == [0.5, 0.5]
