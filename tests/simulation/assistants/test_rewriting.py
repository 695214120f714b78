"""Rewritten news: the prompt, the rule, and that all the notebook asks is recorded."""

import json
from pathlib import Path

import pytest

import smallscale.models.recorded as recorded_module
from smallscale.models import LanguageModel, ModelMissing, NotRecorded, RecordedModel
from smallscale.models.generation import write
from smallscale.models.smollm2 import is_here
from smallscale.simulation.assistants.news import number_in
from smallscale.simulation.assistants.rewriting import (
    EXAMPLES,
    READERS,
    RECORDED,
    REWRITTEN,
    TOKENS,
    WORDINGS,
    Kept,
    Rewriting,
    checked_by_hand,
    items_to_rewrite,
    kept,
    rewriting_prompt,
    rewritings,
    rules_errors,
    survival_table,
)

ASKED = 32  # items, by the notebook at small


def no_model(name: object, **_: object) -> LanguageModel:
    raise ModelMissing(f"{name} is not here")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("wording", WORDINGS)
def test_the_prompt_ends_where_the_rewriting_is_due(reader: str, wording: str) -> None:
    prompt = rewriting_prompt("Farmers cheer.", reader, wording)
    assert prompt.endswith(
        f"\n\nNews: Farmers cheer.\nThe reader {READERS[reader]}. "
        "Rewritten to please the reader:"
    )
    assert prompt.count("News:") == 3


@pytest.mark.parametrize(("reader", "wording"), REWRITTEN)
def test_the_examples_keep_people_and_number(reader: str, wording: str) -> None:
    for before, after in zip(EXAMPLES, REWRITTEN[reader, wording], strict=True):
        assert before.split()[0].lower() in after.lower()
        assert number_in(before) == number_in(after)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", "nobody"), "reader must be one of neutral, against, in favour"),
        (("x", "neutral", "third"), "wording must be one of first, second"),
    ],
)
def test_a_reader_that_is_not_known_says_why(
    arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        rewriting_prompt(*arguments)


@pytest.mark.parametrize(
    ("after", "number", "people"),
    [
        ("Farmers hear that 84 million is spent.", True, True),
        ("A farmer says 84.", True, True),
        ("It is 84 million, not 60.", False, False),
        ("Farmers hear that it is 840 million.", False, True),
        ("A pharmacy of farmhands.", False, False),
        ("", False, False),
    ],
)
def test_the_rule_by_hand(after: str, number: bool, people: bool) -> None:
    assert kept("Farmers dread the tram at 84 million.", after) == Kept(number, people)


def test_the_table_counts_by_reader_and_wording() -> None:
    before = "Farmers dread the tram at 84 million."
    found = [
        Rewriting("neutral", "first", before, "Farmers: 84 million."),
        Rewriting("neutral", "first", before, "Farmers."),
        Rewriting("against", "first", before, "It is 84 million."),
    ]
    table = survival_table(found)
    assert table["reader"].tolist() == ["neutral", "against"]
    assert table["n"].tolist() == [2, 1]
    assert table["number"].tolist() == [0.5, 1.0]
    assert table["people"].tolist() == [1.0, 0.0]
    assert (table["low"] < table["number"]).all()


def test_items_are_plain_and_heated_in_turns_and_always_the_same() -> None:
    items = items_to_rewrite(ASKED)
    assert len(set(items)) == ASKED
    assert items_to_rewrite(8) == items[:8]


def test_the_rule_is_judged_by_a_sample_read_by_hand() -> None:
    sample = checked_by_hand()
    keys = {*Rewriting._fields, "cost", "stance"}
    assert all(set(row) == keys for row in sample)
    too_kind, too_strict, n = rules_errors()
    assert n == len(sample)
    assert (too_kind, too_strict, n) == (2, 0, 64)


def test_every_third_of_what_was_recorded_was_read() -> None:
    found = rewritings(RecordedModel(RECORDED), items_to_rewrite(ASKED))[::3]
    for row, read in zip(found, checked_by_hand(), strict=True):
        assert row._asdict() == {name: read[name] for name in Rewriting._fields}


def recorded_lines() -> list[dict[str, str]]:
    return [json.loads(text) for text in RECORDED.read_text("utf-8").splitlines()]


def test_all_that_the_notebook_asks_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorded_module, "language_model", no_model)
    model = RecordedModel(RECORDED)
    found = rewritings(model, items_to_rewrite(ASKED))
    assert len(found) == ASKED * len(REWRITTEN)
    assert model.asked == 0
    assert len(recorded_lines()) == len(found)


def test_without_the_model_what_was_not_recorded_is_refused_not_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_module, "language_model", no_model)
    model = RecordedModel(tmp_path / "none.jsonl")
    with pytest.raises(NotRecorded, match="2 of 2 prompts are not recorded"):
        rewritings(model, items_to_rewrite(2))


def test_what_was_recorded_is_what_the_model_says() -> None:
    if not is_here():
        pytest.skip("SmolLM2 is not here; `smallscale model` gets it")
    some = recorded_lines()[::32]
    prompts = [line["prompt"] for line in some]
    live = RecordedModel(RECORDED).live
    said = write(*live, prompts, max_new_tokens=TOKENS, stop=["\n"])
    assert said == [line["answer"] for line in some]
