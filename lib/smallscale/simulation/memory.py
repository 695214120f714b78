"""What comes to mind? The memory stream of Park et al. 2023, for one person or a million.

A memory is a row of whole numbers: what it is about, whom it concerns, how important it is, when it was made and when
last thought of. Each person has room for as many; a new one takes the place of the oldest.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import joblib
import numpy as np

from smallscale.simulation.checks import finite, one_of, require

DECAY = 0.995  # recency lost in an hour (paper), or from one rank to the next (code)
SHARES = {
    "paper": (1.0, 1.0, 1.0),
    "code": (0.5, 2.0, 3.0),
}  # of recency, importance, relevance
SEEN, HEARD, THOUGHT = 1, 2, 3  # kinds of memory
EVIDENCE = 3  # memories that a thought is drawn from
CORES = joblib.cpu_count()  # that this process may use
BLOCK = 1 << 12  # people worked on at a time: their memories fit into a core's cache


def in_blocks(work: Callable[[slice], None], n: int) -> None:
    """work(part) for n people in blocks, on every core this process may use; the parts must not touch each other."""
    parts = [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]
    if min(len(parts), CORES) < 2:
        list(map(work, parts))
    else:
        with ThreadPoolExecutor(
            CORES
        ) as pool:  # numpy lets go of the interpreter while it works
            list(pool.map(work, parts))


def retrieval_scores(
    last_access: Any,
    importance: Any,
    relevance: Any,
    now: Any,
    *,
    rule: str = "paper",
    where: Any = None,
) -> np.ndarray:
    """How much each of m memories comes to mind, float64, of the shape of the arguments: (..., m).

    last_access: when each was last thought of, in hours, at most now; importance, relevance: any finite numbers.
    Each column is scaled to [0, 1] over the memories of its row, a constant one to 1/2, then they are added:
        paper: recency 0.995^(now - last_access), weights 1, 1, 1 (Park et al. 2023, section 4.1).
        code: what the authors' program does. Memories are ranked from the one thought of longest ago (ties in the
            order given), recency is 0.995^rank, so the oldest is the most "recent"; weights recency 1/2,
            importance 2, relevance 3.
    where: (..., m) of bool, the memories that count; the others' scores are -inf.
    Raises ValueError for an unknown rule, shapes that differ, NaN or infinity, and a last access after now.
    """
    one_of("rule", rule, SHARES)
    names = ("last_access", "importance", "relevance")
    last, weight, match = map(finite, names, (last_access, importance, relevance))
    shapes = [last.shape, weight.shape, match.shape]
    require(
        len(set(shapes)) == 1 and last.ndim,
        f"{', '.join(names)} must have one shape, (..., m); got {shapes}",
    )
    counts = np.broadcast_to(
        True if where is None else np.asarray(where, dtype=bool), last.shape
    )
    age = finite("now", now) - last
    require((age >= 0).all(where=counts), "last_access must not be after now")
    recency = DECAY**age
    if rule == "code":
        order = np.argsort(np.where(counts, last, np.inf), axis=-1, kind="stable")
        recency = DECAY ** (
            1.0 + np.argsort(order, axis=-1)
        )  # the rank is where one stands in that order, from 1
    total = np.zeros(last.shape)
    for share, column in zip(SHARES[rule], (recency, weight, match), strict=True):
        least = column.min(-1, keepdims=True, where=counts, initial=np.inf)
        most = column.max(-1, keepdims=True, where=counts, initial=-np.inf)
        total += share * _scaled(column, least, most)
    return np.where(counts, total, -np.inf)


def _scaled(values: np.ndarray, least: np.ndarray, most: np.ndarray) -> np.ndarray:
    """(values - least) / (most - least); 1/2 where most is not above least."""
    flat = most <= least
    scaled = (values - least) / np.where(flat, 1, most - least)
    if flat.any():
        np.copyto(scaled, 0.5, where=flat)
    return scaled


def _of_whole_numbers(
    now: int, last: Any, weight: Any, match: Any, filled: np.ndarray
) -> np.ndarray:
    """The paper's scores, memories along the first axis, all whole numbers that are 0 where no memory is.

    The same digits as `retrieval_scores`, several times faster.
    """
    decay = np.array(
        [DECAY**age for age in range(now + 1)]
    )  # one at a time: the same digits on every machine
    age = (now - last) * filled
    total = _scaled(
        decay.take(age), decay.take(age.max(0)), decay.take(now - last.max(0))
    )
    lift = (filled.view(np.int8) - np.int8(1)) & np.int8(
        127
    )  # what is not there is not the least
    for values in (weight, match):
        total += _scaled(values, np.maximum(values, lift).min(0), values.max(0))
    if not filled.all():
        np.copyto(total, -np.inf, where=~filled)
    return total


class Memory:
    """The memories of n people, each with as many slots. All arrays are state; a free slot has topic 0, subject -1.

    Each person is a column, so that one instruction serves many people. topic, kind, importance: (slots, n) int8;
    subject: (slots, n) int32, the id of the person concerned; created, accessed: (slots, n) int32 hours; count: (n,)
    int32 memories ever made, the next one's serial number, which goes to slot serial % slots; evidence: (slots, n, 3)
    int32 serial numbers of what a thought was drawn from, -1 for none; it means nothing where kind is another.
    """

    def __init__(self, people: int, slots: int) -> None:
        self.slots = slots
        self.topic, self.kind, self.importance = (
            np.zeros((slots, people), np.int8) for _ in range(3)
        )
        self.created, self.accessed = (
            np.zeros((slots, people), np.int32) for _ in range(2)
        )
        self.subject = np.full((slots, people), -1, np.int32)
        self.evidence = np.full((slots, people, EVIDENCE), -1, np.int32)
        self.count = np.zeros(people, np.int32)

    def write(self, rows: np.ndarray, now: int, *, nth: Any = 0, **fields: Any) -> None:
        """One new memory for each of these people. Who is there more than once is so in the order of nth: 0, 1, …

        fields: kind, topic, subject, importance, and of a thought the evidence, (rows, 3); one for all or (rows,).
        """
        serial = self.count[rows] + nth
        at = self._flat(serial % self.slots, rows)
        for name, value in (fields | {"created": now, "accessed": now}).items():
            array = getattr(self, name)
            array.reshape(-1, *array.shape[2:])[at] = value
        self.count[rows] = (
            serial + 1
        )  # of several for one person, the last stays: also in a slot that is used twice

    def _flat(self, slots: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Positions in the flat arrays: one index is faster than two."""
        return slots * np.int64(len(self.count)) + rows

    def latest(self, rows: np.ndarray, few: int) -> np.ndarray:
        """The slots of the latest few memories of each of these people, latest first, (few, rows); few <= slots."""
        return (
            self.count[rows] - 1 - np.arange(few, dtype=np.int32)[:, None]
        ) % self.slots

    def at(self, name: str, slots: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The field of that name in these slots, (..., rows), of these people."""
        return getattr(self, name).reshape(-1).take(self._flat(slots, rows))

    def knows(self, rows: np.ndarray, subject: np.ndarray) -> np.ndarray:
        """Whether any memory concerns this person, (rows,)."""
        return (self.subject.take(rows, 1) == subject).any(0)

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
        """The slots of the few memories that come to mind most, best first, (few, rows), -1 for none.

        touch: to come to mind is to be accessed, which keeps a memory recent.
        topic, subject: what one thinks of. Relevance is the cosine between the pairs (topic, subject) as one-hot
        vectors: 1 if both are the same, 1/2 if one is, else 0. Equal scores: the lower slot.
        """
        found = np.full((few, len(rows)), -1)
        topic, subject = (
            np.full(len(rows), topic, np.int8),
            np.full(len(rows), subject, np.int32),
        )
        last_first = np.arange(self.slots, 0, -1, dtype=np.int16)[:, None]

        def best(part: slice) -> None:
            mine = rows[part]
            fields = (self.topic, self.subject, self.importance, self.accessed)
            about, concerns, weight, last = (field.take(mine, 1) for field in fields)
            filled = about > 0
            match = (about == topic[part]).view(np.int8) + (
                (concerns == subject[part]) & filled
            )
            if rule == "paper":
                scores = _of_whole_numbers(now, last, weight, match, filled)
            else:
                scores = retrieval_scores(
                    last.T, weight.T, match.T, now, rule=rule, where=filled.T
                ).T.copy()
            for k in range(min(few, self.slots)):
                most = scores.max(0)
                top = self.slots - ((scores == most) * last_first).max(0)
                found[k, part] = np.where(most > -np.inf, top, -1)
                scores[top, np.arange(len(mine))] = -np.inf

        in_blocks(best, len(rows))
        if touch:
            which, column = np.nonzero(found >= 0)
            self.accessed.reshape(-1)[
                self._flat(found[which, column], rows[column])
            ] = now
        return found
