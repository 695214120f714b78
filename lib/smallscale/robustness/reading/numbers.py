"""What number, date or amount could stand in another's place? One of the same form."""

import re

import numpy as np

from smallscale.robustness.reading.english import NUMBER_WORDS, UNITS

NUMBER = re.compile(r"\d+")
ORDINAL = re.compile(r"(\d+)(st|nd|rd|th)\b")
DECADE = re.compile(r"\b(\d{3})\d(?=['’]?s\b)")
EXACT_DIGITS = 15  # of a number that is drawn exactly
LATEST_YEAR = 2020
YEARS_AWAY = 120  # at most, from a year to the one drawn for it

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
MONTH = re.compile("|".join(MONTHS))
YEAR = re.compile(r"(?<![,.])\b[1-9]\d{2,3}\b(?!,)")
DATES = re.compile(
    rf"(?:(?:[Oo]n|[Ii]n) )?(?:(?P<day_first>\d\d?) )?(?P<month>{MONTH.pattern})"
    r"(?: (?P<day>\d\d?))?,? (?P<year>\d{4})"
)
CENTURY_NUMBER = re.compile(r"\d\d?(?=(?:st|nd|rd|th) century)")
CENTURIES = (8, 21)  # from the first on, up to before the second
CENTURY = re.compile(r"(\d\d?)(?:st|nd|rd|th) century|\b(\d\d)\d0s", re.IGNORECASE)
AMOUNT = re.compile(
    rf"(?P<sign>[$€£]?)(?P<number>\d[\d,.]*|{'|'.join(NUMBER_WORDS)})"
    rf"(?P<unit>(?:%| percent| per cent| (?:{'|'.join(UNITS)}))?)",
    re.IGNORECASE,
)
DAY = re.compile(rf"(?:{MONTH.pattern}) \d\d?,")


def renumbered(text: str, rng: np.random.Generator) -> str:
    """Return the text with every number replaced by another of as many digits.

    A year is replaced by one at most 120 years away, a day of a month by a day; "1st"
    becomes "22nd" and not "22st".
    """

    def other_number(match: re.Match[str]) -> str:
        if CENTURY_NUMBER.match(text, match.start()):
            return str(_unlike(int(match[0]), *CENTURIES, rng))
        return _other_number(match[0], rng)

    other = NUMBER.sub(other_number, text)
    other = DECADE.sub(r"\g<1>0", other) if DECADE.search(text) else other
    return ORDINAL.sub(lambda match: match[1] + _ending(int(match[1])), other)


def _ending(value: int) -> str:
    """Return the ending of an ordinal number: 1st, 2nd, 3rd, 11th."""
    if value // 10 % 10 == 1:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")


def _other_number(digits: str, rng: np.random.Generator) -> str:
    value = int(digits)
    n = len(digits)
    if n > EXACT_DIGITS:
        return str(value + 1).zfill(n)
    low, high = 10 ** (n - 1), 10**n
    if n == 1:
        low = 2  # what is counted by 1 is no plural
    if n == 4 and 1000 <= value <= LATEST_YEAR:
        low = max(low, value - YEARS_AWAY)
        high = min(LATEST_YEAR + 1, value + YEARS_AWAY + 1)
    elif n == 2 and value <= 28:
        high = 29
    return str(_unlike(value, low, high, rng))


def _unlike(value: int, low: int, high: int, rng: np.random.Generator) -> int:
    """Return one of the numbers in [low, high) other than value."""
    if not low <= value < high:
        return int(rng.integers(low, high))
    # Those from value on move up by one.
    new = int(rng.integers(low, high - 1))
    return new + 1 if new >= value else new


def other_date(gold: str, rng: np.random.Generator) -> str:
    """Return another date; "" for a gold that names no year.

    A month, and a day, become others too, so that no word is left of the old date. Of a
    span of years one is left, and of a century a decade.
    """
    found = DATES.fullmatch(gold.strip(" ,."))
    year = YEAR.search(gold)
    if found is not None:
        part = found.groupdict()
        month = MONTHS[_unlike(MONTHS.index(part["month"]), 0, len(MONTHS), rng)]
        year_drawn = _other_number(part["year"], rng)
        day = part["day"] or part["day_first"]
        if day is None:
            return f"{month} {year_drawn}"
        return f"{month} {_unlike(int(day), 1, 29, rng)}, {year_drawn}"
    if CENTURY.search(gold):
        return f"the {_unlike(0, 100, LATEST_YEAR // 10, rng)}0s"
    return _other_number(year[0], rng) if year else ""


def names_a_day(date: str) -> bool:
    """Return whether a date is "on" a day rather than "in" a month or a year."""
    return DAY.match(date) is not None


def other_amount(gold: str, rng: np.random.Generator, bare: bool = False) -> str:
    """Return another amount: "$159 million" -> "$835 billion"; "" for no amount.

    bare: only the number, for the words that it counts follow.
    """
    found = AMOUNT.search(gold) if bare else AMOUNT.fullmatch(gold.strip())
    if found is None:
        return ""
    number = found["number"].rstrip(",.")
    if NUMBER.search(number):
        number = renumbered(number, rng)
    else:
        at = NUMBER_WORDS.index(number.lower())
        number = NUMBER_WORDS[_unlike(at, 0, len(NUMBER_WORDS), rng)]
    unit = found["unit"]
    is_size = unit.strip() in ("hundred", "thousand", "million", "billion", "trillion")
    if bare and not is_size:
        return number
    return f"{found['sign']}{number}{_other_unit(unit)}"


def _other_unit(unit: str) -> str:
    """Return another unit of the same sort, so that no word is left of the amount."""
    word = unit.strip()
    return unit.replace(word, UNITS.get(word, word)) if word else ""
