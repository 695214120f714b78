"""Is only what people say written by the taught model, and is the record true?"""

from typing import Any

import pytest
import torch

from smallscale.models import LanguageModel, NotRecorded, RecordedModel
from smallscale.models.adapters import adapters, add_adapters
from smallscale.models.language_model import is_here
from smallscale.simulation import Town
from smallscale.simulation.words import prompts
from smallscale.simulation.words.taught import (
    RECORDED,
    RECORDED_SEEDS,
    SHORT,
    TRAINING,
    TaughtSpeaker,
    beside,
    is_talk,
    live_taught,
    measured,
    recorded_taught,
    town_report,
)
from tests.simulation.words.test_telling import tiny

TALK = prompts.talk_prompt("Ada", "Bo", ['Jun said: "I give a party."'])
PLAN = prompts.plan_prompt("Ada", "baker", 40, "Monday", "in the café", [])


@pytest.fixture
def taught() -> LanguageModel:
    """A tiny model whose adapters change what it says."""
    model = tiny()
    add_adapters(model.model, rank=2, alpha=64.0, seed=0)
    with torch.no_grad():
        for adapter in adapters(model.model):
            adapter.B.normal_(generator=torch.Generator().manual_seed(0))
    return model


def test_talk_is_asked_without_examples_and_the_rest_as_before(
    taught: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def noting(self: Any, texts: list[str]) -> list[str]:
        active = {adapter.active for adapter in adapters(taught.model)}
        asked.append((active, list(texts)))
        return [f"{len(asked)}.{k}" for k in range(len(texts))]

    monkeypatch.setattr(TaughtSpeaker, "_written", noting)
    said = TaughtSpeaker(taught).write([PLAN, TALK, PLAN, TALK])
    last = "From Jun to Ada: I give a party.\nFrom Ada to Bo:"
    assert asked == [({True}, [last, last]), ({False}, [PLAN, PLAN])]
    assert said == ["2.0", "1.0", "2.1", "1.1"]
    assert (is_talk(TALK), is_talk(PLAN)) == (True, False)


def test_the_adapters_change_what_is_said_and_nothing_else(
    taught: LanguageModel,
) -> None:
    speaker = TaughtSpeaker(taught)
    with_them = speaker.write([TALK, PLAN, TALK])
    for adapter in adapters(taught.model):
        adapter.active = False
    without = speaker.write([TALK, PLAN, TALK])
    assert with_them[0] == with_them[2] != without[0]
    assert with_them[1] == without[1]


def test_a_report_counts_the_town() -> None:
    town = Town(seed=1, words="scripted").run(43)
    report = town_report(town)
    assert report["utterances"] == len(town.utterances)
    carried = [u for u in town.utterances if u.fact]
    assert [row["text"] for row in report["told"]] == [u.text for u in carried]
    party = town.world.fact_number("party")
    assert report["heard"]["party"] == (town.heard[:, party] >= 0).sum()
    later = [row for row in report["told"] if row["retelling"] > 1]
    found = measured(report)
    assert found["later tellings"] == len(later)
    share = sum(row["who"] for row in later) / len(later)
    assert found["share that says who"] == pytest.approx(share)


def test_towns_stand_side_by_side_with_the_interval_of_their_difference() -> None:
    def report(heard: int, says_who: float) -> dict[str, Any]:
        row = {"retelling": 2, "who": says_who, "what": 1.0, "where": None}
        first = {**row, "retelling": 1, "who": 0.5}
        return {
            "heard": {"candidacy": heard, "party": 1},
            "guests": 0,
            "distinct": 5,
            "told": [{**row, "when": None}, {**first, "when": None}],
        }

    table = beside([report(3, 1.0), report(7, 0.0)], [report(2, 0.0), report(4, 0.0)])
    assert table.loc["heard of the candidacy"].tolist()[:3] == [3, 5, 2]
    # Differences 1 and 3: Student's t of one degree of freedom is 12.706.
    assert table.loc["heard of the candidacy", "half"] == pytest.approx(
        12.706, abs=0.01
    )
    assert table.loc["share that says who"].tolist()[:3] == [0.0, 0.5, 0.5]
    assert table.loc["at the party", "half"] == 0


@pytest.mark.skipif(not RECORDED.exists(), reason="what SmolLM2 did is not there")
@pytest.mark.parametrize("seed", RECORDED_SEEDS)
def test_what_the_notebook_asks_is_recorded(seed: int) -> None:
    report = recorded_taught(seed, ask="never")
    assert report["utterances"] > 50
    with pytest.raises(NotRecorded):
        recorded_taught(99, ask="never")


@pytest.mark.skipif(not is_here("smollm2"), reason="SmolLM2 is not here")
@pytest.mark.skipif(not RECORDED.exists(), reason="what SmolLM2 did is not there")
def test_a_short_training_and_town_come_out_as_recorded() -> None:
    model = RecordedModel(RECORDED)
    kept = model.result_of(live_taught, ask="never", seed=0, **SHORT)
    assert model.result_of(live_taught, ask="always", seed=0, **SHORT) == kept
    assert SHORT.keys() == TRAINING.keys()
