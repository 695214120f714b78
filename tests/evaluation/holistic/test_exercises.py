"""Are right answers accepted, and wrong ones told why?"""

import numpy as np
import pytest

from smallscale.evaluation.holistic.comparing import mcnemar
from smallscale.evaluation.holistic.exercises import (
    EXPECTED_GAIN,
    check_best_of_ten,
    check_detector,
    check_differences,
)
from smallscale.notebook.exercises import NOT_YET


def test_not_yet() -> None:
    assert check_differences(None) == NOT_YET
    assert check_best_of_ten(None) == NOT_YET
    assert check_detector(lambda a, b: None) == NOT_YET


def test_the_smallest_number_of_differences() -> None:
    chances = [mcnemar([1] * d, [0] * d) for d in range(1, 10)]
    smallest = 1 + next(i for i, p in enumerate(chances) if p < 0.05)
    assert check_differences(smallest).startswith("Right")


@pytest.mark.parametrize(
    ("answer", "said"),
    [(5, "two sides"), (4, ".125"), (7, "d = 6"), (1, "fair coin"), (60, "fair coin")],
)
def test_wrong_numbers_of_differences_are_told_why(answer: float, said: str) -> None:
    assert said in check_differences(answer)
    assert not check_differences(answer).startswith("Right")


def test_the_expected_gain_is_what_a_simulation_gives() -> None:
    random = np.random.default_rng(0)
    means = (random.random((20_000, 10, 20)) < 0.5).mean(2)
    gain = (means.max(1) - means.mean(1)).mean()
    assert gain == pytest.approx(EXPECTED_GAIN, abs=0.012)
    assert check_best_of_ten(float(gain)).startswith("Right")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (0, "other items"),
        (0.112, "standard deviation"),
        (1.54, "counts standard"),
        (0.054, "largest"),
        (0.4, "Draw ten"),
        (-0.172, "Draw ten"),
    ],
)
def test_wrong_gains_are_told_why(answer: float, said: str) -> None:
    assert said in check_best_of_ten(answer)


def z(a: np.ndarray, b: np.ndarray) -> float:
    error = np.sqrt(a.var() / len(a) + b.var() / len(b))
    return (a.mean() - b.mean()) / error


def test_a_one_sided_test_is_right() -> None:
    assert check_detector(lambda a, b: z(a, b) > 1.645).startswith("Right")


@pytest.mark.parametrize(
    ("detect", "said"),
    [
        (lambda a, b: True, "same verdict"),
        (lambda a, b: False, "same verdict"),
        (lambda a, b: a.mean() > b.mean(), "Too ready"),
        (lambda a, b: a.mean() > 0.6, "Too ready"),
        (lambda a, b: a.mean() - b.mean() > 0.25, "Too cautious"),
        (lambda a, b: z(a, b) > 3.3, "Too cautious"),
        (lambda a, b: 0.5, "True or False"),
    ],
)
def test_wrong_detectors_are_told_why(detect, said: str) -> None:
    assert said in check_detector(detect)
