"""What people say when asked, and their memories in words."""

import itertools
import math
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from smallscale.simulation import Town, World
from smallscale.simulation.brains import Fault
from smallscale.simulation.interviews import diary, interview
from smallscale.simulation.world import PEOPLE, Fact

PARTY = 2


def test_an_interview_changes_nothing_and_finds_what_was_heard() -> None:
    town = Town(seed=2).run(48)
    digest = town.digest()
    says = {who: interview(town, who, "party") for who in town.world.names}
    assert town.digest() == digest
    remembers = (town.memory.topic == PARTY).any(0)
    for row, who in enumerate(town.world.names):
        assert not says[who].hallucinated
        if says[who].says == "yes":
            assert remembers[row]
            assert any("party" in memory for memory in says[who].minds)
    assert says["Bo Lindqvist"].says == "yes"


class Liar:
    name = "liar"

    def answer(self, questions: Any) -> list[Any]:
        return [[0.2, 0.8] if q.kind == "know" else Fault("asleep") for q in questions]


def test_a_claim_to_know_what_was_never_heard_is_a_hallucination() -> None:
    town = Town(brain=Liar())
    assert interview(town, "Ada Brandt", "party").hallucinated
    assert not interview(town, "Bo Lindqvist", "party").hallucinated


def test_another_brain_can_answer_and_the_town_keeps_its_own() -> None:
    town = Town(seed=2)
    said = interview(town, "Ada Brandt", "party", brain=Liar())
    assert said.says == "yes"
    assert said.hallucinated
    assert interview(town, "Ada Brandt", "party").says == "no"


def test_words() -> None:
    town = Town(50, seed=2).run(36)
    assert diary(town.__class__(), "Bo Lindqvist") == [
        "Monday 00:00: knew that there is a party in the café on Tuesday at five"
    ]
    lines = [line for who in town.world.names for line in diary(town, who)]
    assert any(": saw " in line for line in lines)
    assert any(" talked of the " in line for line in lines)
    assert any(" said that Ines Moreau is standing for mayor" in line for line in lines)
    assert any("thought about" in line for line in lines)
    made = town.memory.count[town.world.person_number("Ada Brandt")]
    assert len(diary(town, "Ada Brandt")) == made
    forgetful = Town(seed=2, memory=6).run(36)
    assert len(diary(forgetful, "Ada Brandt")) == 6


def test_people_who_cannot_be_asked_say_why() -> None:
    with pytest.raises(ValueError, match="person must be one of Ada Brandt, "):
        interview(Town(), "Zeus", "party")
    with pytest.raises(ValueError, match="fact must be one of candidacy, party"):
        interview(Town(), "Ada Brandt", "ball")
    not_here = "Yusuf Demir is not among the 3 people of this run"
    with pytest.raises(ValueError, match=not_here):
        diary(Town(3), "Yusuf Demir")


class Failing:
    """Raises, or says what is no answer."""

    name = "failing"

    def __init__(self, reply: Any) -> None:
        self.reply = reply

    def answer(self, questions: Any) -> Any:
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


class Trap:
    """A reply that raises when it is looked at."""

    def __iter__(self) -> Any:
        raise RuntimeError("secret")


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (RuntimeError("secret"), "RuntimeError raised"),
        (TimeoutError(), "TimeoutError raised"),
        (None, "TypeError raised"),
        ([], "wrong number of answers"),
        ([[0, 1], [0, 1]], "wrong number of answers"),
        ([Fault("late")], "late"),
        ([None], "not numbers"),
        (["01"], "not numbers"),
        ([b"\x00\x01"], "not numbers"),
        ([["0", "1"]], "not numbers"),
        ([{0: "no", 1: "yes"}], "not numbers"),
        ([{0, 1}], "not numbers"),
        ([Trap()], "not numbers"),
        ([torch.ones(2, 2)], "not numbers"),
        ([[0, 10**400]], "not numbers"),
        ([itertools.count()], "wrong number of weights"),
        ([[math.nan, 1]], "not a distribution"),
        ([[math.inf, 1]], "not a distribution"),
        ([[-1, 2]], "not a distribution"),
        ([[0, 0]], "not a distribution"),
    ],
)
def test_an_answer_that_cannot_be_used_is_counted_and_says_no(
    reply: Any, fault: str, tmp_path: Path
) -> None:
    town = Town(brain=Failing(reply))
    before = town.digest()
    for times in (1, 2):
        says = interview(town, "Bo Lindqvist", "party")
        assert says.says == "no"
        assert says.fault == fault
        assert not says.hallucinated
        assert town.faults == {fault: times}
    assert town.digest() == before, "the town does not notice"
    town.save(tmp_path / "town")
    loaded = Town.load(tmp_path / "town", brain=Failing(reply))
    assert loaded.digest() == before
    assert loaded.faults == {}


@pytest.mark.parametrize("reply", [["01"], [Trap()], [{0, 1}], [torch.ones(2, 2)]])
def test_the_town_counts_the_same_answers_as_faults(reply: Any) -> None:
    class Always(Failing):
        def answer(self, questions: Any) -> Any:
            return reply * len(questions)

    with pytest.warns(UserWarning, match="not numbers"):
        town = Town(brain=Always(None)).run(9)
    assert set(town.faults) == {"not numbers"}


def test_an_interview_that_works_has_no_fault() -> None:
    town = Town()
    assert interview(town, "Bo Lindqvist", "party").fault == ""
    assert town.faults == {}


def test_people_are_found_by_their_names_however_they_are_written() -> None:
    decomposed = unicodedata.normalize("NFD", "  Zoë  Å ")
    people = [
        replace(PEOPLE[0], name=decomposed, friends=("Dr: X",)),
        replace(PEOPLE[1], name="Dr: X", friends=()),
    ]
    news = Fact("news", "it rains", "Zoë Å", 5)
    town = Town(World(people, [news]))
    for name in ("Zoë Å", decomposed, " Zoë Å"):
        assert interview(town, name, "news").heard
        assert diary(town, name) == ["Monday 00:00: knew that it rains"]
    assert town.world.close.sum() >= 2, "they are friends"
    with pytest.raises(ValueError, match="person must be one of"):
        interview(town, "Dr", "news")
    with pytest.raises(ValueError, match="person must be one of"):
        interview(town, 3, "news")  # type: ignore[arg-type]
