"""How surely is a proportion known? Wilson's interval, for counts of yes and no."""

from scipy.stats import binomtest
from torch import Tensor

from smallscale.core.validation import require


def binomial_interval(successes: int, n: int) -> tuple[float, float]:
    """Return the ends of a probability's 95 % Wilson score interval (Wilson 1927).

    With p = successes / n and z = 1.96 they are

        (p + z^2 / 2n  -+  z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    Unlike "plus or minus two standard errors" the interval stays inside [0, 1], and
    says something at 0 and at n. Raises ValueError unless 0 <= successes <= n and n >=
    1.

    >>> low, high = binomial_interval(9, 10)
    >>> print(f"{low:.3f} to {high:.3f}")
    0.596 to 0.982
    """
    possible = n >= 1 and 0 <= successes <= n
    wanted = "successes must lie in [0, n] with n at least 1"
    require(possible, f"{wanted}; got {successes} of {n}")
    interval = binomtest(int(successes), int(n)).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def share_interval(right: Tensor) -> tuple[float, float, float]:
    """Return the share of True in (n,) of bool, and its 95 % Wilson interval's ends."""
    share = float(right.double().mean())
    low, high = binomial_interval(int(right.sum()), len(right))
    return share, low, high
