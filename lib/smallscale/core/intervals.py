"""How surely is a proportion known? Wilson's interval, for counts of yes and no."""

from scipy.stats import binomtest
from torch import Tensor


def binomial_interval(successes: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson score interval (low, high) for a probability, from `successes` out of `n` (Wilson 1927).

    Unlike "plus or minus two standard errors" it stays inside [0, 1], and says something at 0 and at n.
    Raises ValueError unless 0 <= successes <= n and n >= 1.
    """
    if not (n >= 1 and 0 <= successes <= n):
        raise ValueError(
            f"successes must lie in [0, n] with n at least 1; got {successes} of {n}"
        )
    interval = binomtest(int(successes), int(n)).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def share_interval(right: Tensor) -> tuple[float, float, float]:
    """The share of True in (n,) of bool, and the ends of its 95 % Wilson interval."""
    return float(right.double().mean()), *binomial_interval(
        int(right.sum()), len(right)
    )
