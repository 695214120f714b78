"""Who knows what through whom: on logs written by hand, and on towns whose log was tampered with."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallscale.simulation import Town
from smallscale.simulation.brains import Fault
from smallscale.simulation.measures import (
    audit,
    chains,
    clock,
    density,
    diary,
    interview,
    name,
    networks,
    spread,
)

ADA, ANOUK, BO, CLARA, DARIO = range(5)  # the first five by name; Bo gives the party
PARTY = 2


def with_log(*rows: tuple[int, int, int, int, int]) -> Town:
    town = Town()
    town.log = np.array(rows, np.int32).reshape(-1, 5)
    return town


def test_a_chain_follows_time() -> None:
    town = with_log(
        (9, ADA, CLARA, PARTY, 0),  # Ada does not know yet: Clara learns nothing
        (10, BO, ADA, PARTY, 5),
        (
            10,
            ADA,
            DARIO,
            PARTY,
            0,
        ),  # in the same hour: what Ada heard just now she cannot tell
        (12, ANOUK, ADA, 0, PARTY),  # the second of a pair speaks
        (13, BO, ANOUK, PARTY, 0),  # too late, Anouk knows
        (14, ANOUK, DARIO, PARTY, PARTY),
    )
    assert chains(town, "party") == {
        BO: ((BO, 0),),
        ADA: ((BO, 0), (ADA, 10)),
        ANOUK: ((BO, 0), (ADA, 10), (ANOUK, 12)),
        DARIO: ((BO, 0), (ADA, 10), (ANOUK, 12), (DARIO, 14)),
    }
    assert set(chains(town, "candidacy")) == {town.world.names.index("Ines Moreau")}


def test_what_was_heard_in_an_hour_is_not_told_in_it_whoever_comes_first() -> None:
    assert set(
        chains(
            with_log((10, BO, CLARA, PARTY, 0), (10, CLARA, DARIO, PARTY, 0)), "party"
        )
    ) == {BO, CLARA}
    assert set(
        chains(
            with_log((10, BO, CLARA, PARTY, 0), (11, CLARA, DARIO, PARTY, 0)), "party"
        )
    ) == {BO, CLARA, DARIO}


def test_a_claim_of_another_hour_than_the_chains_is_not_proved() -> None:
    town = with_log((10, BO, CLARA, PARTY, 0))
    for hour, proved in ((10, True), (9, False), (11, False)):
        town.heard[CLARA, PARTY] = hour
        table = audit(town, "party").set_index("person")
        assert table.proved["Clara Maes"] == proved
        assert table.links["Clara Maes"] == 1


def test_the_source_can_tell_in_the_first_hour() -> None:
    assert set(chains(with_log((0, BO, ADA, PARTY, 0)), "party")) == {BO, ADA}


@given(st.integers(0, 500), st.booleans())
@settings(max_examples=12)
def test_everybody_who_knows_has_a_chain(seed: int, planning: bool) -> None:
    town = Town(55, seed=seed, planning=planning).run(48)
    for f, fact in enumerate(town.world.facts, 1):
        table = audit(town, fact.name)
        assert table.proved.all()
        assert (
            len(table)
            == (town.heard[:, f] >= 0).sum()
            == spread(town)[fact.name].iloc[-1]
        )
        found = chains(town, fact.name)
        assert {who: chain[-1][1] for who, chain in found.items()} == {
            int(who): int(hour)
            for who, hour in zip(town.ids, town.heard[:, f], strict=True)
            if hour >= 0
        }
        for chain in found.values():
            hours = [hour for _, hour in chain]
            assert hours[1:] == sorted(set(hours[1:])), "time goes on along a chain"


def test_a_claim_without_a_chain_is_found() -> None:
    town = Town(seed=2).run(48)
    proved = audit(town, "party")
    assert len(proved) > 5
    last = town.log[((town.log[:, 3:] == PARTY).any(1))][-1]
    town.log = town.log[~(town.log == last).all(1)]  # a talk that never was
    ignorant = int(np.flatnonzero(town.heard[:, PARTY] < 0)[0])
    town.heard[ignorant, PARTY] = 12  # a claim out of nothing
    broken = audit(town, "party")
    assert not broken[broken.person == town.world.names[ignorant]].proved.any()
    assert broken[~broken.proved].links.min() == -1
    town.heard[ignorant, PARTY] = -1
    town.memory.topic[0, ignorant], town.memory.kind[0, ignorant] = (
        PARTY,
        2,
    )  # a memory of being told
    assert len(audit(town, "party")) == len(broken)


def test_density_by_hand() -> None:
    assert density(4, [(0, 1), (1, 0), (2, 3), (3, 3)]) == pytest.approx(
        2 * 2 / (4 * 3)
    )
    assert density(2, [(0, 1)]) == 1
    assert density(5, []) == 0
    with pytest.raises(ValueError, match="n must be at least 2"):
        density(1, [])


def test_networks_grow_by_talks() -> None:
    town = with_log((9, BO, ADA, 0, 5), (9, CLARA, DARIO, 5, 5), (11, ADA, BO, 5, 0))
    before, after = networks(town)
    assert after - before == {(CLARA, DARIO)} - before | ({(ADA, BO)} - before)
    assert density(25, before) == town.world.close.sum() / (25 * 24)
    assert (ADA, BO) in before, "they work in the same café"
    both, _ = networks(Town(50))
    assert {(a - 25, b - 25) for a, b in both if a >= 25} == before
    assert networks(Town(3))[0] == {pair for pair in before if max(pair) < 3}


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
    assert clock(0) == "Monday 00:00"
    assert clock(41) == "Tuesday 17:00"
    assert clock(24 * 7 + 5) == "Monday 05:00"
    town = Town(50, seed=2).run(36)
    assert name(town, BO) == "Bo Lindqvist"
    assert name(town, 25 + BO) == "Bo Lindqvist of town 2"
    assert diary(town.__class__(), "Bo Lindqvist") == [
        "Monday 00:00: knew that there is a party in the café on Tuesday at five"
    ]
    lines = [line for who in town.world.names for line in diary(town, who)]
    assert any(": saw " in line for line in lines)
    assert any(" talked of the " in line for line in lines)
    assert any(" said that Ines Moreau is standing for mayor" in line for line in lines)
    assert any("thought about" in line for line in lines)
    assert len(diary(town, "Ada Brandt")) == town.memory.slots


def test_questions_that_cannot_be_say_why() -> None:
    with pytest.raises(
        ValueError, match="fact must be one of candidacy, party; got 'ball'"
    ):
        audit(Town(), "ball")
    with pytest.raises(ValueError, match="person must be one of Ada Brandt, "):
        interview(Town(), "Zeus", "party")
    with pytest.raises(
        ValueError, match="Yusuf Demir is not among the 3 people of this run"
    ):
        diary(Town(3), "Yusuf Demir")
