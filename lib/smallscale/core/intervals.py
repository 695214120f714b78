"""How surely is a proportion known, or a mean? Wilson's interval, and Student's."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from scipy.stats import t as student
from torch import Tensor

from smallscale.core.validation import as_array, as_float, require, shown

ROUNDING = 1e-9  # how far a count may be from a whole number, as a share of it


class MeanInterval(NamedTuple):
    """A mean, and the half-width of its 95 % interval."""

    mean: float
    half: float

    @property
    def low(self) -> float:
        """The lower end."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """The upper end."""
        return self.mean + self.half


def mean_interval(values: Any) -> MeanInterval:
    """Return the mean of independent values and the half of its 95 % interval:

        t(0.975, n - 1) * standard deviation / sqrt(n)    (Student 1908)

    values: (n,), one a seed, say; n at least 2. What it says is about other seeds, not
    about other test data. Raises ValueError for fewer than two values.

    >>> mean, half = mean_interval([1.0, 2.0, 3.0])
    >>> print(f"{mean:.2f} -+ {half:.2f}")
    2.00 -+ 2.48
    """
    numbers = _list_of_numbers(values)
    n = len(numbers)
    require(n >= 2, f"values must be two or more numbers; got {n}")
    half = student.ppf(0.975, n - 1) * np.std(numbers, ddof=1) / np.sqrt(n)
    return MeanInterval(float(np.mean(numbers)), float(half))


def mean_in_words(values: Any, digits: int = 0) -> str:
    """Return the mean of one value a seed, with its 95 % interval if there are several.

    values: (n,), n at least 1. digits: behind the point. Of one value, which has no
    interval, only the value is said. What rounds to zero has no sign.

    >>> mean_in_words([20.0, 21.0, 22.0]), mean_in_words([0.25], digits=2)
    ('21 (19 to 23)', '0.25')
    """
    numbers = _list_of_numbers(values, least=1)
    if len(numbers) == 1:
        return f"{numbers[0]:z.{digits}f}"
    interval = mean_interval(numbers)
    ends = f"({interval.low:z.{digits}f} to {interval.high:z.{digits}f})"
    return f"{interval.mean:z.{digits}f} {ends}"


def span_in_words(values: Any, digits: int = 3) -> str:
    """Return the median of the values, and between what ends 90 % of them lie.

    values: (n,), n at least 1. digits: behind the point. It is about these values, and
    no interval of anything else.

    >>> span_in_words(range(101), digits=0)
    '50 (5 to 95)'
    """
    numbers = _list_of_numbers(values, least=1)
    low, middle, high = np.quantile(numbers, [0.05, 0.5, 0.95])
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def binomial_interval(successes: int, n: int) -> tuple[float, float]:
    """Return the ends of a probability's 95 % Wilson score interval (Wilson 1927).

    With p = successes / n and z = 1.96 they are

        (p + z^2 / 2n  -+  z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    Unlike "plus or minus two standard errors" the interval stays inside [0, 1], and
    says something at 0 and at n. A float is taken for the whole number that it is but
    for rounding, as 0.29 * 100 is 29. Raises ValueError for other fractions, and unless
    0 <= successes <= n and n >= 1.

    >>> low, high = binomial_interval(9, 10)
    >>> print(f"{low:.3f} to {high:.3f}")
    0.596 to 0.982
    """
    right, of = _nearest_count("successes", successes), _nearest_count("n", n)
    possible = of >= 1 and 0 <= right <= of
    wanted = "successes must lie in [0, n] with n at least 1"
    require(possible, f"{wanted}; got {successes} of {n}")
    interval = binomtest(right, of).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def share_interval(right: Tensor) -> tuple[float, float, float]:
    """Return the share of True in (n,) of bool, and its 95 % Wilson interval's ends."""
    share = float(right.double().mean())
    low, high = binomial_interval(int(right.sum()), len(right))
    return share, low, high


def _nearest_count(name: str, value: Any) -> int:
    """Return the whole number that a value is, but for the rounding of a product."""
    number = as_float(value)
    whole = math.isfinite(number) and math.isclose(
        number, round(number), rel_tol=ROUNDING, abs_tol=ROUNDING
    )
    require(whole, f"{name} must be a whole number; got {shown(value)}")
    return round(number)


def _list_of_numbers(values: Any, *, least: int = 0) -> NDArray[np.float64]:
    """Return the values as float64 (n,), at least so many, or refuse them."""
    numbers = as_array("values", values, dtype=float)
    good = numbers.ndim == 1 and len(numbers) >= least
    wanted = "values must be a list of numbers, (n,)"
    require(good, f"{wanted}; got shape {numbers.shape}")
    return numbers
