"""What does a person keep? The memory stream of Park et al. 2023, for one or a million.

A memory is a row of whole numbers: what it is about, whom it concerns, how important it
is, when it was made and when last thought of. As in the paper nothing is ever dropped,
unless a person is given room for a fixed number of memories: then a new one takes the
place of the oldest.
"""

import copy
from typing import Any

import numpy as np

from smallscale.simulation.blocks import in_blocks
from smallscale.simulation.retrieval import retrieval_scores, scores_of_whole_numbers

SEEN = 1  # the kinds of memory
HEARD = 2
THOUGHT = 3
EVIDENCE = 3  # memories that a thought is drawn from
NOT_FOUND = -1
GROWTH = 16  # slots that are added at a time where memory has no limit


class Memory:
    """The memories of n people, each with the same number of slots.

    room: how many memories each person has room for; None for no limit, where all
        people get more slots as soon as one of them needs more.
    Each person is a column, so that one instruction serves many people. A free slot has
    topic 0 and subject -1. The arrays:

    topic, kind, importance (slots, n): int8.
    subject (slots, n): int32, the id of the person whom the memory concerns.
    created, accessed (slots, n): int32, hours.
    count (n,): int32, memories ever made; the next one has this serial number, and goes
        to the slot serial % slots.
    evidence (slots, n, 3): int32, serial numbers of the memories that a thought was
        drawn from, -1 for none; it has no meaning for other kinds.
    """

    def __init__(self, people: int, room: int | None = None) -> None:
        shape = (GROWTH if room is None else room, people)
        self.room = room
        self.topic = np.zeros(shape, np.int8)
        self.kind = np.zeros(shape, np.int8)
        self.importance = np.zeros(shape, np.int8)
        self.created = np.zeros(shape, np.int32)
        self.accessed = np.zeros(shape, np.int32)
        self.subject = np.full(shape, -1, np.int32)
        self.evidence = np.full((*shape, EVIDENCE), -1, np.int32)
        self.count = np.zeros(people, np.int32)

    @property
    def slots(self) -> int:
        """How many memories there is space for now."""
        return len(self.topic)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name: the whole state."""
        return {
            name: value
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray)
        }

    def copied(self, spare: "Memory | None" = None) -> "Memory":
        """Return the same memories in arrays of their own.

        spare: memories that nobody needs any more, whose arrays are written over. In a
        country of 100,000 people this takes a fifth of the time of making new arrays.
        """
        if spare is not None and spare.topic.shape == self.topic.shape:
            for name, array in self.arrays().items():
                np.copyto(getattr(spare, name), array)
            return spare
        other = copy.copy(self)
        for name, array in self.arrays().items():
            setattr(other, name, array.copy())
        return other

    def make_room(self, rows: np.ndarray, more: int) -> None:
        """Add free slots, so that each of these people can make `more` memories.

        Only where memory has no limit. How many slots there are follows from how many
        memories people have made, and not from their order.
        """
        needed = int(self.count[rows].max(initial=0)) + more
        if self.room is not None or needed <= self.slots:
            return
        added = -(-(needed - self.slots) // GROWTH) * GROWTH
        free = Memory(len(self.count), added)
        for name, array in self.arrays().items():
            if name != "count":
                setattr(self, name, np.concatenate([array, getattr(free, name)]))

    def write(self, rows: np.ndarray, now: int, *, nth: Any = 0, **fields: Any) -> None:
        """Give each of these people one new memory.

        fields: kind, topic, subject, importance and, for thoughts, evidence (rows, 3);
        one value for all or one for each row. nth: 0, 1, … where a person appears more
        than once in rows, in the order of the memories, so that none overwrites
        another.
        """
        self.make_room(rows, 1 + int(np.max(nth, initial=0)))
        serial = self.count[rows] + nth
        slots = serial % self.slots
        for name, value in {**fields, "created": now, "accessed": now}.items():
            getattr(self, name)[slots, rows] = value
        self.count[rows] = serial + 1  # for a person with several, the last one's stays

    def latest(self, rows: np.ndarray, few: int) -> np.ndarray:
        """Return the slots of each person's latest memories, newest first, (few, rows).

        few: at most as many as there are slots.
        """
        steps_back = np.arange(few, dtype=np.int32)[:, None]
        newest = self.count[rows] - 1
        latest: np.ndarray = (newest - steps_back) % self.slots
        return latest

    def serials(self, slots: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the serial numbers of the memories in these slots, (..., rows).

        A slot of -1 stands for none, and so does its serial number.
        """
        last = self.count[rows] - 1
        age = (last - slots) % self.slots  # how many memories were made since
        serials: np.ndarray = np.where(slots >= 0, last - age, NOT_FOUND)
        return serials

    def at(self, name: str, slots: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the field of that name in these slots (..., rows) of these people."""
        values: np.ndarray = getattr(self, name)[slots, rows]
        return values

    def knows(self, rows: np.ndarray, subject: np.ndarray) -> np.ndarray:
        """Return whether any memory of each person concerns the subject, (rows,)."""
        knows: np.ndarray = (self.subject.take(rows, 1) == subject).any(0)
        return knows

    def retrieve(
        self,
        rows: np.ndarray,
        topic: Any,
        subject: Any,
        now: int,
        few: int,
        rule: str,
        *,
        touch: bool = True,
    ) -> np.ndarray:
        """Return the slots of the memories with the highest scores, (few, rows).

        The best comes first; of equal scores the lower slot; -1 stands for none.
        topic, subject: what each person thinks of, one for all or (rows,). Relevance is
        the cosine between the pairs (topic, subject) as one-hot vectors: 1 if both are
        the same, 1/2 if one is, else 0. touch: whether to come to mind counts as an
        access, which keeps a memory recent.
        """
        found = np.full((few, len(rows)), NOT_FOUND)
        topic = np.full(len(rows), topic, np.int8)
        subject = np.full(len(rows), subject, np.int32)

        def find(part: slice) -> None:
            scores = self._scores(rows[part], topic[part], subject[part], now, rule)
            everybody = np.arange(scores.shape[1])
            for k in range(min(few, self.slots)):
                best = scores.argmax(0)  # of equals, the first slot
                there = scores[best, everybody] > -np.inf
                found[k, part] = np.where(there, best, NOT_FOUND)
                scores[best, everybody] = -np.inf

        in_blocks(find, len(rows))
        if touch:
            which, column = np.nonzero(found >= 0)
            self.accessed[found[which, column], rows[column]] = now
        return found

    def _scores(
        self,
        rows: np.ndarray,
        topic: np.ndarray,
        subject: np.ndarray,
        now: int,
        rule: str,
    ) -> np.ndarray:
        """Return the score of each memory of these people, (slots, rows)."""
        about = self.topic.take(rows, 1)
        importance = self.importance.take(rows, 1)
        last = self.accessed.take(rows, 1)
        filled = about > 0
        same_subject = (self.subject.take(rows, 1) == subject) & filled
        relevance = np.add(about == topic, same_subject, dtype=np.int8)  # in halves
        if rule == "paper":
            return scores_of_whole_numbers(now, last, importance, relevance, filled)
        scores = retrieval_scores(
            last.T, importance.T, relevance.T, now, rule=rule, where=filled.T
        )
        return scores.T.copy()
