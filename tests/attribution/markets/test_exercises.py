"""Do the checks accept what is right, and say of each common mistake what it is?"""

from typing import Any

import numpy as np
import pytest

from smallscale.attribution.markets.exercises import (
    check_banzhaf,
    check_payouts,
    check_rule,
)
from smallscale.attribution.markets.games import banzhaf_of, shapley_of
from smallscale.attribution.markets.market import Texts, first_of_each
from smallscale.attribution.markets.ngram_model import train_tokenizer
from smallscale.attribution.markets.payments import payouts
from smallscale.attribution.markets.proxies import alone, left_out
from smallscale.attribution.markets.valuation import ValuationModel
from smallscale.notebook.exercises import NOT_YET

LINES = [
    f"{a} = {b}({c})\n"
    for a in ("x", "y", "total")
    for b in ("len", "sum", "max")
    for c in ("rows", "names", "x")
]


def some_text(seed: int) -> str:
    """Return lines of which no two documents share eight words: each has numbers."""
    random = np.random.default_rng(seed)
    lines = random.choice(LINES, 60)
    return "".join(f"{line.strip()} + {random.integers(1000)}\n" for line in lines)


TEXTS = {f"a{i}": {f"{k}": some_text(9 * i + k) for k in range(4)} for i in range(3)}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda t: None, NOT_YET),
        (banzhaf_of, "Right"),
        (shapley_of, "Shapley's value"),
        (lambda t: -banzhaf_of(t), "sign is wrong"),
        (lambda t: 4 * banzhaf_of(t), "The sum is right"),
        (lambda t: banzhaf_of(t) / 2, "half of all"),
        (lambda t: banzhaf_of(t) / banzhaf_of(t).sum(), "sum to 1"),
        (lambda t: banzhaf_of(t)[::-1], "stand in reverse"),
        (left_out, "only this player leaves"),
        (alone, "worth alone"),
        (lambda t: banzhaf_of(t) + 1, "values differ"),
        (lambda t: t, "3 values"),
        # Lazy: hard-coded numbers, equal ones, and a way that knows three players.
        (lambda t: [0.1, 0.2, 0.3], "values differ"),
        (lambda t: np.full(3, (t[-1] - t[0]) / 3), "values differ"),
        (lambda t: banzhaf_of(t[:8]), "not for four"),
    ],
)
def test_banzhaf(rule: Any, words: str) -> None:
    assert words in check_banzhaf(rule)


def shares(values: Any, pot: int) -> np.ndarray:
    positive = np.array(values).clip(0)
    return positive / positive.sum() * pot


def left_over_to(owner: int) -> Any:
    def pay(values: Any, pot: int) -> list[int]:
        cents = np.floor(shares(values, pot) + 1e-9).astype(int)
        cents[owner] += pot - cents.sum()
        return cents.tolist()

    return pay


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda v, pot: None, NOT_YET),
        (payouts, "Right"),
        (lambda v, pot: shares(v, pot), "not whole cents"),
        (lambda v, pot: np.floor(shares(v, pot) + 1e-9), "2 are missing"),
        (lambda v, pot: shares(v, pot).round(), "1 are missing"),
        (lambda v, pot: np.ceil(shares(v, pot) - 1e-9), "2 are paid twice"),
        (lambda v, pot: np.round(np.array(v) / sum(v) * pot), "Somebody has to pay in"),
        (lambda v, pot: payouts(np.abs(v), pot), "negative value is paid"),
        (left_over_to(0), "largest remainders"),
        (left_over_to(3), "largest remainders"),
        # Lazy: hard-coded, equal shares, everything to one, too few numbers.
        (lambda v, pot: [36, 26, 22, 17, 0], "not for three equal ones"),
        (lambda v, pot: payouts([1] * len(v), pot), "negative value is paid"),
        (lambda v, pot: [pot, 0, 0, 0, 0], "largest remainders"),
        (lambda v, pot: [pot], "5 payments"),
    ],
)
def test_payouts(rule: Any, words: str) -> None:
    assert words in check_payouts(rule)


