"""What is a town at one moment? Arrays with a row for each person, and who is asked.

Here is what every part of an hour reads: who is awake, where people are, how close they
are to one another, what comes to mind, and what they choose.
"""

import copy
from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Self

import numpy as np

from smallscale.core.validation import flag, one_of, whole_number
from smallscale.simulation.answers import Answers
from smallscale.simulation.brains import Brain, checked_brain
from smallscale.simulation.counter_rng import uniform
from smallscale.simulation.memory import HEARD, Memory
from smallscale.simulation.questions import (
    ACQUAINTED,
    CLOSE,
    STRANGER,
    TOPICS_IN_MIND,
)
from smallscale.simulation.retrieval import RETRIEVAL_WEIGHTS
from smallscale.simulation.world import HOURS_IN_DAY, PUBLIC_PLACES, Person, World

NOBODY = -1  # in the place of a person's row or id
NEVER = -1  # in `heard` and `told_by`: the person has not heard of the fact
# Importance that adds up before one reflects. The paper's 150 counts events of 10
# seconds, this counts events of an hour.
REFLECTION_THRESHOLD = 40


class LogColumn(IntEnum):
    """What the columns of the log of conversations hold."""

    HOUR = 0
    FIRST = 1  # ids of the two who talked
    SECOND = 2
    FIRST_TOPIC = 3  # what each of them spoke of, 0 for nothing
    SECOND_TOPIC = 4


