"""Do the attacks do what they say, are near-duplicates told from neighbours, and which rules can they not move?"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallscale.attribution.markets import market as market_module
from smallscale.attribution.markets.games import shapley_of
from smallscale.attribution.markets.market import (
    RULES,
    SAME,
    Market,
    Sales,
    clone,
    diagonal,
    first_of_each,
    free_ride,
    game,
    honest,
    poison,
    rename,
    rewrite,
    seen_before,
    shingles,
    split,
)
from smallscale.attribution.markets.ngram_model import (
    Counts,
    count,
    log_likelihood,
    train_tokenizer,
)
from smallscale.datasets.authors import authors

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
def sales() -> Sales:
    return Sales(TOKENIZER, WINDOWS, 8)


# attacks


def test_attacks_by_hand() -> None:
    assert honest(TEXTS) == Market(TEXTS, {name: name for name in TEXTS})
    two = clone(TEXTS, "author 0", 2)
    assert list(two.texts) == [*TEXTS, "author 0, copy 1", "author 0, copy 2"]
    assert two.texts["author 0, copy 2"] == TEXTS["author 0"]
    assert two.owner["author 0, copy 1"] == "author 0"
    thief = free_ride(TEXTS, "author 1")
    assert (thief.texts["newcomer"], thief.owner["newcomer"]) == (
        TEXTS["author 1"],
        "newcomer",
    )
    assert thief.texts["author 1"] == TEXTS["author 1"]


@given(st.integers(1, 4))
def test_splitting_submits_every_document_once_under_names_of_one_person(
    parts: int,
) -> None:
    market = split(TEXTS, "author 2", parts)
    theirs = [name for name, owner in market.owner.items() if owner == "author 2"]
    assert len(theirs) == parts
    assert {k: v for name in theirs for k, v in market.texts[name].items()} == TEXTS[
        "author 2"
    ]
    assert sum(len(market.texts[name]) for name in theirs) == 3
    assert market.texts["author 1"] == TEXTS["author 1"]


def test_splitting_makes_parts_of_about_equal_size() -> None:
    market = split({"who": {"a": "x", "b": "x", "c": "xx"}}, "who")
    assert [list(documents) for documents in market.texts.values()] == [
        ["c"],
        ["a", "b"],
    ]


def test_renaming_keeps_the_form_and_changes_about_the_share_asked_for() -> None:
    text = "def getname(oldpath):\n    return oldpath.newline\n" + text_of(0, 100)
    assert rename(text, 0.0) == text
    changed = rename(text, 1.0, seed=1)
    assert changed != text
    assert changed.startswith("def ")  # keywords stay
    assert [len(line.split()) for line in changed.splitlines()] == [
        len(line.split()) for line in text.splitlines()
    ]
    assert sorted(set(changed.split())) != []
    pairs = set(
        zip(text_of(0, 100).split(), changed.split("\n", 2)[2].split(), strict=True)
    )
    assert (
        len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    )  # one name for one name
    copy = rewrite({"a": {"x.py": text, "y.py": text}}, "a", 1.0).texts["a, rewritten"]
    assert copy["x.py"] != copy["y.py"] != text


def test_poison_has_the_words_and_not_their_order() -> None:
    market = poison(TEXTS, "author 0", seed=3)
    for name, text in TEXTS["author 0"].items():
        assert sorted(market.texts["newcomer"][name]) == sorted(text)
        assert market.texts["newcomer"][name] != text


# evidence


def test_shingles_by_hand() -> None:
    assert shingles("a b c") == {hash(("a", "b", "c"))}
    assert shingles("a b\nc(d) e f g") == {
        hash(tuple("abc(d)ef")),
        hash(tuple("bc(d)efg")),
    }
    assert shingles("") == {hash(())}


def test_only_later_copies_are_near_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    market = clone(TEXTS, "author 0")
    assert set(seen_before(market.texts)["author 0, copy 1"].values()) == {1.0}
    first = first_of_each(market.texts)
    assert first["author 0, copy 1"] == {}
    assert {name: first[name] for name in TEXTS} == TEXTS
    longer = {
        **TEXTS,
        "cut": {"part": TEXTS["author 0"]["0.py"][:600] + text_of(99, 2)},
    }
    assert seen_before(longer)["cut"]["part"] > 0.7
    for same, kept in (
        (1.0, longer["cut"]),
        (seen_before(longer)["cut"]["part"], {}),
    ):  # from there on, it is the same
        monkeypatch.setattr(market_module, "SAME", same)
        assert first_of_each(longer)["cut"] == kept


def test_honest_neighbours_of_the_standard_library_are_not_merged_and_rewritten_copies_are() -> (
    None
):
    texts = authors().texts
    shares = [
        share
        for documents in seen_before(texts).values()
        for share in documents.values()
    ]
    assert max(shares) < 0.75 * SAME
    assert first_of_each(texts) == {
        name: dict(documents) for name, documents in texts.items()
    }
    copy = {
        name: rename(text, 0.1, seed=k)
        for k, (name, text) in enumerate(texts["email"].items())
    }
    found = seen_before({**texts, "copy": copy})["copy"]
    caught = sum(
        len(copy[name]) for name, share in found.items() if share >= SAME
    ) / sum(map(len, copy.values()))
    assert caught > 0.95


# the diagonal


def some_counts(seed: int) -> Counts:
    random = np.random.default_rng(seed)
    return count(
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
    """Every part of a document, even half of each count, is worth that part's share of the value."""
    random = np.random.default_rng(0)
    same, other = random.integers(6, size=(2, 90))
    libraries = [[same], [same], [other]]
    counts = count(
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
    before, after = shapley_of(game(counts)), shapley_of(game(halves))
    assert after[:2].sum() > 1.02 * before[0] > 0


def test_the_diagonal_by_hand() -> None:
    """One order, a = 4, one author with h of n tokens right: ln((h t + 4/2) / (n t + 4)) from t = 0 to 1."""
    counts = Counts(np.array([[[3.0]], [[0.0]]]), np.array([[[5.0]], [[0.0]]]), 2)
    stacked = Counts(counts.hits.repeat(5, 1), counts.seen.repeat(5, 1) * 0, 2)
    stacked.hits[:, 1:] = 0
    stacked.seen[:, 0] = counts.seen[:, 0]
    # Higher orders have seen nothing: they pass p on.
    assert diagonal(stacked)[0, 0] == pytest.approx(
        math.log((3 + 2) / (5 + 4)) - math.log(1 / 2), abs=1e-9
    )
    assert diagonal(stacked)[1, 0] == 0


# what is paid


def test_values_are_those_of_the_game(sales: Sales) -> None:
    values = sales.values(TEXTS)
    assert list(values) == list(RULES)
    table = game(sales.authors(TEXTS))
    assert values["Shapley"] == pytest.approx(shapley_of(table), abs=1e-15)
    assert values["clusters"] == pytest.approx(
        values["Shapley"], abs=1e-15
    )  # nothing is a near-duplicate
    assert values["Shapley"].sum() == pytest.approx(table[-1] - table[0], abs=1e-12)
    assert values["diagonal"].sum() == pytest.approx(table[-1] - table[0], abs=1e-6)


def test_counts_by_document_are_counts_by_author(sales: Sales) -> None:
    libraries = [
        [np.array(TOKENIZER.encode(t).ids) for t in d.values()] for d in TEXTS.values()
    ]
    whole = count(libraries, WINDOWS, 8, sales.vocabulary)
    assert (sales.authors(TEXTS).hits == whole.hits).all()
    assert (sales.authors(TEXTS).seen == whole.seen).all()
    assert (
        sales.documents(t for d in TEXTS.values() for t in d.values()).hits.shape[0]
        == 9
    )


def test_cloning_pays_under_shapley_and_not_under_clusters_of_evidence(
    sales: Sales,
) -> None:
    before, after = (
        sales.paid(honest(TEXTS), 10_000),
        sales.paid(clone(TEXTS, "author 0"), 10_000),
    )
    gain = {rule: after[rule]["author 0"] / before[rule]["author 0"] for rule in RULES}
    assert gain["Shapley"] > 1.1
    assert gain["clusters"] == gain["diagonal"] == 1
    assert all(sum(paid.values()) == 10_000 for paid in after.values())
    assert set(after["Shapley"]) == set(TEXTS)


def test_splitting_pays_under_clusters_and_not_on_the_diagonal(sales: Sales) -> None:
    before, after = (
        sales.paid(honest(TEXTS), 10_000),
        sales.paid(split(TEXTS, "author 0", 3), 10_000),
    )
    assert after["clusters"]["author 0"] > 1.1 * before["clusters"]["author 0"]
    assert (
        abs(after["diagonal"]["author 0"] - before["diagonal"]["author 0"]) <= 2
    )  # the cents of three names


def test_a_verbatim_free_rider_gets_nothing_for_old_evidence_and_half_for_a_name(
    sales: Sales,
) -> None:
    paid = sales.paid(free_ride(TEXTS, "author 0"), 10_000)
    assert abs(paid["Shapley"]["newcomer"] - paid["Shapley"]["author 0"]) <= 1
    assert paid["Shapley"]["newcomer"] > 500
    assert paid["clusters"]["newcomer"] == paid["diagonal"]["newcomer"] == 0
