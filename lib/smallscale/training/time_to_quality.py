"""How long does training take to reach a quality? MLPerf's mean of several runs."""

import math
import statistics
from typing import Any

from smallscale.core.validation import as_array, require

FEWEST_RUNS = 3  # one remains when the fastest and the slowest are dropped


def olympic_mean(times: Any) -> float:
    """Return the mean time to a quality, the fastest and the slowest run dropped.

    With t_1 <= t_2 <= ... <= t_n, n >= 3, it is

        (t_2 + ... + t_(n-1)) / (n - 2)

    times: (n,) of one run each, in any unit, from 0; math.inf is a run that did not
    converge. One such run counts as the slowest and is dropped. Two or more make the
    result invalid, and math.inf is returned: finite results are valid, infinite ones
    are not. The rule is that of MLPerf Training (Mattson et al. 2020).
    Raises ValueError for fewer than 3 times, and for negative times, NaN and what is
    no list of numbers.

    >>> olympic_mean([9.0, 5.0, 6.0, 7.0, 40.0])
    7.333333333333333
    >>> olympic_mean([5.0, 6.0, math.inf])
    6.0
    >>> olympic_mean([5.0, math.inf, math.inf])
    inf
    """
    kept = sorted(_checked_times(times))[1:-1]
    if math.inf in kept:
        return math.inf
    return float(statistics.mean(kept))  # of exact fractions: it cannot overflow


def _checked_times(times: Any) -> list[float]:
    """Return the times as a list of floats, or refuse them."""
    array = as_array("times", times)
    require(
        array.ndim == 1 and len(array) >= FEWEST_RUNS,
        f"times must be a list of at least {FEWEST_RUNS} runs; its shape is "
        f"{array.shape}",
    )
    require(
        array.dtype.kind in "iuf",
        f"times must be numbers; their type is {array.dtype}",
    )
    values = array.astype(float)
    wrong = ~(values >= 0)  # NaN is neither above nor below
    require(
        not wrong.any(),
        "times must be at least 0, or infinite where a run did not converge; got "
        f"{values[wrong][:1].tolist()}",
    )
    numbers: list[float] = values.tolist()
    return numbers
