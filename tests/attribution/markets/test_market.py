"""Do the attacks do what they say, and are near-duplicates told from neighbours?"""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallscale.attribution.markets import market as market_module
from smallscale.attribution.markets.market import (
    SAME_EVIDENCE,
    Market,
    clone,
    first_of_each,
    free_ride,
    honest,
    poison,
    rename,
    rewrite,
    seen_before,
    shingles,
    split,
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
        monkeypatch.setattr(market_module, "SAME_EVIDENCE", same)
        assert first_of_each(longer)["cut"] == kept


def test_honest_neighbours_are_not_merged_and_rewritten_copies_are() -> None:
    texts = authors().texts
    shares = [
        share
        for documents in seen_before(texts).values()
        for share in documents.values()
    ]
    assert max(shares) < 0.75 * SAME_EVIDENCE
    assert first_of_each(texts) == {
        name: dict(documents) for name, documents in texts.items()
    }
    copy = {
        name: rename(text, 0.1, seed=k)
        for k, (name, text) in enumerate(texts["email"].items())
    }
    found = seen_before({**texts, "copy": copy})["copy"]
    caught = sum(
        len(copy[name]) for name, share in found.items() if share >= SAME_EVIDENCE
    ) / sum(map(len, copy.values()))
    assert caught > 0.95


def test_attacks_by_nobody_and_names_that_are_taken_are_refused() -> None:
    texts = {"ann": {"a": "x = 1"}, "newcomer": {"b": "y = 2"}}
    for attack in (clone, split, free_ride, poison, partial(rewrite, share=0.5)):
        with pytest.raises(ValueError, match="must be one of ann, newcomer; got 'bob'"):
            attack(texts, "bob")
    for attack in (free_ride, poison):
        with pytest.raises(
            ValueError, match="texts must hold nobody called 'newcomer'"
        ):
            attack(texts, "ann")
    taken = {"ann": {"a": "x"}, "ann, copy 1": {"b": "y"}, "ann, part 2": {}}
    for attack in (clone, split):
        with pytest.raises(ValueError, match="texts must hold nobody called 'ann, "):
            attack(taken, "ann")
    for bad in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="copies must be a whole number"):
            clone(texts, "ann", bad)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="parts must be a whole number"):
            split(texts, "ann", bad)  # type: ignore[arg-type]
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="share must be a finite number"):
            rewrite(texts, "ann", share)
