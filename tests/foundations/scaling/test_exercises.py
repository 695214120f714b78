"""Is a wrong answer told why it is wrong?"""

import math
from typing import Any

import pytest

from smallscale.foundations.scaling import exercises
from smallscale.foundations.scaling.exercises import (
    BUDGET,
    check_best_size,
    check_ladder,
)
from smallscale.notebook.exercises import NOT_YET


def _g(law: Any) -> float:
    ratio = law.alpha * law.A / (law.beta * law.B)
    return float(ratio ** (1 / (law.alpha + law.beta)))


def _by_search(law: Any, compute: float) -> float:
    low, high = 0.0, math.log(compute / 6)
    for _ in range(200):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        losses = [law.loss(math.exp(n), compute / 6 / math.exp(n)) for n in (a, b)]
        low, high = (low, b) if losses[0] < losses[1] else (a, high)
    return math.exp(low)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda law, c: None, NOT_YET),
        (lambda law, c: law.best_size(c), exercises.RIGHT_SIZE),
        (_by_search, exercises.RIGHT_SIZE),
        (lambda law, c: law.best_size(6 * c), exercises.NO_SIX),
        (
            lambda law, c: _g(law) * (c / 6) ** (1 - law.size_exponent),
            exercises.SWAPPED,
        ),
        (lambda law, c: (c / 6) ** law.size_exponent / _g(law), exercises.UPSIDE_DOWN),
        (lambda law, c: (c / 6) ** law.size_exponent, exercises.NO_FACTOR),
        (lambda law, c: math.sqrt(c / 6), exercises.HALF),
        (lambda law, c: 1000.0, "Set the slope"),
        (
            lambda law, c: 2.0 * law.best_size(c),
            "Set the slope",
        ),
        (lambda law, c: "large", exercises.NOT_A_NUMBER),
        (lambda law, c: -1.0, exercises.NOT_A_NUMBER),
        (
            lambda law, c: 7.3165 * (c / 6) ** 0.5625 if law.alpha == 0.35 else 5.0,
            None,
        ),
    ],
)
def test_the_best_size(answer: Any, says: str | None) -> None:
    message = check_best_size(answer)
    if says is None:
        assert message != exercises.RIGHT_SIZE
    else:
        assert says in message


def test_the_numbers_of_one_law_written_down_are_found_out() -> None:
    first = []

    def spy(law: Any, compute: float) -> float:
        first.append(law)
        return float(law.best_size(compute))

    check_best_size(spy)
    assert (
        check_best_size(lambda law, c: first[0].best_size(c)) == exercises.ONE_LAW_ONLY
    )


def _grid(sizes: list[float], factor: float, times: int = 4) -> Any:
    """Return a design that spends as much on each size, on several amounts of text."""

    def design(budget: float) -> list[tuple[float, float]]:
        each = budget / len(sizes) / 6
        shares = [factor**-k for k in range(times)]
        return [(n, each / n * share / sum(shares)) for n in sizes for share in shares]

    return design


@pytest.mark.parametrize(
    ("design", "says"),
    [
        (lambda budget: None, NOT_YET),
        (_grid([500, 1500, 5000, 15_000], 3), "Right"),
        (lambda budget: "many", "a list of pairs"),
        (lambda budget: [(1e3, -1e5)] * 8, "a list of pairs"),
        (lambda budget: [1e3, 1e5], "a list of pairs"),
        (lambda budget: [(2e4, 2e6)], "and the budget is 6e+10"),
        (lambda budget: [(9e3, 1e5), (5e3, 2e5)], "takes at least 6 runs; got 2"),
        (
            lambda budget: [(n, 1e5) for n in range(1000, 9000, 1000)],
            "tokens must vary",
        ),
        (
            lambda budget: [(n, 20 * n) for n in (1e3, 2e3, 4e3, 8e3, 1e4, 1.6e4)],
            "rise together",
        ),
        (
            lambda budget: [
                (n, d) for n in (9e3, 1e4, 1.1e4) for d in (8e4, 1e5, 1.2e5)
            ],
            "a slope seen over so short a stretch",
        ),
        (
            lambda budget: [(n, d) for n in (100, 200, 400) for d in (1e4, 2e4, 4e4)],
            "More than half of the budget is left",
        ),
    ],
)
def test_the_ladder(design: Any, says: str) -> None:
    assert says in check_ladder(design)


def test_the_run_that_is_foretold_costs_four_ladders() -> None:
    assert 6 * math.prod(exercises.TARGET) == 4 * BUDGET
