"""Thoughts: what they join, by a plain loop over one person's memories."""

from collections import Counter

import numpy as np

from smallscale.simulation import Town
from smallscale.simulation.memory import SEEN, THOUGHT
from smallscale.simulation.reflection import reflect


def test_a_thought_joins_an_important_topic_and_who_was_met_most() -> None:
    town = Town(3)
    row = np.array([0])
    for hour, (topic, subject, importance) in enumerate(
        [(5, 1, 2), (6, 2, 1), (2, 1, 8), (6, 2, 1), (7, 2, 1)]
    ):
        town.memory.write(
            row, hour, kind=SEEN, topic=topic, subject=subject, importance=importance
        )
    town.step = 6
    town.trigger[0] = 0
    reflect(town)
    latest = town.memory.latest(row, 3)[::-1, 0]
    assert town.memory.kind[latest, 0].tolist() == [THOUGHT] * 3
    assert town.memory.topic[latest, 0].tolist() == [2, 5, 7]
    assert town.memory.subject[latest, 0].tolist() == [2, 2, 2], "met three times"
    assert town.memory.importance[latest, 0].tolist() == [8, 2, 1], "as what it is of"
    assert town.trigger[0] > 0


def test_few_thoughts_are_copies_of_a_memory() -> None:
    """A thought says something that no single memory said before it."""
    town = Town(seed=1).run(48)
    memory = town.memory
    thoughts = Counter[bool]()
    for slot, row in np.argwhere(memory.kind == THOUGHT):
        same_topic = memory.topic[:slot, row] == memory.topic[slot, row]
        same_subject = memory.subject[:slot, row] == memory.subject[slot, row]
        thoughts[bool((same_topic & same_subject).any())] += 1
    assert thoughts[False] > 0
    assert thoughts.total() > 50


def test_whoever_met_nobody_thinks_of_themselves() -> None:
    town = Town()
    ines = np.array([town.world.sources[1]])
    town.trigger[ines] = 0
    reflect(town)
    slot = town.memory.latest(ines, 1)[0, 0]
    assert town.memory.kind[slot, ines[0]] == THOUGHT
    assert town.memory.subject[slot, ines[0]] == ines[0]
