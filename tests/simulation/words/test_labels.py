"""Is the sample that was read the one drawn, and is the rule's error stated?"""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from smallscale.core.intervals import binomial_interval
from smallscale.simulation.words import labels as labels_module
from smallscale.simulation.words.facts import PARTY, SLOTS, still_says
from smallscale.simulation.words.labels import (
    LABELS,
    labelled,
    rule_agreement,
    sample_to_read,
)

KEYS = {"text", "teller", "fact", *SLOTS}


def test_what_was_read_is_what_was_drawn() -> None:
    drawn = sample_to_read(200)
    rows = [json.loads(line) for line in LABELS.read_text("utf-8").splitlines()]
    assert all(row.keys() == KEYS for row in rows)
    assert all(isinstance(row[slot], bool) for row in rows for slot in SLOTS)
    for row, one in zip(rows, drawn, strict=True):
        assert {name: row[name] for name in one} == one
    for slot in SLOTS:  # a rule that always says the same would be found out
        assert {row[slot] for row in rows} == {True, False}
    assert len({(row["text"], *row["fact"].values()) for row in rows}) == 200


def test_the_rules_agreement_with_a_reader() -> None:
    table = rule_agreement().set_index("slot")
    assert list(table.index) == list(SLOTS)
    assert (table["n"] == 200).all()
    assert not table[["too_kind", "too_strict"]].to_numpy().any()
    assert (table["low"] > 0.98).all()
    for row in labelled():
        assert still_says(row.fact, row.text, speaker=row.teller) == row.said


def test_agreement_counts_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = dict.fromkeys(SLOTS, True)
    base = {"text": PARTY.sentence(), "teller": "Ada Brandt", "fact": asdict(PARTY)}
    rows = [
        base | said,
        base | said | {"who": False},  # the rule is too kind
        base | said | {"text": "Ada gives a party in the café on Tuesday at five."},
        base | said | {"text": PARTY.own_sentence(), "who": False},
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    monkeypatch.setattr(labels_module, "LABELS", path)
    assert labelled()[0].fact == PARTY
    table = rule_agreement().set_index("slot")
    who = table.loc["who"]
    assert (who["agree"], who["too_kind"], who["too_strict"]) == (0.5, 1, 1)
    assert (who["low"], who["high"]) == binomial_interval(2, 4)
    assert who["kappa"] == 0
    assert (table["agree"].drop("who") == 1).all()
