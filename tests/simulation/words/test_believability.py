"""Are the pairs those of one moment, and does each way to judge count rightly?"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smallscale.simulation import Town
from smallscale.simulation.words import believability
from smallscale.simulation.words.believability import (
    ASKED,
    READ,
    likelier,
    reader_choices,
    scrambled_pairs,
    utterance_pairs,
    verdict_table,
)
from smallscale.simulation.words.judging import CHOICES, Pair

PAIRS = [
    Pair("Ada meets Bo.", "a long sentence that goes on", "short"),
    Pair("Bo meets Ada.", "one", "a long sentence that goes on"),
]


class LovingShortness:
    """In place of a model: the longer a text, the less likely; no letter preferred."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], Any, str]] = []

    def option_logps(
        self, prompts: list[str], options: Any, *, normalize: str = "none"
    ) -> torch.Tensor:
        self.asked.append((list(prompts), options, normalize))
        if options == [" A", " B"]:
            return torch.zeros(len(prompts), 2)
        return torch.tensor([[-float(len(text)) for text in row] for row in options])


def test_pairs_are_of_one_moment_and_leave_out_faults_and_equal_words() -> None:
    town = Town(seed=0, words="scripted").run(12)
    moments = town.utterances[:4]
    whole = ["Same.", "One.", "", "Two."]
    less = ["Same.", "Other.", "Other.", ""]
    (pair,) = utterance_pairs(town, moments, whole, less)
    speaker = town.world.name_of(moments[1].speaker)
    listener = town.world.name_of(moments[1].listener)
    assert pair == Pair(f"{speaker} meets {listener}. {ASKED}", "One.", "Other.")
    with pytest.raises(ValueError, match="whole"):
        utterance_pairs(town, moments, whole[:3], less)


def test_scrambled_words_are_the_same_words_in_another_order() -> None:
    pairs = [*PAIRS, Pair("q", "word word", "x"), Pair("q", "", "x")]
    found = scrambled_pairs(pairs, seed=0)
    assert [pair.first for pair in found] == [PAIRS[0].first]
    assert found[0].second != found[0].first
    assert sorted(found[0].second.split()) == sorted(found[0].first.split())
    assert found == scrambled_pairs(pairs, seed=0)
    assert found != scrambled_pairs(pairs, seed=1)


def test_likelihood_is_by_the_token_and_behind_the_question() -> None:
    model: Any = LovingShortness()
    verdicts = likelier(model, [*PAIRS, Pair("q", "tie", "tie")])
    assert [verdict.choice for verdict in verdicts] == ["second", "first", "neither"]
    assert verdicts[0].margin == -(len(PAIRS[0].first) - len(PAIRS[0].second))
    ((prompts, options, normalize),) = model.asked
    assert prompts[0] == 'Ada meets Bo.\n"'
    assert options[0] == (f'{PAIRS[0].first}"', 'short"')
    assert normalize == "tokens"
    assert likelier(model, []) == []


def test_the_table_counts_and_leaves_out_what_is_undecided() -> None:
    table = verdict_table(LovingShortness(), {"some": PAIRS, "none": []})  # type: ignore[arg-type]
    asked, likely = table.loc[("some", "asked")], table.loc[("some", "likelihood")]
    assert [asked[choice] for choice in CHOICES] == [0, 0, 2]
    assert np.isnan(asked["share"])
    assert [likely[choice] for choice in CHOICES] == [1, 1, 0]
    assert (likely["n"], likely["share"]) == (2, 0.5)
    assert likely["low"] == pytest.approx(0.0945, abs=1e-3)  # Wilson, one of two
    assert table.loc[("none", "likelihood")]["n"] == 0


def test_the_reader_is_believed_about_the_pairs_that_were_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [json.dumps({**pair._asdict(), "choice": "second"}) for pair in PAIRS]
    path = tmp_path / "read.jsonl"
    monkeypatch.setattr(believability, "READ", path)
    assert reader_choices(PAIRS) is None
    path.write_text("\n".join(lines), "utf-8")
    assert reader_choices(PAIRS) == ["second", "second"]
    assert reader_choices(PAIRS[::-1]) is None


@pytest.mark.skipif(not READ.exists(), reason="what the reader chose is not there")
def test_every_choice_of_the_committed_form_is_one_of_three() -> None:
    rows = [json.loads(line) for line in READ.read_text("utf-8").splitlines()]
    assert len(rows) == 15
    assert {row["choice"] for row in rows} == set(CHOICES)
    assert all(row["first"] != row["second"] for row in rows)
