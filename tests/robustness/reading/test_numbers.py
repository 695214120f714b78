"""Do numbers, dates and amounts give way to others of the same form?"""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallscale.robustness.reading.numbers import (
    names_a_day,
    other_amount,
    other_date,
    renumbered,
)


@given(st.text(alphabet="0123456789 ,.abc", max_size=12), st.integers(0, 99))
def test_another_number_of_the_same_form(text: str, seed: int) -> None:
    new = renumbered(text, np.random.default_rng(seed))
    assert re.sub(r"\d+", "#", new) == re.sub(r"\d+", "#", text)
    for old, other in zip(
        re.findall(r"\d+", text), re.findall(r"\d+", new), strict=True
    ):
        assert int(old) != int(other)


@given(st.integers(1, 99), st.integers(0, 99))
def test_an_ordinal_keeps_its_right_ending(value: int, seed: int) -> None:
    (new,) = re.findall(r"the (\w+) king", renumbered(f"the {value}th king", rng(seed)))
    number = int(new[:-2])
    tens, ones = number // 10 % 10, number % 10
    endings = {1: "st", 2: "nd", 3: "rd"} if tens != 1 else {}
    assert new[-2:] == endings.get(ones, "th")


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_decades_and_centuries_stay_such() -> None:
    for seed in range(50):
        assert re.fullmatch(r"in the \d{3}0s", renumbered("in the 1950s", rng(seed)))
        century = renumbered("the 19th century", rng(seed))
        assert 8 <= int(re.findall(r"\d+", century)[0]) <= 20
        assert renumbered("7 men", rng(seed))[0] in "2345689"  # "1 men" is no English


@pytest.mark.parametrize(
    ("gold", "form"),
    [
        ("1875", r"1[789]\d\d"),
        ("August 1944", r"(?!August)[A-Z][a-z]+ [12]\d{3}"),
        ("On August 15, 1971", r"(?!August)[A-Z][a-z]+ (?!15)\d\d?, [12]\d{3}"),
        ("21 February 1804", r"(?!February)[A-Z][a-z]+ (?!21)\d\d?, 1\d{3}"),
        ("between 1268 and 1273", r"1\d{3}"),
        ("1775–1795", r"1\d{3}"),
        ("10th century", r"the [12]\d\d0s"),
        ("the 1970s", r"the [12]\d\d0s"),
        ("December 12", ""),
        ("Decision Time", ""),
        ("1,875 years later", ""),
    ],
)
def test_another_date(gold: str, form: str) -> None:
    for seed in range(30):
        other = other_date(gold, rng(seed))
        assert re.fullmatch(form, other), other
        assert other != gold


def test_a_day_is_told_from_a_month() -> None:
    assert names_a_day("May 5, 1893")
    assert not names_a_day("May 1893")
    assert not names_a_day("1893")


@pytest.mark.parametrize(
    ("gold", "bare", "form"),
    [
        ("$159 million", False, r"\$\d{3} thousand"),
        ("26%", False, r"\d\d%"),
        ("3,600", True, r"\d,\d{3}"),
        ("approximately 1,000 soldiers", True, r"\d,\d{3}"),
        ("three weight rooms", True, "(?!three)[a-z]+"),
        ("over two million", True, "(?!two)[a-z]+ thousand"),
        ("Stage 3", False, ""),
        ("several", True, ""),
    ],
)
def test_another_amount(gold: str, bare: bool, form: str) -> None:
    for seed in range(30):
        assert re.fullmatch(form, other_amount(gold, rng(seed), bare)), gold
