"""Who talks to whom, and of what? In a place people stand in a circle; neighbours talk.

After Park et al. 2023, section 4.3.2: what a person says is drawn from what comes to
mind.
"""

from typing import NamedTuple

import numpy as np

from smallscale.simulation.counter_rng import random_bits
from smallscale.simulation.memory import HEARD
from smallscale.simulation.plans import decide_to_attend
from smallscale.simulation.state import NEVER, NOBODY, LogColumn, TownState

ATTENTION = 3  # people one notices in an hour (the paper's attention bandwidth)
ALL_BITS = np.uint64(64)
LUCK_BITS = np.uint64(40)  # of a number to sort by; the place stands above them


class Circles(NamedTuple):
    """Who stands beside whom in this hour, as rows of people.

    first, second (pairs,): neighbours two by two; an odd one out is in no pair.
    following (3, n): who stands one, two and three further on, -1 where the circle is
    not that large, and for those who are asleep.
    """

    first: np.ndarray
    second: np.ndarray
    following: np.ndarray


def stand_in_circles(town: TownState) -> Circles:
    """Put those awake in one circle for each place, in an order that luck decides."""
    rows = town.awake()
    luck = random_bits(town.ids[rows], town.seed, town.step, "meet")
    circle = rows[_by_place_then_luck(town.place[rows], luck)]
    starts = np.flatnonzero(np.diff(town.place[circle], prepend=-1))
    sizes = np.diff(starts, append=len(circle))
    start = np.repeat(starts, sizes)  # of each person's circle
    size = np.repeat(sizes, sizes)
    position = np.arange(len(circle)) - start
    following = np.full((ATTENTION, len(town.ids)), NOBODY)
    for k in range(ATTENTION):
        steps = k + 1
        further = start + (position + steps) % size
        following[k, circle] = np.where(size > steps, circle[further], NOBODY)
    begins_pair = (position % 2 == 0) & (position + 1 < size)
    first = np.flatnonzero(begins_pair)
    return Circles(circle[first], circle[first + 1], following)


def _by_place_then_luck(place: np.ndarray, luck: np.ndarray) -> np.ndarray:
    """Return the order of people by place, and within a place by luck.

    The plain line, to which a test compares it, is `np.lexsort((luck, place))`. To sort
    by one number, the place above the first 40 bits of luck, makes a town of 100,000
    people run 1.2 times as fast.
    """
    key = (place.astype(np.uint64) << LUCK_BITS) | (luck >> (ALL_BITS - LUCK_BITS))
    return np.argsort(key, kind="stable")


def talk(town: TownState, circles: Circles) -> np.ndarray:
    """Let each pair talk, and then hear. Returns what is to be logged, (m, 5).

    Whoever begins to talk says one of the things that come to mind.
    """
    partner = np.full(len(town.ids), NOBODY)
    partner[circles.first] = circles.second
    partner[circles.second] = circles.first
    rows = np.flatnonzero(partner >= 0)  # in the order of memory, which is faster
    other = partner[rows]
    relation = town.relation(rows, town.ids[other])
    talks = town.choose("talk", rows, relation) == 1
    said = np.zeros(len(town.ids), int)
    said[rows[talks]] = _say(town, rows[talks], other[talks], relation[talks])
    hears = said[other] > 0
    _hear(town, rows[hears], other[hears], said[other[hears]])
    return _log_rows(town, np.sort(circles.first), partner, said)


def _say(
    town: TownState, speakers: np.ndarray, listeners: np.ndarray, relation: np.ndarray
) -> np.ndarray:
    """Return the topic that each speaker chooses from those in mind, 0 for none."""
    here = town.topic_of_place(speakers)
    minds = town.topics_in_mind(speakers, here, town.ids[listeners])
    minds = _without_own_news(town, minds, town.ids[listeners])
    return town.choose("say", speakers, relation, *minds)


def _without_own_news(
    town: TownState, minds: np.ndarray, listeners: np.ndarray
) -> np.ndarray:
    """Take out of each mind (3, rows) the news whose source is the listener (rows,).

    Nobody is told their own news. The topics stay in ascending order.
    """
    source = np.full(len(town.world.topics), NOBODY)
    source[: len(town.world.sources)] = town.world.sources
    is_own = source[minds] == listeners
    return np.sort(np.where(is_own, 0, minds), axis=0)


def _hear(
    town: TownState, rows: np.ndarray, tellers: np.ndarray, topic: np.ndarray
) -> None:
    """Let these people remember what they are told, and by whom."""
    importance = town.world.importance[topic]
    tellers_ids = town.ids[tellers]
    town.memory.write(
        rows,
        town.step,
        kind=HEARD,
        topic=topic,
        subject=tellers_ids,
        importance=importance,
    )
    town.trigger[rows] -= importance
    for f, fact in enumerate(town.world.facts, 1):
        is_new = (topic == f) & (town.heard[rows, f] == NEVER)
        hearers = rows[is_new]
        town.heard[hearers, f] = town.step
        town.told_by[hearers, f] = tellers_ids[is_new]
        _, end = fact.hours
        if fact.is_event and town.planning and town.step < end:
            decide_to_attend(town, hearers, f)


def _log_rows(
    town: TownState, first: np.ndarray, partner: np.ndarray, said: np.ndarray
) -> np.ndarray:
    """Return a row for each pair of whom at least one said something."""
    spoke = (said[first] > 0) | (said[partner[first]] > 0)
    first = first[spoke]
    second = partner[first]
    rows = np.empty((len(first), len(LogColumn)), np.int32)
    rows[:, LogColumn.HOUR] = town.step
    rows[:, LogColumn.FIRST] = town.ids[first]
    rows[:, LogColumn.SECOND] = town.ids[second]
    rows[:, LogColumn.FIRST_TOPIC] = said[first]
    rows[:, LogColumn.SECOND_TOPIC] = said[second]
    return rows
