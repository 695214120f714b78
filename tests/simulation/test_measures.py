"""Who knows what through whom: on logs by hand, and on logs that were tampered with."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallscale.simulation import Town
from smallscale.simulation.measures import (
    audit,
    chains,
    density,
    guests,
    hearers,
    interval_table,
    mean_interval,
    networks,
    outcome,
    pairs_who_talked,
    recallers,
    source_remembers,
    source_thinks_of,
    spread,
)
from smallscale.simulation.memory import HEARD

# The first five people by name; Bo gives the party.
ADA = 0
ANOUK = 1
BO = 2
CLARA = 3
DARIO = 4
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
    town.memory.topic[0, ignorant] = PARTY
    town.memory.kind[0, ignorant] = HEARD
    assert len(audit(town, "party")) == len(broken)


def test_density_by_hand() -> None:
    assert density(4, [(0, 1), (1, 0), (2, 3), (3, 3)]) == pytest.approx(
        2 * 2 / (4 * 3)
    )
    assert density(2, [(0, 1)]) == 1
    assert density(5, []) == 0
    with pytest.raises(ValueError, match="n must be a whole number, at least 2; got 1"):
        density(1, [])


def test_networks_grow_by_talks() -> None:
    town = with_log((9, BO, ADA, 0, 5), (9, CLARA, DARIO, 5, 5), (11, ADA, BO, 5, 0))
    before, after = networks(town)
    assert after - before == {(CLARA, DARIO)} - before | ({(ADA, BO)} - before)
    assert density(25, before) == town.world.close.sum() / (25 * 24)
    assert pairs_who_talked(town) == {(ADA, BO), (CLARA, DARIO)}
    assert (ADA, BO) in before, "they work in the same café"
    both, _ = networks(Town(50))
    assert {(a - 25, b - 25) for a, b in both if a >= 25} == before
    assert networks(Town(3))[0] == {pair for pair in before if max(pair) < 3}


@pytest.mark.parametrize("measure", [audit, chains, hearers, recallers, guests])
def test_facts_that_cannot_be_say_why(measure: Callable[[Town, str], Any]) -> None:
    message = "fact must be one of candidacy, party; got 'ball'"
    with pytest.raises(ValueError, match=message):
        measure(Town(), "ball")


def test_counts_of_people_by_hand() -> None:
    town = Town()
    assert hearers(town, "party") == recallers(town, "party") == 1
    assert guests(town, "party") == 0
    town.heard[[ADA, CLARA], PARTY] = 10
    assert hearers(town, "party") == 3
    assert hearers(town, "candidacy") == 1
    town.memory.topic[0:2, DARIO] = PARTY  # two memories of one person
    assert recallers(town, "party") == 2
    town.attended[[BO, DARIO], PARTY] = True
    assert guests(town, "party") == 2
    assert guests(town, "candidacy") == 0
    assert outcome(town) == {
        "candidacy": 1,
        "party": 3,
        "recall": 2,
        "guests": 2,
        "talks": 0,
    }


def test_whether_the_source_remembers() -> None:
    town = Town()
    assert source_remembers(town, "party")
    town.memory.topic[:, BO] = 1
    assert not source_remembers(town, "party")
    assert not source_remembers(Town(2), "party"), "the source does not live here"


def test_whether_the_source_thinks_of_it() -> None:
    town = Town()
    bo = np.array([BO])
    assert source_thinks_of(town, "party"), "he knows nothing else"
    assert not source_thinks_of(Town(2), "party"), "the source does not live here"
    here = town.topic_of_place(bo)[0]
    town.step = 30
    for other in range(3):
        town.memory.write(bo, 30, kind=HEARD, topic=here, subject=other, importance=9)
    before = town.digest()
    assert not source_thinks_of(town, "party"), "three others come first"
    assert source_remembers(town, "party")
    assert town.digest() == before, "nothing changes by asking"


def test_an_interval_by_hand() -> None:
    """Student's t of 2 degrees of freedom is 4.303; the deviation of 1, 2, 3 is 1."""
    mean, half = mean_interval([1, 2, 3])
    assert mean == 2
    assert half == pytest.approx(4.302653 / 3**0.5)
    with pytest.raises(ValueError, match="values must be two or more numbers; got 1"):
        mean_interval([1.0])
    table = interval_table(pd.DataFrame({"a": [1, 2, 3], "b": [5, 5, 5]}))
    assert table["mean"].to_dict() == {"a": 2, "b": 5}
    assert table["±"].to_dict() == {"a": pytest.approx(half), "b": 0}
