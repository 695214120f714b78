"""Is the interval Wilson's, at the ends too?"""

import math

import numpy as np
import pytest
import torch

from smallscale.core.intervals import (
    binomial_interval,
    mean_in_words,
    mean_interval,
    share_interval,
    span_in_words,
)


def test_wilson_by_hand():
    """(p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n), p = 0.9, n = 10, z = 1.96."""
    z, n, p = 1.959964, 10, 0.9
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert binomial_interval(9, 10) == pytest.approx(
        (middle - half, middle + half), abs=1e-6
    )
    low, high = binomial_interval(0, 10)
    assert low == pytest.approx(0, abs=1e-12)
    assert 0.2 < high < 0.35
    assert binomial_interval(np.int64(5), np.int64(10)) == binomial_interval(5, 10)
    assert share_interval(torch.arange(10) > 0) == (0.9, *binomial_interval(9, 10))


@pytest.mark.parametrize("arguments", [(5, 4), (-1, 4), (0, 0)])
def test_an_interval_of_nothing_is_refused(arguments):
    with pytest.raises(ValueError, match="must lie"):
        binomial_interval(*arguments)


def test_a_count_that_was_rounded_is_the_count():
    """0.29 * 100 is 28.999999999999996, and int of that is 28."""
    assert binomial_interval(0.29 * 100, 100) == binomial_interval(29, 100)
    assert binomial_interval(np.float64(9), torch.tensor(10.0)) == binomial_interval(
        9, 10
    )


@pytest.mark.parametrize("arguments", [(1.5, 3), (1, 2.5), (28.99, 100), (math.nan, 3)])
def test_a_count_is_whole(arguments):
    with pytest.raises(ValueError, match="must be a whole number; got"):
        binomial_interval(*arguments)


def test_students_interval_by_hand():
    """The mean of 1, 2, 3 is 2, their deviation 1, and t of two degrees 4.303."""
    interval = mean_interval([1, 2, 3])
    assert interval.mean == 2
    assert interval.half == pytest.approx(4.3027 / math.sqrt(3), abs=1e-4)
    assert (interval.low, interval.high) == (2 - interval.half, 2 + interval.half)
    assert mean_interval(torch.tensor([1.0, 2.0, 3.0])) == interval


def test_it_covers_the_mean_as_often_as_it_says():
    random = np.random.default_rng(0)
    inside = 0
    for values in random.normal(5, 2, size=(2000, 3)):
        interval = mean_interval(values)
        inside += interval.low <= 5 <= interval.high
    assert 0.94 < inside / 2000 < 0.96


@pytest.mark.parametrize("values", [[], [1.0]])
def test_an_interval_of_one_value_is_refused(values):
    with pytest.raises(ValueError, match="values must be two or more numbers; got"):
        mean_interval(values)


@pytest.mark.parametrize("function", [mean_interval, mean_in_words, span_in_words])
@pytest.mark.parametrize("values", [[[1.0], [2.0]], 1.0])
def test_values_are_a_list(function, values):
    with pytest.raises(ValueError, match=r"values must be a list of numbers, \(n,\)"):
        function(values)


def test_a_mean_in_words_brings_its_interval_where_it_has_one():
    interval = mean_interval([1, 2, 3])
    ends = f"({interval.low:.2f} to {interval.high:.2f})"
    assert mean_in_words([1, 2, 3], digits=2) == f"2.00 {ends}"
    assert mean_in_words([1.6]) == "2"
    assert mean_in_words([-0.2]) == "0", "not -0"
    assert mean_in_words([-0.2, -0.2]) == "0 (0 to 0)"


def test_a_span_holds_nine_values_of_ten():
    assert span_in_words([1.0, 2.0, 3.0], digits=1) == "2.0 (1.1 to 2.9)"
