"""Do the cents add up?"""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smallscale.attribution import payouts


def test_payouts_by_hand() -> None:
    # 100 cents over 1 : 1 : 1 are 33 each and one over, for the first.
    assert payouts([1, 1, 1], 100) == [34, 33, 33]
    # 10 cents over 6 : 3 : 1 ... of 10 are exact; of 7: 4.2, 2.1, .7 -> 4, 2, 0 and one
    # for the largest remainder.
    assert payouts([6, 3, 1], 10) == [6, 3, 1]
    assert payouts([6, 3, 1], 7) == [4, 2, 1]
    assert payouts([-5, 1, 3], 4) == [0, 1, 3]
    assert payouts([0, -1, 0], 5) == [2, 2, 1]
    # Remainders of 1/2 each: to the larger value, though it comes later.
    assert payouts([1, 3], 2) == [0, 2]
    assert (
        payouts(torch.tensor([1.0, 1.0]), 3) == payouts(np.array([1, 1]), 3.0) == [2, 1]
    )


VALUES = st.lists(st.floats(-1e6, 1e300, allow_nan=False), min_size=1, max_size=12)


@given(VALUES, st.integers(1, 10**15))
def test_payouts_are_whole_sum_to_the_pot_and_miss_the_exact_share_by_less_than_a_cent(
    values: Any, pot: int
) -> None:
    paid = payouts(values, pot)
    assert all(type(cents) is int and cents >= 0 for cents in paid)
    assert sum(paid) == pot
    claims = [max(Fraction(value), Fraction(0)) for value in values]
    if any(claims):
        for cents, claim in zip(paid, claims, strict=True):
            assert abs(cents - pot * claim / sum(claims)) < 1
    else:
        assert max(paid) - min(paid) <= 1


@given(
    st.lists(st.integers(-3, 50), min_size=2, max_size=8, unique=True),
    st.integers(1, 1000),
    st.randoms(),
)
def test_payouts_do_not_care_for_names(
    values: list[int], pot: int, random: Any
) -> None:
    order = list(range(len(values)))
    random.shuffle(order)
    if any(value > 0 for value in values):
        expected = payouts(values, pot)
        assert payouts([values[i] for i in order], pot) == [expected[i] for i in order]


@pytest.mark.parametrize(
    ("values", "pot", "message"),
    [
        ([1.0], 0, "pot must be a whole number of cents above 0; got 0"),
        ([1.0], -5, "pot must be"),
        ([1.0], 1.5, "pot must be"),
        ([1.0], math.nan, "pot must be"),
        ([1.0], math.inf, "pot must be"),
        ([1.0], True, "pot must be"),
        ([1.0, math.nan], 5, "values must be finite; number 1 is nan"),
        ([math.inf], 5, "values must be finite"),
        ([], 5, "values must be a list of at least one number"),
        ([[1.0]], 5, "values must be a list of at least one number"),
        (np.float64(3), 5, "values must be a list of at least one number"),
    ],
)
def test_pots_that_cannot_be_divided_say_why(
    values: Any, pot: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        payouts(values, pot)


@pytest.mark.parametrize(
    "pot",
    [
        100,
        100.0,
        np.int64(100),
        np.uint8(100),
        np.float32(100),
        Decimal(100),
        Fraction(100),
        torch.tensor(100),
        np.array(100),
        Decimal("1e2"),
    ],
)
def test_a_pot_is_whole_cents_of_any_library(pot: Any) -> None:
    paid = payouts([1, 1, 1], pot)
    assert paid == [34, 33, 33]
    assert all(type(cents) is int for cents in paid)


@pytest.mark.parametrize(
    "pot",
    [
        True,
        np.True_,
        "100",
        None,
        1 + 0j,
        Decimal("1.5"),
        Decimal("NaN"),
        [100],
        Decimal("Infinity"),
        Fraction(1, 2),
        np.array([1, 2]),
        torch.tensor(True),
    ],
)
def test_a_pot_that_is_no_such_number_is_refused(pot: Any) -> None:
    with pytest.raises(ValueError, match="pot must be a whole number of cents above 0"):
        payouts([1, 1, 1], pot)


def test_numbers_of_any_size_and_library_are_divided_exactly() -> None:
    huge = 10**400
    assert payouts([huge, 2 * huge], 3) == [1, 2]
    assert payouts([1, 1, 1], 3 * huge) == [huge] * 3
    assert payouts([-huge, 1], 5) == [0, 5]
    assert payouts([5e-324, 5e-324], 2) == [1, 1]
    assert payouts([1.7e308, 1.7e308], 2) == [1, 1]
    mixed = [np.float32(1), torch.tensor(1.0), Decimal(1), Fraction(1), np.int8(1), 1]
    assert payouts(mixed, 6) == [1] * 6
    assert payouts(pd.Series([3, 1]), 4) == [3, 1]
    assert payouts((x for x in [3, 1]), 4) == [3, 1]
    assert payouts(torch.tensor([3.0, 1.0], dtype=torch.bfloat16), 4) == [3, 1]


@pytest.mark.parametrize(
    "values",
    [
        {"ann": 3},
        {3, 1},
        "31",
        7,
        None,
        [1, None],
        [1, "2"],
        [1, 2j],
        [[1], [2]],
        np.array([1, 2j]),
        torch.ones(2, 2),
        np.array(["1"]),
    ],
)
def test_values_that_are_no_list_of_numbers_are_refused(values: Any) -> None:
    with pytest.raises(
        ValueError, match="values must be a list of at least one number"
    ):
        payouts(values, 5)
