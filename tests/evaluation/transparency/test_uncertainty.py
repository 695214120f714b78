"""Are the errors those of drawing indicators anew?"""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallscale.evaluation.transparency.editions import published_editions
from smallscale.evaluation.transparency.made_up import made_up_index
from smallscale.evaluation.transparency.uncertainty import (
    LAYOUTS,
    bootstrap_totals,
    difference_error,
    draw_totals,
    mean_of,
    pair_errors,
    pairs_apart,
    rank_intervals,
    shuffled_answers,
)

COUNTS = st.integers(2, 40).flatmap(
    lambda n: st.tuples(st.integers(0, n), st.integers(0, n), st.just(n))
)


def test_errors_by_hand() -> None:
    # 100 indicators, 54 and 48: D = 6, 102 - 51.84, 98; less .36
    for layout, differing in zip(LAYOUTS, (6, 50.16, 98), strict=True):
        error = difference_error([54], [48], [100], layout)
        assert error == pytest.approx(np.sqrt(differing - 0.36))
    assert difference_error([5], [5], [10], "nested") == 0
    assert difference_error([0], [10], [10], "opposed") == 0
    two = difference_error([5, 3], [2, 3], [10, 6], "unrelated")
    one = [
        difference_error([a], [b], [n], "unrelated")
        for a, b, n in ((5, 2, 10), (3, 3, 6))
    ]
    assert two == pytest.approx(np.hypot(*one))


def test_a_mean_and_its_interval_by_hand() -> None:
    # 1, 2, 3: the standard error is 1 / sqrt(3), Student's quantile for 2 is 4.303.
    assert mean_of([1, 2, np.nan, 3]) == pytest.approx((2, 4.303 / 3**0.5), abs=1e-3)
    assert mean_of([4])[0] == 4
    assert np.isnan([mean_of([4])[1], *mean_of([])]).all()


@given(COUNTS)
def test_layouts_are_ordered_and_attained(counts: tuple[int, int, int]) -> None:
    a, b, n = counts
    nested, unrelated, opposed = (
        float(difference_error([a], [b], [n], layout)) for layout in LAYOUTS
    )
    assert nested <= unrelated + 1e-9
    assert unrelated <= opposed + 1e-9
    # The extreme layouts exist: yeses from the same end, and from both ends.
    place = np.arange(n)
    domains = pd.Series("Model", range(n))
    same = pd.DataFrame({"a": place < a, "b": place < b}).astype(int)
    ends = pd.DataFrame({"a": place < a, "b": place >= n - b}).astype(int)
    assert pair_errors(same, domains).known.item() == pytest.approx(nested)
    assert pair_errors(ends, domains).known.item() == pytest.approx(opposed)
    assert pair_errors(ends, domains).unrelated.item() == pytest.approx(unrelated)


def test_the_known_error_is_the_bootstraps() -> None:
    made = made_up_index(4, seed=1)
    drawn = bootstrap_totals(made.scores, made.domains, 40_000, seed=0)
    errors = pair_errors(made.scores, made.domains)
    assert drawn.mean(0) == pytest.approx(made.scores.sum().to_numpy(), abs=0.1)
    spread = (drawn[:, 0] - drawn[:, 1]).std()
    assert errors.known.iloc[0] == pytest.approx(spread, rel=0.02)
    lead = made.scores.iloc[:, 0].sum() - made.scores.iloc[:, 1].sum()
    assert errors.lead.iloc[0] == lead


def test_a_draw_keeps_the_number_of_indicators_of_each_domain() -> None:
    made = made_up_index(3, seed=0)
    all_yes = pd.DataFrame(1, made.scores.index, ["a", "b", "c"])
    assert (bootstrap_totals(all_yes, made.domains, 50) == 100).all()
    model = all_yes.mul((made.domains == "Model").astype(int), axis=0)
    assert (bootstrap_totals(model, made.domains, 50) == 33).all()


def test_draws_from_totals_are_unrelated() -> None:
    edition = published_editions()["October 2023"]
    drawn = draw_totals(edition, 40_000, seed=0)
    yeses, sizes = edition.yeses.to_numpy(), edition.sizes
    error = difference_error(yeses[0], yeses[1], sizes, "unrelated")
    assert (drawn[:, 0] - drawn[:, 1]).std() == pytest.approx(error, rel=0.02)
    assert drawn.mean(0) == pytest.approx(edition.totals.to_numpy(), abs=0.15)
    again = draw_totals(edition, 10, seed=1)
    assert (draw_totals(edition, 10, seed=1) == again).all()


def test_pairs_apart_of_the_first_edition() -> None:
    pairs = pairs_apart(published_editions()["October 2023"])
    assert len(pairs) == 45
    assert pairs.neighbours.sum() == 9
    assert (pairs.lead >= 0).all()
    for looser, stricter in pairwise(LAYOUTS):
        assert (pairs[looser] >= pairs[stricter]).all()
    counts = published_editions()["October 2023"].yeses
    for each in pairs.itertuples():
        ahead, behind = counts.loc[each.ahead], counts.loc[each.behind]
        assert each.lead == ahead.sum() - behind.sum()
        for layout in LAYOUTS:
            error = difference_error(ahead, behind, [32, 33, 35], layout)
            assert getattr(each, layout) == (each.lead > 1.96 * error)
    ends = pairs[(pairs.ahead == "Meta") & (pairs.behind == "Amazon")]
    assert ends[list(LAYOUTS)].all(axis=None)
    top = pairs[(pairs.ahead == "Meta") & (pairs.behind == "Hugging Face")]
    assert not top[list(LAYOUTS)].any(axis=None)


def test_ranks_by_hand() -> None:
    totals = pd.Series({"a": 1, "b": 5, "c": 5})
    table = rank_intervals(totals, [[1, 5, 5], [1, 5, 5]])
    assert table.index.tolist() == ["b", "c", "a"]
    assert table["rank"].tolist() == [1.5, 1.5, 3]
    assert table.rank_low.tolist() == table.rank_high.tolist() == [1.5, 1.5, 3]
    with pytest.raises(ValueError, match="column for each of 3 developers"):
        rank_intervals(totals, [[1, 2]])


def test_shuffled_answers_keep_totals_and_lose_company() -> None:
    made = made_up_index(12, seed=0)
    shuffled = shuffled_answers(made.scores, made.domains, seed=3)
    for domain in ("Upstream", "Model", "Downstream"):
        rows = (made.domains == domain).to_numpy()
        assert (shuffled[rows].sum() == made.scores[rows].sum()).all()
    assert pair_errors(shuffled, made.domains).ratio.mean() == pytest.approx(
        1, abs=0.03
    )
    assert pair_errors(made.scores, made.domains).ratio.mean() < 0.95


def test_what_cannot_be_counts_is_refused() -> None:
    with pytest.raises(ValueError, match="layout must be one of"):
        difference_error([1], [1], [2], "random")
    with pytest.raises(ValueError, match=r"b must lie in \[0, n\]"):
        difference_error([1], [3], [2], "nested")
    with pytest.raises(ValueError, match="n must be at least 1"):
        difference_error([0], [0], [0], "nested")


def test_counts_of_other_domains_are_refused():
    """Two domains against a column of two would be four."""
    with pytest.raises(ValueError, match=r"b must be \(\.\.\., domains\), and n"):
        difference_error([1, 2], [[1], [2]], [4, 4], "unrelated")
