"""Are the paired tests right, by enumeration and where the truth is known?"""

from itertools import product
from math import comb

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from smallscale.evaluation.holistic.comparing import (
    contamination_table,
    equal_prompts,
    holm,
    mcnemar,
    paired_difference,
    pairs_table,
    prompt_range,
    quantile_interval,
    selection_gains,
    unpaired_half,
)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (3, 1), (7, 7), (0, 6), (10, 2)])
def test_mcnemar_by_counting(b: int, c: int) -> None:
    first = [1] * b + [0] * c + [1, 0]
    second = [0] * b + [1] * c + [1, 0]
    n = b + c
    far = [k for k in range(n + 1) if abs(k - n / 2) >= abs(b - n / 2)]
    expected = sum(comb(n, k) for k in far) / 2**n
    assert mcnemar(first, second) == pytest.approx(expected)
    assert mcnemar(second, first) == pytest.approx(expected)


def test_mcnemar_refuses_what_is_not_right_or_wrong() -> None:
    with pytest.raises(ValueError, match="first must hold 0 and 1"):
        mcnemar([0.5, 1], [0, 1])
    with pytest.raises(ValueError, match="length"):
        mcnemar([1], [0, 1])


@pytest.mark.parametrize("test", [mcnemar, paired_difference, unpaired_half])
def test_a_column_beside_a_list_is_refused(test) -> None:
    """(6,) against (6, 1) would be broadcast to 36 pairs of six: a p of 1.9e-9."""
    row, column = [1, 1, 1, 1, 1, 0], [[0]] * 6
    for first, second, name in ((row, column, "second"), (column, row, "first")):
        with pytest.raises(ValueError, match=rf"{name} must be a list .* \(6, 1\)"):
            test(first, second)
    assert mcnemar(row, [0] * 6) == 0.0625  # 2 / 2^5


@pytest.mark.parametrize("single", [holm, lambda x: quantile_interval(x, 0.5)])
def test_a_table_is_no_list_of_values(single) -> None:
    with pytest.raises(ValueError, match=r"must be .*\(n,\).*shape \(2, 1\)"):
        single([[0.5], [0.1]])


def test_a_paired_interval_is_students() -> None:
    random = np.random.default_rng(0)
    shared = random.random(30)
    a = shared + random.normal(size=30) / 20
    b = shared + random.normal(size=30) / 20 + 0.01
    found = paired_difference(a, b)
    low, high = ttest_rel(a, b).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.half < unpaired_half(a, b) / 3


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.02, 0.03, 0.5]).tolist() == pytest.approx(
        [0.04, 0.06, 0.06, 0.5]
    )
    assert holm([0.9, 0.8]).tolist() == pytest.approx([1, 1])


def test_pairs_say_who_is_ahead_on_the_same_items() -> None:
    rows = [
        {"entrant": name, "scenario": "s", "item": i, "score": float(i % k == 0)}
        for name, k in (("worse", 4), ("better", 1), ("none", 100))
        for i in range(20)
    ]
    found = pairs_table(pd.DataFrame(rows)).set_index(["ahead", "behind"])
    assert found.loc[("better", "worse"), "lead"] == pytest.approx(0.75)
    assert found.loc[("better", "worse"), "p"] == pytest.approx(2 * 0.5**15)
    assert found.apart.to_dict() == {
        ("better", "worse"): True,
        ("better", "none"): True,
        ("worse", "none"): False,
    }


def test_choosing_gains_nothing_where_prompts_are_equal() -> None:
    random = np.random.default_rng(1)
    held, on = [], []
    for seed in range(60):
        coins = pd.DataFrame((random.random((20, 10)) < 0.5) * 1.0)
        gains = selection_gains(coins, 20, seed=seed)
        on.append(gains.on_test.mean())
        held.append(gains.held_out.mean())
    # the expected maximum of ten means of ten coins, less their mean
    ways = np.array(list(product([0, 1], repeat=10))).mean(1)
    highest = np.mean([random.choice(ways, 10).max() for _ in range(4000)]) - 0.5
    assert np.mean(on) == pytest.approx(highest, abs=0.02)
    assert abs(np.mean(held)) < 3 * np.std(held) / 60**0.5


def test_four_items_can_be_halved_and_three_cannot() -> None:
    scores = pd.DataFrame(np.eye(4))
    assert len(selection_gains(scores, 3).on_test) == 3
    with pytest.raises(ValueError, match="at least 4 items; got 3"):
        selection_gains(scores[:3], 3)


def test_a_prompt_that_is_better_stays_better() -> None:
    scores = pd.DataFrame(np.zeros((20, 3)), columns=list("abc"))
    scores["b"] = 1.0
    gains = selection_gains(scores, 5)
    assert gains.on_test.tolist() == pytest.approx([2 / 3] * 5)
    assert gains.held_out.tolist() == pytest.approx([2 / 3] * 5)


def test_equal_prompts_keep_how_hard_an_item_is() -> None:
    scores = pd.DataFrame(np.random.default_rng(0).random((6, 4)))
    dealt = equal_prompts(scores, seed=2)
    assert np.allclose(np.sort(dealt, 1), np.sort(scores, 1))
    assert not np.allclose(dealt, scores)


def test_the_range_of_prompts_is_judged_by_that_of_equal_ones() -> None:
    coins = pd.DataFrame((np.random.default_rng(0).random((40, 6)) < 0.5) * 1.0)
    same = prompt_range(coins, 99).iloc[0]
    assert same.p > 0.05
    coins[0] = 1.0
    told = prompt_range(coins, 99).iloc[0]
    assert told.p == pytest.approx(0.01)
    assert told["range"] > told.high > told.equal


def test_contamination_lifts_the_test_alone() -> None:
    table = contamination_table((0, 1), n=8).set_index(["share", "seen", "on"]).score
    assert table[1, "test", "test"] > 0.99
    assert table[1, "test", "new"] < 0.6
    assert table[0, "test", "test"] == table[0, "others", "test"]
    assert table[1, "others", "test"] < 0.6


@pytest.mark.parametrize("n", [15, 60, 400])
def test_the_interval_of_a_quantile_covers_it(n: int) -> None:
    random = np.random.default_rng(n)
    true = -np.log(0.1)
    inside = 0
    for _ in range(400):
        _, low, high = quantile_interval(random.exponential(size=n), 0.9)
        inside += low <= true <= high
    assert inside / 400 > 0.93


def test_a_quantile_of_few_values_has_no_upper_end() -> None:
    assert quantile_interval([3.0, 1.0, 2.0], 0.9) == (3.0, 1.0, np.inf)
    with pytest.raises(ValueError, match="values"):
        quantile_interval([], 0.9)


def test_draws_are_counted_beyond_a_byte() -> None:
    """p is at least 1 / (1 + 127); 1 + 127 in eight bits is -128."""
    scores = pd.DataFrame(np.eye(4))
    one, other = (prompt_range(scores, draws) for draws in (127, np.int8(127)))
    assert one.p.iloc[0] == other.p.iloc[0] > 0
