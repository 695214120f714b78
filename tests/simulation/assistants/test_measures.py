"""How divided: known values of known distributions, and where each measure fails."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kurtosis, skew

from smallscale.simulation.assistants.measures import (
    bimodality,
    exposure_overlap,
    valley,
)


def test_sarle_by_scipys_moments() -> None:
    x = np.random.default_rng(0).gamma(2.0, size=50)
    n = len(x)
    g = skew(x, bias=False)
    k = kurtosis(x, bias=False)
    expected = (g**2 + 1) / (k + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)))
    assert bimodality(x) == pytest.approx(expected, rel=1e-12)


def test_sarle_of_known_distributions() -> None:
    rng = np.random.default_rng(1)
    assert bimodality(rng.normal(size=200_000)) == pytest.approx(1 / 3, abs=0.01)
    assert bimodality(np.linspace(0, 1, 9999)) == pytest.approx(5 / 9, abs=1e-3)
    assert bimodality([0] * 500 + [1] * 500) == pytest.approx(1.0, abs=0.01)
    assert bimodality([7.0] * 9) == 0.0


def test_where_sarle_is_fooled() -> None:
    rng = np.random.default_rng(2)
    one_camp = rng.exponential(size=10_000)
    assert bimodality(one_camp) > 0.5
    assert valley(one_camp, 0.3) < 0.05
    two_camps_and_stragglers = np.r_[
        rng.normal(40, 3, 600), rng.normal(58, 3, 600), [0.0] * 20, [120.0] * 20
    ]
    assert bimodality(two_camps_and_stragglers) < 0.3
    assert valley(two_camps_and_stragglers, 3.0) > 0.5


def plain_valley(x: np.ndarray, width: float) -> float:
    """The definition, place by place."""
    x = np.sort(x)
    low, high = np.quantile(x, [0.1, 0.9], method="nearest")
    places = np.linspace(x[0] - width, x[-1] + width, 400)
    f = [np.mean(np.exp(-(((v - x) / width) ** 2) / 2)) for v in places]
    depths = [0.0]
    for i, v in enumerate(places):
        if low < v < high:
            depths.append(1 - f[i] / min(max(f[: i + 1]), max(f[i:])))
    return float(max(depths))


@given(st.lists(st.floats(0, 100), min_size=4, max_size=25), st.sampled_from([1, 5]))
def test_the_valley_is_its_definition(x: list[float], width: float) -> None:
    found = valley(x, width)
    assert found == pytest.approx(plain_valley(np.array(x), width), abs=1e-9)
    assert 0 <= found <= 1


def test_valleys_of_one_camp_two_camps_and_stragglers() -> None:
    rng = np.random.default_rng(3)
    assert valley(rng.normal(size=5000), 0.5) < 0.02
    assert valley([0] * 50 + [9] * 50, 1) > 0.99
    assert valley([0] * 95 + [9] * 5, 1) == 0.0  # a camp is a tenth of the people
    assert valley([0] * 50 + [9] * 50, 9) == 0.0  # a wide curve fills it


def test_overlap_is_the_mean_over_pairs() -> None:
    rng = np.random.default_rng(4)
    shown = np.array([rng.permutation(8)[:3] for _ in range(6)])
    pairs = [len(set(a) & set(b)) / 3 for a, b in combinations(shown.tolist(), 2)]
    assert exposure_overlap(shown, 8) == pytest.approx(np.mean(pairs))
    assert exposure_overlap(np.tile([2, 5], (9, 1)), 8) == 1.0
    assert exposure_overlap(np.array([[0, 1], [2, 3]]), 4) == 0.0


@pytest.mark.parametrize("measure", [bimodality, lambda x: valley(x, 1.0)])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([1, 2, 3], "opinions must be \\(n,\\), n at least 4"),
        ([[1, 2, 3, 4]], "opinions must be"),
        ([1, 2, 3, np.nan], "opinions must be finite"),
    ],
)
def test_opinions_that_cannot_be_say_why(
    measure: Callable[[Any], float], x: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        measure(x)


@pytest.mark.parametrize("width", [0, -1, np.nan])
def test_a_width_that_cannot_be_says_why(width: float) -> None:
    with pytest.raises(ValueError, match="width must be a finite number, above 0"):
        valley([1, 2, 3, 4], width)
