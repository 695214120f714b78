"""The arrays of memories."""

from typing import Any

import numpy as np
import pytest

from smallscale.simulation import retrieval_scores
from smallscale.simulation.memory import SEEN, THOUGHT, Memory

ROWS = np.array([0, 1])


def filled() -> Memory:
    memory = Memory(2, 4)
    for hour, (topic, subject, importance) in enumerate(
        [(3, 7, 1), (4, 8, 5), (3, 9, 9)]
    ):
        memory.write(
            ROWS, hour, kind=SEEN, topic=topic, subject=subject, importance=importance
        )
    return memory


def test_the_newest_takes_the_place_of_the_oldest() -> None:
    memory = filled()
    for hour in (3, 4):
        memory.write(
            ROWS[1:],
            hour,
            kind=THOUGHT,
            topic=5,
            subject=1,
            importance=2,
            evidence=[[0, 1, -1]],
        )
    assert memory.topic.T.tolist() == [[3, 4, 3, 0], [5, 4, 3, 5]]
    assert memory.created[:, 1].tolist() == [4, 1, 2, 3]
    assert memory.count.tolist() == [3, 5]
    assert memory.latest(ROWS, 2).T.tolist() == [[2, 1], [0, 3]]
    assert memory.evidence[3, 1].tolist() == [0, 1, -1]


def test_without_a_limit_nothing_is_dropped_and_slots_are_added() -> None:
    memory = Memory(2)
    for hour in range(40):
        memory.write(ROWS[1:], hour, kind=SEEN, topic=5, subject=hour, importance=2)
    assert memory.slots == 48
    assert memory.subject[:40, 1].tolist() == list(range(40))
    assert (memory.topic[40:] == 0).all()
    assert (memory.subject[40:] == -1).all()
    assert (memory.topic[:, 0] == 0).all()
    assert memory.count.tolist() == [0, 40]
    assert memory.latest(ROWS[1:], 2).T.tolist() == [[39, 38]]
    copy = memory.copied(Memory(2))  # a spare that has become too small
    assert copy.slots == 48
    assert copy.room is None
    memory.write(ROWS[1:], 40, kind=SEEN, topic=5, subject=7, importance=2)
    assert copy.count.tolist() == [0, 40], "a copy has arrays of its own"


def test_what_comes_to_mind_is_touched() -> None:
    memory = filled()
    found = memory.retrieve(ROWS[:1], topic=3, subject=9, now=10, few=2, rule="paper")
    assert found.T.tolist() == [
        [2, 1]
    ]  # the match on both; then importance 5 beats a match on one with importance 1
    assert memory.accessed.T.tolist() == [[0, 10, 10, 0], [0, 1, 2, 0]]
    assert (
        memory.retrieve(ROWS[1:], 3, 9, 10, 4, "paper")[3, 0] == -1
    )  # only three are there


def test_questions_about_memories() -> None:
    memory = filled()
    assert memory.knows(ROWS, np.array([7, 0])).tolist() == [
        True,
        False,
    ]  # a free slot's 0 is nobody


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> list[Any]:
        memory = Memory(50, 8)
        random = np.random.default_rng(0)
        for hour in range(12):
            rows = np.flatnonzero(random.random(50) < 0.7)
            topic, subject, importance = random.integers(1, 5, (3, len(rows)))
            memory.write(
                rows,
                hour,
                kind=SEEN,
                topic=topic,
                subject=subject,
                importance=importance,
            )
        rows = random.permutation(50)
        return memory.retrieve(rows, rows % 4, rows % 3, 20, 3, "paper").tolist()

    whole = found()
    monkeypatch.setattr("smallscale.simulation.blocks.BLOCK", 3)
    assert found() == whole


@pytest.mark.parametrize("rule", ["paper", "code"])
def test_what_comes_to_mind_has_the_highest_scores(rule: str) -> None:
    """For each person alone: the scores, sorted; of equal ones the lower slot first."""
    random = np.random.default_rng(1)
    people = np.arange(30)
    memory = Memory(30, 6)
    for hour in range(8):
        rows = people[random.random(30) < 0.6]
        topic, subject, importance = random.integers(1, 4, (3, len(rows)))
        memory.write(
            rows, hour, kind=SEEN, topic=topic, subject=subject, importance=importance
        )
    found = memory.retrieve(people, 2, 3, 9, 3, rule, touch=False)
    for row in people:
        filled = np.flatnonzero(memory.topic[:, row] > 0)
        about = (memory.topic[filled, row] == 2).astype(float)
        concerns = (memory.subject[filled, row] == 3).astype(float)
        scores = retrieval_scores(
            memory.accessed[filled, row],
            memory.importance[filled, row],
            (about + concerns) / 2,
            9,
            rule=rule,
        )
        best = filled[np.argsort(-scores, kind="stable")][:3].tolist()
        assert found[:, row].tolist() == best + [-1] * (3 - len(best))


def test_serial_numbers_say_which_memory_it_was() -> None:
    memory = filled()
    for hour in (3, 4):
        memory.write(ROWS[1:], hour, kind=SEEN, topic=5, subject=1, importance=2)
    slots = np.array([[0, 0], [2, 1], [-1, 3]])
    assert memory.serials(slots, ROWS).tolist() == [[0, 4], [2, 1], [-1, 3]]