class TownState:
    """The state of a town of n people and F facts; facts are numbered from 1.

    The arrays, which a checkpoint keeps whole (column 0 of the facts is unused):
    ids (n,): int32; who a person is follows from it: town = id // 25, who = id % 25.
    place (n,): int32, where everybody is: town * places + position in world.places.
    means (n, F + 1): bool, whether they mean to go to an event.
    attended (n, F + 1): bool, whether they were there.
    heard (n, F + 1): int32, the hour in which they first heard a fact, -1 for never.
    told_by (n, F + 1): int32, the id of the person they heard it from.
    trigger (n,): int32, importance still to come before they reflect.
    log (m, 5): int32, the conversations; its columns are LogColumn.
    memory and answers: `Memory` and `Answers`. These and the arrays are an hour's own:
    after the next hour the town holds others.
    """

    ARRAYS = (
        "ids",
        "place",
        "means",
        "attended",
        "heard",
        "told_by",
        "trigger",
        "log",
    )

    def __init__(
        self,
        people: int | Iterable[Person] | World = 25,
        *,
        seed: int = 0,
        brain: str | Brain = "scripted",
        memory: int | None = None,
        reflection: bool = True,
        planning: bool = True,
        rule: str = "paper",
    ) -> None:
        self.world = _world_of(people)
        self.seed = whole_number("seed", seed, least=0)
        self.step = 0
        self.reflection = flag("reflection", reflection)
        self.planning = flag("planning", planning)
        self.rule = one_of("rule", rule, RETRIEVAL_WEIGHTS)
        self.brain = checked_brain(brain)
        self.answers = Answers(self.world, self.brain)
        if isinstance(people, (World, Iterable)):
            n = len(self.world.people)
        else:
            n = whole_number("people", people)
        facts = len(self.world.facts) + 1
        self.assign_ids(np.arange(n, dtype=np.int32))
        self.place = self.homes()
        self.means = np.zeros((n, facts), bool)
        self.attended = np.zeros((n, facts), bool)
        self.heard = np.full((n, facts), NEVER, np.int32)
        self.told_by = np.full((n, facts), NEVER, np.int32)
        self.trigger = np.full(n, REFLECTION_THRESHOLD, np.int32)
        self.log = np.zeros((0, len(LogColumn)), np.int32)
        room = None if memory is None else whole_number("memory", memory)
        self.memory = Memory(n, room)
        self._spare: Memory | None = None  # an earlier hour's, to be written over
        self._tell_sources()

    def assign_ids(self, ids: np.ndarray) -> None:
        """Give people their ids, from which their town and who they are follow."""
        self.ids = ids
        self.town, self.who = np.divmod(ids, len(self.world.people))
        self.towns = -(-len(ids) // len(self.world.people))  # rounded up

    def _tell_sources(self) -> None:
        """Let each fact's source know it from the start, as a memory too."""
        for f, fact in enumerate(self.world.facts, 1):
            # The source is a person of the first town; in a small run none is there.
            row = np.flatnonzero(self.ids == self.world.sources[f])
            source = self.ids[row]
            self.heard[row, f] = 0
            self.told_by[row, f] = source
            self.means[row, f] = fact.is_event
            self.memory.write(
                row,
                0,
                kind=HEARD,
                topic=f,
                subject=source,
                importance=fact.importance,
            )

    # From one hour to the next

    def copied(self) -> Self:
        """Return a town in the same state that can go on without changing this one."""
        # The spare is the copy's own from here on, also where its hour is interrupted.
        spare = self._spare
        self._spare = None
        other = copy.copy(self)
        for name in self.ARRAYS:
            setattr(other, name, getattr(self, name).copy())
        other.memory = self.memory.copied(spare)
        other.answers = self.answers.copied()
        return other

    def become(self, other: Self) -> None:
        """Take over the state of a copy that has gone on, all of it at once.

        The last line is a single call into C, which no interruption can divide.
        """
        state = {**vars(other), "_spare": self.memory}
        vars(self).update(state)

    # Who is where

    def awake(self) -> np.ndarray:
        """Return the rows of the people who are awake in this hour."""
        awake = self.world.awake[:, self.step % HOURS_IN_DAY]
        return np.flatnonzero(awake[self.who])

    def homes(self) -> np.ndarray:
        """Return the place of everybody's home, (n,) int32."""
        home = self.world.slot[:, 0][self.who]
        homes = self.town * len(self.world.places) + home
        return homes.astype(np.int32)

    def topic_of_place(self, rows: np.ndarray) -> np.ndarray:
        """Return the topic of being where these people are, (rows,).

        Each public place is a topic of its own; all homes share one.
        """
        position = self.place[rows] % len(self.world.places)
        first = len(self.world.facts) + 1
        topic: np.ndarray = first + np.minimum(position, len(PUBLIC_PLACES))
        return topic

    # What people are to each other, what they think of, what they choose

    def relation(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Relation of each person to each id: 2 close, 1 acquainted, 0 stranger.

        Close are family, colleagues and friends of one town. Acquainted are those of
        whom the person has a memory. rows (m,): the people. others (m,): the ids.
        """
        their_town, they = np.divmod(others, len(self.world.people))
        same_town = self.town[rows] == their_town
        close = self.world.close[self.who[rows], they] & same_town
        relation = np.where(close, CLOSE, STRANGER)
        rest = np.flatnonzero(~close)
        knows = self.memory.knows(rows[rest], others[rest])
        relation[rest[knows]] = ACQUAINTED
        return relation

    def topics_in_mind(self, rows: np.ndarray, topic: Any, subject: Any) -> np.ndarray:
        """Return the topics of the memories that come to mind, (3, rows).

        Each topic stands once, in ascending order; 0 stands for none, and comes first.
        topic, subject: what the person thinks of, as `Memory.retrieve` takes them.
        """
        slots = self.memory.retrieve(
            rows, topic, subject, self.step, TOPICS_IN_MIND, self.rule
        )
        found = self.memory.at("topic", slots, rows)
        topics = np.sort(np.where(slots >= 0, found, 0), axis=0)
        repeats = topics[1:] == topics[:-1]
        topics[1:][repeats] = 0
        return np.sort(topics, axis=0)

    def choose(self, kind: str, rows: np.ndarray, *detail: Any) -> np.ndarray:
        """Return what each of these people chooses when asked this kind of question."""
        return self.answers.choose(kind, self.luck(rows, kind), self.who[rows], *detail)

    def luck(self, rows: np.ndarray, use: str) -> np.ndarray:
        """Return a random number in [0, 1) for each of these people, this hour and use.

        No two uses share a number, and no person's number depends on another person.
        """
        return uniform(self.ids[rows], self.seed, self.step, use)


def _world_of(people: int | Iterable[Person] | World) -> World:
    if isinstance(people, World):
        return people
    return World(people) if isinstance(people, Iterable) else World()
