"""Is it MLPerf's mean, and is an invalid result seen as one?"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import trim_mean

from smallscale.training.time_to_quality import olympic_mean

RUNS = st.lists(st.floats(0, 1e6), min_size=3, max_size=12)


def test_by_hand() -> None:
    assert olympic_mean([1, 2, 30]) == 2
    assert olympic_mean([40, 4, 5, 6, 0]) == 5
    assert olympic_mean([7, 7, 7, 7]) == 7  # of equal times, one each way is dropped
    assert olympic_mean([0, 0, 0]) == 0
    assert olympic_mean((1, 3, 5, 100)) == 4


def test_one_run_that_did_not_converge_is_the_slowest_and_two_are_invalid() -> None:
    assert olympic_mean([3, math.inf, 1, 2]) == 2.5
    assert olympic_mean([3, math.inf, 1, math.inf]) == math.inf
    assert olympic_mean([math.inf] * 3) == math.inf


@given(RUNS)
def test_it_is_scipys_trimmed_mean_of_one_run_at_each_end(times: list[float]) -> None:
    expected = trim_mean(times, (1 + 1e-9) / len(times))
    assert olympic_mean(times) == pytest.approx(expected)


@given(RUNS, st.randoms(use_true_random=False), st.floats(0.001, 1000))
def test_order_does_not_count_and_the_unit_scales(
    times: list[float], random: Any, unit: float
) -> None:
    mean = olympic_mean(times)
    shuffled = random.sample(times, len(times))
    assert olympic_mean(shuffled) == mean
    assert olympic_mean([unit * t for t in times]) == pytest.approx(unit * mean)
    kept = sorted(times)[1:-1]
    assert kept[0] <= mean <= kept[-1]


@given(RUNS)
def test_a_slower_slowest_run_changes_nothing(times: list[float]) -> None:
    ordered = sorted(times)
    later = [*ordered[:-1], math.inf]
    assert olympic_mean(later) == olympic_mean(times)
    assert olympic_mean([*ordered[:-2], math.inf, math.inf]) == math.inf


def test_times_of_any_library() -> None:
    for times in (np.array([1, 2, 3]), torch.tensor([1.0, 2.0, 3.0]), range(1, 4)):
        assert olympic_mean(times) == 2
    assert olympic_mean([1e308, 1e308, 1e308, 1e308]) == 1e308


@pytest.mark.parametrize(
    ("times", "says"),
    [
        ([], "at least 3 runs"),
        ([1.0, 2.0], "at least 3 runs"),
        (5.0, "at least 3 runs"),
        ([[1.0, 2.0, 3.0]], "at least 3 runs"),
        ([1.0, math.nan, 2.0], "at least 0"),
        ([1.0, -0.5, 2.0], r"at least 0, .*got \[-0.5\]"),
        ([1.0, -math.inf, 2.0], "at least 0"),
        (["1", "2", "3"], "must be numbers"),
        ([True, True, False], "must be numbers"),
        ([1.0, None, 2.0], "must be numbers"),
    ],
)
def test_what_is_no_list_of_times_is_refused_in_one_line(times: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refusal:
        olympic_mean(times)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).startswith("times must be")
