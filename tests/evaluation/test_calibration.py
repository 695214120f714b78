"""Is the error Guo et al.'s, at the bins' ends too?"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smallscale.evaluation.calibration import expected_calibration_error

ANSWERS = st.lists(
    st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40
).map(lambda pairs: tuple(zip(*pairs, strict=True)))


def by_loops(sure: Any, right: Any, bins: int) -> float:
    """Return the error as the paper writes it, with a loop over bins."""
    total = 0.0
    for m in range(1, bins + 1):
        low, high = (m - 1) / bins, m / bins
        inside = [
            i for i, p in enumerate(sure) if low < p <= high or (m == 1 and p == 0)
        ]
        if inside:
            accuracy = np.mean([right[i] for i in inside])
            confidence = np.mean([sure[i] for i in inside])
            total += len(inside) / len(sure) * abs(accuracy - confidence)
    return total


@pytest.mark.parametrize(
    ("sure", "right", "bins", "expected"),
    [
        ([1, 1, 1, 1], [1, 1, 1, 1], 15, 0.0),
        ([1, 1, 1, 1], [0, 0, 0, 0], 15, 1.0),
        ([1, 1, 0, 0], [1, 0, 0, 0], 15, 0.25),
        # Bin (0, .5]: |1/2 - .3| on 2 of 4; bin (.5, 1]: |1/2 - .8| on 2 of 4.
        ([0.2, 0.4, 0.7, 0.9], [0, 1, 0, 1], 2, 0.25),
        # One bin: |accuracy - confidence| overall, and errors of both signs cancel.
        ([0.2, 0.4, 0.7, 0.9], [0, 1, 0, 1], 1, 0.05),
        # .5 is in the lower of two bins: (|1 - .5| + |0 - .6|) / 2, not |.5 - .55|.
        ([0.5, 0.6], [1, 0], 2, 0.55),
        ([0.0, 0.1], [1, 0], 10, 0.45),  # 0 and .1 share the first bin
    ],
)
def test_by_hand(sure: Any, right: Any, bins: int, expected: float) -> None:
    measured = expected_calibration_error(sure, right, bins)
    assert measured == pytest.approx(expected, abs=1e-12)


def test_its_closed_form_for_uniform_confidence_and_one_accuracy() -> None:
    """Right half the time at confidences uniform on [0, 1]: the mean of |1/2 - p|
    over the bins' middles, which is 1/4 for an even number of bins."""
    sure = (np.arange(10_000) + 0.5) / 10_000
    right = np.arange(10_000) % 2
    for bins in (2, 10, 20):
        error = expected_calibration_error(sure, right, bins)
        assert error == pytest.approx(0.25, abs=1e-3)


@given(ANSWERS, st.integers(1, 30))
def test_it_is_the_papers_sum(answers: Any, bins: int) -> None:
    sure, right = answers
    measured = expected_calibration_error(sure, right, bins)
    assert measured == pytest.approx(by_loops(sure, right, bins), abs=1e-9)
    assert 0 <= measured <= 1


@pytest.mark.parametrize("bins", [3, 7, 10, 15, 49])
def test_a_bins_upper_end_is_its_own(bins: int) -> None:
    ends = [k / bins for k in range(1, bins + 1)]
    beyond = [min(1.0, np.nextafter(end, 2)) for end in ends]
    right = [0] * bins + [1] * bins
    measured = expected_calibration_error(ends + beyond, right, bins)
    assert measured == pytest.approx(by_loops(ends + beyond, right, bins), abs=1e-9)


@given(ANSWERS)
def test_finer_nested_bins_cannot_lower_it(answers: Any) -> None:
    """A bin cut in two: |a + b| <= |a| + |b|."""
    sure, right = answers
    coarse, fine = (expected_calibration_error(sure, right, m) for m in (8, 16))
    assert coarse <= fine + 1e-9


def test_answers_of_any_library() -> None:
    for kind in (list, np.array, torch.tensor):
        sure, right = kind([0.5, 0.5]), kind([True, False])
        assert expected_calibration_error(sure, right) == 0


@pytest.mark.parametrize(
    ("sure", "right", "bins", "says"),
    [
        ([], [], 15, "same length, at least 1"),
        ([0.5], [1, 0], 15, "same length"),
        ([1.01], [1], 15, r"confidence must lie in \[0, 1\]; got \[1.01\]"),
        ([-0.01], [1], 15, "confidence must lie"),
        ([math.nan], [1], 15, "confidence must lie"),
        ([math.inf], [1], 15, "confidence must lie"),
        ([0.5], [0.5], 15, r"correct must be True or False, 1 or 0; got \[0.5\]"),
        ([0.5], [math.nan], 15, "correct must be"),
        ([0.5], [-1], 15, "correct must be"),
        ([[0.5]], [1], 15, "confidence must have a number for each"),
        (["0.5"], [1], 15, "confidence must be numbers"),
        ([0.5], [1], 0, "bins must be a whole number, at least 1"),
        ([0.5], [1], 2.5, "bins must be a whole number"),
        ([0.5], [1], True, "bins must be a whole number"),
        ([0.5], [1], 10**9, "bins must be a whole number"),
        (0.5, [1], 15, "confidence must be a tensor, an array or a list"),
    ],
)
def test_what_has_no_calibration_is_refused_in_one_line(
    sure: Any, right: Any, bins: Any, says: str
) -> None:
    with pytest.raises(ValueError, match=says) as refusal:
        expected_calibration_error(sure, right, bins)
    assert "\n" not in str(refusal.value)
