"""Who gets how many cents? The payout rule: a pot, divided to the last cent.

The pot is divided in proportion to values, by the largest remainder (Hamilton's
method), so that nothing is lost to rounding.
"""

from fractions import Fraction
from math import isfinite
from typing import Any

from smallscale.core.validation import require


def payouts(values: Any, pot: int) -> list[int]:
    """Return the pot in proportion to values, in whole cents that sum exactly to it.

    Each owner gets the whole cents of their exact share. The cents left over go one
    each to the largest remainders; of equal remainders to the larger value, then to the
    one that comes first (largest remainder, Hamilton's method).

    values: (n,) numbers; a negative one counts as 0; where all are 0, shares are equal.
    pot: whole cents, above 0. Exact for any size: computed in fractions.
    Raises ValueError for a pot that is no such number, for no values, and for NaN or
    infinite ones.

    >>> payouts([6, 3, 1], 7)  # exactly 4.2, 2.1 and 0.7
    [4, 2, 1]
    >>> payouts([1, 1, 1], 100)
    [34, 33, 33]
    """
    amounts, cents = _checked_amounts(values), _checked_pot(pot)
    claims = [max(Fraction(amount), Fraction(0)) for amount in amounts]
    if not any(claims):
        claims = [Fraction(1)] * len(claims)
    total = sum(claims)
    shares = [cents * claim / total for claim in claims]
    paid = [share.numerator // share.denominator for share in shares]  # whole cents
    remainders = [share - whole for share, whole in zip(shares, paid, strict=True)]

    def priority(owner: int) -> tuple[Fraction, Fraction]:
        return remainders[owner], claims[owner]

    # A stable sort: of equal owners, the one that comes first stays first.
    queue = sorted(range(len(paid)), key=priority, reverse=True)
    left_over = cents - sum(paid)
    for owner in queue[:left_over]:
        paid[owner] += 1
    return paid


def _checked_amounts(values: Any) -> list[float]:
    """Return the values as a list of finite numbers; ValueError where they are not."""
    amounts = values.tolist() if hasattr(values, "tolist") else list(values)
    flat = isinstance(amounts, list) and not any(isinstance(a, list) for a in amounts)
    require(
        flat and amounts,
        "values must be a list of at least one number, one for each owner",
    )
    for i, amount in enumerate(amounts):
        require(isfinite(amount), f"values must be finite; number {i} is {amount}")
    return list(amounts)


def _checked_pot(pot: Any) -> int:
    """Return the pot as int; ValueError unless it is whole and above 0."""
    whole = not isinstance(pot, bool) and isfinite(pot) and pot == int(pot)
    require(
        whole and pot > 0, f"pot must be a whole number of cents above 0; got {pot}"
    )
    return int(pot)
