"""Who gets how many cents? The payout rule: a pot, divided to the last cent.

The pot is divided in proportion to values, by the largest remainder (Hamilton's
method), so that nothing is lost to rounding.
"""

from collections.abc import Iterable, Mapping, Set
from decimal import Decimal
from fractions import Fraction
from numbers import Rational
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smallscale.core.validation import require, shown

# What can be gone through and is no list of numbers, in an order of its own.
NO_LISTS = (str, bytes, Mapping, Set)


def payouts(values: Any, pot: int) -> list[int]:
    """Return the pot in proportion to values, in whole cents that sum exactly to it.

    Each owner gets the whole cents of their exact share. The cents left over go one
    each to the largest remainders; of equal remainders to the larger value, then to the
    one that comes first (largest remainder, Hamilton's method).

    values: (n,) numbers; a negative one counts as 0; where all are 0, shares are equal.
    pot: whole cents, above 0. Both may be numbers of any library, decimals and
    fractions too, of any size: all is computed in fractions. Raises ValueError for a
    pot that is no such number, for no values, for NaN or infinite ones, and for values
    in no order, as in a dict.

    >>> payouts([6, 3, 1], 7)  # exactly 4.2, 2.1 and 0.7
    [4, 2, 1]
    >>> payouts([1, 1, 1], 100)
    [34, 33, 33]
    """
    amounts, cents = _checked_amounts(values), _checked_pot(pot)
    claims = [max(amount, Fraction(0)) for amount in amounts]
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


def _checked_amounts(values: Any) -> list[Fraction]:
    """Return the values as fractions; ValueError where they are no finite numbers."""
    given = values.tolist() if hasattr(values, "tolist") else values
    wanted = "values must be a list of at least one number, one for each owner"
    in_order = isinstance(given, Iterable) and not isinstance(given, NO_LISTS)
    require(in_order, f"{wanted}; got {shown(given)}")
    amounts = []
    for i, value in enumerate(given):
        amount = _fraction(value)
        if amount is None:
            number = isinstance(value, (float, Decimal))  # and NaN or infinite
            words = "values must be finite" if number else wanted
            raise ValueError(f"{words}; number {i} is {shown(value)}")
        amounts.append(amount)
    require(amounts, f"{wanted}; got none")
    return amounts


def _checked_pot(pot: Any) -> int:
    """Return the pot as int; ValueError unless it is whole and above 0."""
    cents = _fraction(pot)
    truth = getattr(pot, "dtype", type(pot)) in (bool, np.bool_, torch.bool)
    if truth or cents is None or cents.denominator != 1 or cents <= 0:
        message = "pot must be a whole number of cents above 0"
        raise ValueError(f"{message}; got {shown(pot)}")
    return int(cents)


def _fraction(value: Any) -> Fraction | None:
    """Return a real number of any library and size exactly; None for anything else."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)) and value.ndim == 0:
        value = value.item()  # a number of numpy's or torch's is Python's
    if not isinstance(value, (Rational, float, Decimal)):
        return None
    try:
        return Fraction(value)
    except (ValueError, OverflowError):  # NaN or infinite
        return None
