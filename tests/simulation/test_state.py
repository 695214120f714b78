"""What every part of an hour reads: relations and topics, by plain loops."""

import numpy as np

from smallscale.simulation import Town
from smallscale.simulation.questions import ACQUAINTED, CLOSE, STRANGER


def test_relations_by_a_plain_loop() -> None:
    town = Town(60, seed=5).run(20)
    rows, others = np.nonzero(~np.eye(60, dtype=bool))
    found = town.relation(rows, town.ids[others])
    for row, other, relation in zip(rows, others, found, strict=True):
        town_of_a, a = divmod(town.ids[row], 25)
        town_of_b, b = divmod(town.ids[other], 25)
        if town.world.close[a, b] and town_of_a == town_of_b:
            assert relation == CLOSE
        elif (town.memory.subject[:, row] == town.ids[other]).any():
            assert relation == ACQUAINTED
        else:
            assert relation == STRANGER
    assert set(found.tolist()) == {STRANGER, ACQUAINTED, CLOSE}


def test_topics_in_mind_stand_once_and_ascending() -> None:
    town = Town(60, seed=5).run(20)
    rows = np.arange(60)
    slots = town.memory.retrieve(rows, 5, 3, town.step, 3, town.rule, touch=False)
    topics = town.topics_in_mind(rows, 5, 3)
    for row in rows:
        there = [slot for slot in slots[:, row] if slot >= 0]
        distinct = sorted({int(town.memory.topic[slot, row]) for slot in there})
        assert topics[:, row].tolist() == [0] * (3 - len(distinct)) + distinct
    assert (topics[0] == 0).any()