@pytest.fixture(scope="module")
def valuation() -> ValuationModel:
    tokenizer = train_tokenizer([t for d in TEXTS.values() for t in d.values()], 280)
    windows = np.stack(
        [tokenizer.encode("".join(LINES)).ids[12 * k : 12 * k + 16] for k in range(6)]
    )
    return ValuationModel(tokenizer, windows, 6)


def by(name: str) -> Any:
    return lambda valuation, texts: valuation.values(texts)[name]


def even(valuation: ValuationModel, texts: Texts) -> np.ndarray:
    return np.ones(len(texts))


def even_evidence(valuation: ValuationModel, texts: Texts) -> np.ndarray:
    """Equal shares for all whose text is not a copy: lazy, and of use to splitters."""
    return np.array([bool(documents) for documents in first_of_each(texts).values()])


def by_person(valuation: ValuationModel, texts: Texts) -> np.ndarray:
    """Lazy: the name tells whose clone it is."""
    values = valuation.values(texts)["Shapley"]
    values[["," in name for name in texts]] = 0
    return values


def by_length(valuation: ValuationModel, texts: Texts) -> np.ndarray:
    """Lazy: as much as was written, copies left out, which is no value at all."""
    evidence = first_of_each(texts).values()
    return np.array([sum(len(text) for text in each.values()) for each in evidence])


def with_length(valuation: ValuationModel, texts: Texts) -> np.ndarray:
    """A right answer: no split raises the sum of such products (Cauchy, Schwarz)."""
    return np.sqrt(by("diagonal")(valuation, texts) * by_length(valuation, texts))


def half_and_half(valuation: ValuationModel, texts: Texts) -> np.ndarray:
    values = valuation.values(texts)
    return values["diagonal"] + values["clusters"]


@pytest.mark.parametrize(
    ("rule", "largest_distance", "words"),
    [
        (lambda valuation, texts: None, 2.0, NOT_YET),
        (by("diagonal"), 2.0, "Right: no attack pays"),
        (by("diagonal"), 0.0, "Not yet fair"),
        (by_length, 2.0, "Nonsense pays: a0's words in random order get"),
        (with_length, 0.1, "Right: no attack pays"),
        (by("Shapley"), 2.0, "Cloning pays a0: 3 names multiply"),
        (by("clusters"), 2.0, "Splitting in two pays a0"),
        (half_and_half, 2.0, "Splitting in two pays a0"),
        (even, 2.0, "Cloning pays a0: 3 names multiply the share by 1.80"),
        (even_evidence, 2.0, "Splitting in two pays a0: 2 names multiply"),
        (by_person, 2.0, "Cloning pays a0"),
        (lambda valuation, texts: [0.4, 0.3, 0.3], 2.0, "For 5 names there must be 5"),
        (lambda valuation, texts: [1.0], 2.0, "3 finite numbers"),
        (lambda valuation, texts: [-1.0, -1.0, 0.0], 2.0, "pays nobody"),
        (lambda valuation, texts: [0.0, 1.0, 1.0], 2.0, "pays a0, who wrote much"),
    ],
)
def test_rule(
    valuation: ValuationModel, rule: Any, largest_distance: float, words: str
) -> None:
    said = check_rule(
        rule,
        valuation,
        TEXTS,
        ["a0"],
        largest_gain=1.05,
        largest_distance=largest_distance,
        largest_nonsense=0.2,
    )
    assert words in said


def test_every_attacker_is_tried(valuation: ValuationModel) -> None:
    def without_a1(valuation: ValuationModel, texts: Texts) -> np.ndarray:
        values = by("diagonal")(valuation, texts)
        values[1] = 0
        return values

    limits = {"largest_gain": 1.05, "largest_distance": 2.0, "largest_nonsense": 0.3}
    assert "Right" in check_rule(without_a1, valuation, TEXTS, ["a0"], **limits)
    said = check_rule(without_a1, valuation, TEXTS, ["a0", "a1"], **limits)
    assert said == "The rule pays a1, who wrote much, nothing."
