"""What comes to mind? The memory stream of Park et al. 2023, for one person or a million.

A memory is a row of whole numbers: what it is about, whom it concerns, how important it is, when it was made and when
last thought of. Each person has room for as many; a new one takes the place of the oldest.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

DECAY = 0.995  # recency lost in an hour (paper), or from one rank to the next (code)
SHARES = {"paper": (1.0, 1.0, 1.0), "code": (0.5, 2.0, 3.0)}  # of recency, importance, relevance
SEEN, HEARD, THOUGHT = 1, 2, 3  # kinds of memory
EVIDENCE = 3  # memories that a thought is drawn from
BLOCK = 1 << 12  # people worked on at a time: their memories fit into a core's cache


def in_blocks(work: Callable[[slice], None], n: int) -> None:
    """work(part) for n people in blocks, on every core this process may use; the parts must not touch each other."""
    parts = [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if len(parts) < 2 or cores < 2:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(cores) as pool:  # numpy lets go of the interpreter while it works on arrays
        list(pool.map(work, parts))


def retrieval_scores(
    last_access: Any, importance: Any, relevance: Any, now: Any, *, rule: str = "paper", where: Any = None
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
    if rule not in SHARES:
        raise ValueError(f"rule must be one of {', '.join(SHARES)}; got {rule!r}")
    last, weight, match = (
        _finite(name, values)
        for name, values in (("last_access", last_access), ("importance", importance), ("relevance", relevance))
    )
    if not last.shape == weight.shape == match.shape or last.ndim == 0:
        raise ValueError(
            "last_access, importance and relevance must have one shape, (..., memories); "
            f"got {last.shape}, {weight.shape}, {match.shape}"
        )
    counts = np.broadcast_to(True if where is None else np.asarray(where, dtype=bool), last.shape)
    age = _finite("now", now) - last
    if (age < 0).any(where=counts):
        raise ValueError("last_access must not be after now")
    return _scores(rule, DECAY**age if rule == "paper" else age, weight, match, counts)


def _scores(rule: str, recency: Any, weight: Any, match: Any, counts: np.ndarray) -> np.ndarray:
    """As above; recency is 0.995^age for the paper's rule, for the code's the age itself."""
    if rule == "code":
        order = np.argsort(np.where(counts, -recency, np.inf), axis=-1, kind="stable")
        recency = DECAY ** (1.0 + np.argsort(order, axis=-1))  # the rank is where one stands in that order, from 1
    total = np.where(counts, 0.0, -np.inf)
    for share, column in zip(SHARES[rule], (recency, weight, match), strict=True):
        total += share * _scaled(column, counts)
    return total


def _scaled(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(values - least) / (most - least) of those that count in each row; 1/2 if they are equal."""
    whole = np.issubdtype(values.dtype, np.integer)
    low, high = (np.iinfo(values.dtype).min, np.iinfo(values.dtype).max) if whole else (-np.inf, np.inf)
    least = np.where(counts, values, values.dtype.type(high)).min(-1, keepdims=True, initial=high)
    most = np.where(counts, values, values.dtype.type(low)).max(-1, keepdims=True, initial=low)
    flat = most <= least
    scaled = np.subtract(values, np.where(flat, 0, least), dtype=float)
    scaled /= np.where(flat, 1.0, np.subtract(most, least, dtype=float))
    np.copyto(scaled, 0.5, where=flat)
    return scaled


def _finite(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values.detach().cpu().numpy() if hasattr(values, "detach") else values, dtype=float)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers; got NaN or infinity")
    return array


class Memory:
    """The memories of n people, each with as many slots. All arrays are state; a free slot has topic 0.

    topic, kind, importance: (n, slots) int8; subject: (n, slots) int32, the id of the person concerned; created,
    accessed: (n, slots) int32 hours; count: (n,) int32 memories ever made, the next one's serial number, which goes to
    slot serial % slots; evidence: (n, slots, 3) int32 serial numbers of what a thought was drawn from, -1 for none; it
    means nothing where kind is another.
    """

    FIELDS = ("topic", "kind", "importance", "subject", "created", "accessed", "evidence", "count")

    def __init__(self, people: int, slots: int) -> None:
        self.topic, self.kind, self.importance = (np.zeros((people, slots), np.int8) for _ in range(3))
        self.subject, self.created, self.accessed = (np.zeros((people, slots), np.int32) for _ in range(3))
        self.evidence = np.full((people, slots, EVIDENCE), -1, np.int32)
        self.count = np.zeros(people, np.int32)

    @property
    def slots(self) -> int:
        return self.topic.shape[1]

    def write(
        self, rows: np.ndarray, kind: int, topic: Any, subject: Any, importance: Any, now: int, evidence: Any = None
    ) -> None:
        """One new memory for each of these rows, which must differ from one another."""
        at = rows * self.slots + self.count[rows] % self.slots  # in the flat array: one index is faster than two
        for array, value in (
            (self.kind, kind),
            (self.topic, topic),
            (self.subject, subject),
            (self.importance, importance),
            (self.created, now),
            (self.accessed, now),
        ):
            array.reshape(-1)[at] = value
        if evidence is not None:
            self.evidence.reshape(-1, EVIDENCE)[at] = evidence
        self.count[rows] += 1

    def latest(self, rows: np.ndarray, few: int) -> np.ndarray:
        """The slots of the latest few memories of each of these rows, latest first, (rows, few); few <= slots."""
        slots = (self.count[rows, None] - 1) % self.slots - np.arange(few)
        return np.where(slots < 0, slots + self.slots, slots)

    def knows(self, rows: np.ndarray, subject: np.ndarray) -> np.ndarray:
        """Whether any memory concerns this person, (rows,)."""
        return ((self.subject[rows] == subject[:, None]) & (self.topic[rows] > 0)).any(1)

    def retrieve(
        self, rows: np.ndarray, topic: Any, subject: Any, now: int, few: int, rule: str, *, touch: bool = True
    ) -> np.ndarray:
        """The slots of the few memories that come to mind most, best first, (rows, few), -1 for none.

        touch: to come to mind is to be accessed, which keeps a memory recent.
        topic, subject: what one thinks of. Relevance is the cosine between the pairs (topic, subject) as one-hot
        vectors: 1 if both are the same, 1/2 if one is, else 0. Equal scores: the lower slot.
        """
        found = np.full((len(rows), few), -1)
        topic, subject = np.broadcast_to(topic, len(rows)), np.broadcast_to(subject, len(rows))
        decay = np.array([DECAY**age for age in range(now + 1)])  # one at a time: the same digits on every machine

        def best(part: slice) -> None:
            mine = rows[part]
            # Memories as columns: the least and the most of each row are then found for many people at once.
            about, concerns, weight, last = (
                np.asfortranarray(a[mine]) for a in (self.topic, self.subject, self.importance, self.accessed)
            )
            filled = about > 0
            match = (about == topic[part, None]).astype(np.int8) + (concerns == subject[part, None])
            age = np.where(filled, now - last, 0)
            scores = _scores(rule, decay[age] if rule == "paper" else age, weight, match, filled)
            line = np.arange(len(mine))
            for k in range(min(few, self.slots)):
                top = scores.argmax(1)
                found[part, k] = np.where(scores[line, top] > -np.inf, top, -1)
                scores[line, top] = -np.inf

        in_blocks(best, len(rows))
        if touch:
            row, column = np.nonzero(found >= 0)
            self.accessed[rows[row], found[row, column]] = now
        return found
