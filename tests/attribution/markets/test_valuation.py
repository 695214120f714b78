"""Which rules can no attack move, and do the values add up?"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallscale.attribution.markets.games import shapley_of
from smallscale.attribution.markets.market import clone, free_ride, honest, split
from smallscale.attribution.markets.ngram_model import (
    Counts,
    count_ngrams,
    log_likelihood,
    train_tokenizer,
)
from smallscale.attribution.markets.valuation import (
    VALUE_RULES,
    ValuationModel,
    coalition_values,
    diagonal,
)

WORDS = [
    f"{a}{b}"
    for a in ("get", "set", "run", "old", "new", "raw")
    for b in ("name", "path", "line", "size", "loop")
]


def text_of(seed: int, lines: int = 40) -> str:
    random = np.random.default_rng(seed)
    return "".join(" = ".join(random.choice(WORDS, 4)) + "\n" for _ in range(lines))


TEXTS = {
    f"author {i}": {f"{k}.py": text_of(10 * i + k, 40 + 10 * k) for k in range(3)}
    for i in range(3)
}

TOKENIZER = train_tokenizer([t for d in TEXTS.values() for t in d.values()], 300)

WINDOWS = np.stack(
    [TOKENIZER.encode(text_of(1, 40)).ids[16 * k : 16 * k + 24] for k in range(8)]
)


@pytest.fixture(scope="module")
def valuation() -> ValuationModel:
    return ValuationModel(TOKENIZER, WINDOWS, 8)


def some_counts(seed: int) -> Counts:
    random = np.random.default_rng(seed)
    return count_ngrams(
        [[random.integers(6, size=50 + 40 * i)] for i in range(3)],
        random.integers(6, size=(5, 12)),
        4,
        6,
    )


@given(st.integers(0, 1000))
def test_the_diagonal_adds_up(seed: int) -> None:
    counts = some_counts(seed)
    everything = (
        log_likelihood(counts, [[1] * 3])[0] - log_likelihood(counts, [[0] * 3])[0]
    )
    assert diagonal(counts).sum(0) == pytest.approx(everything, abs=1e-6)


def test_no_splitting_changes_the_diagonal_while_it_raises_shapley() -> None:
    # Any part of a document, even half of each count, is worth its share of the value.
    random = np.random.default_rng(0)
    same, other = random.integers(6, size=(2, 90))
    libraries = [[same], [same], [other]]
    counts = count_ngrams(
        libraries,
        np.stack([libraries[0][0][k : k + 12] for k in (0, 20, 40, 60)]),
        4,
        6,
    )
    halves = Counts(counts.hits[[0, 0, 1, 2]], counts.seen[[0, 0, 1, 2]], 6)
    halves.hits[:2] /= 2
    halves.seen[:2] /= 2
    whole, parts = diagonal(counts).mean(1), diagonal(halves).mean(1)
    assert parts[:2].sum() == pytest.approx(whole[0], abs=1e-12)
    assert parts[2:] == pytest.approx(whole[1:], abs=1e-12)
    before, after = (
        shapley_of(coalition_values(counts)),
        shapley_of(coalition_values(halves)),
    )
    assert after[:2].sum() > 1.02 * before[0] > 0


def test_the_diagonal_by_hand() -> None:
    # One order, a = 4, and one author with h of n tokens right:
    # ln((h t + 4/2) / (n t + 4)) from t = 0 to 1.
    counts = Counts(np.array([[[3.0]], [[0.0]]]), np.array([[[5.0]], [[0.0]]]), 2)
    stacked = Counts(counts.hits.repeat(5, 1), counts.seen.repeat(5, 1) * 0, 2)
    stacked.hits[:, 1:] = 0
    stacked.seen[:, 0] = counts.seen[:, 0]
    # Higher orders have seen nothing: they pass p on.
    assert diagonal(stacked)[0, 0] == pytest.approx(
        math.log((3 + 2) / (5 + 4)) - math.log(1 / 2), abs=1e-9
    )
    assert diagonal(stacked)[1, 0] == 0


def test_values_are_those_of_the_game(valuation: ValuationModel) -> None:
    values = valuation.values(TEXTS)
    assert list(values) == list(VALUE_RULES)
    table = coalition_values(valuation.author_counts(TEXTS))
    assert values["Shapley"] == pytest.approx(shapley_of(table), abs=1e-15)
    assert values["clusters"] == pytest.approx(
        values["Shapley"], abs=1e-15
    )  # nothing is a near-duplicate
    assert values["Shapley"].sum() == pytest.approx(table[-1] - table[0], abs=1e-12)
    assert values["diagonal"].sum() == pytest.approx(table[-1] - table[0], abs=1e-6)


def test_counts_by_document_are_counts_by_author(valuation: ValuationModel) -> None:
    libraries = [
        [np.array(TOKENIZER.encode(t).ids) for t in d.values()] for d in TEXTS.values()
    ]
    whole = count_ngrams(libraries, WINDOWS, 8, valuation.vocabulary)
    assert (valuation.author_counts(TEXTS).hits == whole.hits).all()
    assert (valuation.author_counts(TEXTS).seen == whole.seen).all()
    assert (
        valuation.document_counts(
            t for d in TEXTS.values() for t in d.values()
        ).hits.shape[0]
        == 9
    )


def test_cloning_pays_under_shapley_and_not_under_clusters_of_evidence(
    valuation: ValuationModel,
) -> None:
    before, after = (
        valuation.payments(honest(TEXTS), 10_000),
        valuation.payments(clone(TEXTS, "author 0"), 10_000),
    )
    gain = {
        rule: after[rule]["author 0"] / before[rule]["author 0"] for rule in VALUE_RULES
    }
    assert gain["Shapley"] > 1.1
    assert gain["clusters"] == gain["diagonal"] == 1
    assert all(sum(paid.values()) == 10_000 for paid in after.values())
    assert set(after["Shapley"]) == set(TEXTS)


def test_splitting_pays_under_clusters_and_not_on_the_diagonal(
    valuation: ValuationModel,
) -> None:
    before, after = (
        valuation.payments(honest(TEXTS), 10_000),
        valuation.payments(split(TEXTS, "author 0", 3), 10_000),
    )
    assert after["clusters"]["author 0"] > 1.1 * before["clusters"]["author 0"]
    assert (
        abs(after["diagonal"]["author 0"] - before["diagonal"]["author 0"]) <= 2
    )  # the cents of three names


def test_a_verbatim_free_rider_gets_nothing_for_old_evidence_and_half_for_a_name(
    valuation: ValuationModel,
) -> None:
    paid = valuation.payments(free_ride(TEXTS, "author 0"), 10_000)
    assert abs(paid["Shapley"]["newcomer"] - paid["Shapley"]["author 0"]) <= 1
    assert paid["Shapley"]["newcomer"] > 500
    assert paid["clusters"]["newcomer"] == paid["diagonal"]["newcomer"] == 0
