"""What people say when asked, and their memories in words."""

from typing import Any

import pytest

from smallscale.simulation import Town
from smallscale.simulation.brains import Fault
from smallscale.simulation.interviews import diary, interview

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
    assert len(diary(town, "Ada Brandt")) == town.memory.slots


def test_people_who_cannot_be_asked_say_why() -> None:
    with pytest.raises(ValueError, match="person must be one of Ada Brandt, "):
        interview(Town(), "Zeus", "party")
    with pytest.raises(ValueError, match="fact must be one of candidacy, party"):
        interview(Town(), "Ada Brandt", "ball")
    not_here = "Yusuf Demir is not among the 3 people of this run"
    with pytest.raises(ValueError, match=not_here):
        diary(Town(3), "Yusuf Demir")
