"""Who gets how many cents? A pot, divided in proportion, so that nothing is lost to rounding."""

from fractions import Fraction
from math import isfinite
from typing import Any


def payouts(values: Any, pot: int) -> list[int]:
    """The pot in proportion to values, in whole cents that sum exactly to it (largest remainder, Hamilton's method).

    Each gets the whole cents of its exact share; the cents left over go one each to the largest remainders, of
    equal ones to the larger value, then to the one that comes first.
    values: (n,) numbers; a negative one counts as 0; where all are 0, shares are equal. pot: whole cents, above 0.
    Exact for any size: computed in fractions. Raises ValueError for a pot that is not such a number, for no values, and
    for NaN or infinite ones.
    """
    amounts = values.tolist() if hasattr(values, "tolist") else list(values)
    if (
        not isinstance(amounts, list)
        or not amounts
        or any(isinstance(a, list) for a in amounts)
    ):
        raise ValueError(
            "values must be a list of at least one number, one for each owner"
        )
    for i, amount in enumerate(amounts):
        if not isfinite(amount):
            raise ValueError(f"values must be finite; number {i} is {amount}")
    if isinstance(pot, bool) or not (isfinite(pot) and pot > 0 and pot == int(pot)):
        raise ValueError(f"pot must be a whole number of cents above 0; got {pot}")
    claims = [max(Fraction(amount), Fraction(0)) for amount in amounts]
    if not any(claims):
        claims = [Fraction(1)] * len(claims)
    cents, total = int(pot), sum(claims)
    paid, left = map(
        list, zip(*(divmod(cents * claim, total) for claim in claims), strict=True)
    )
    order = sorted(range(len(paid)), key=lambda i: (left[i], claims[i]), reverse=True)
    for i in order[: cents - sum(paid)]:
        paid[i] += 1
    return paid
