"""What does a person keep, in words? The memory stream of Park et al. 2023.

Section 4.1. A memory is a sentence, with the time it was made, when it was last
thought of, how important it is, and which earlier memories it rests on. Nothing is
ever dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Self

import numpy as np

from smallscale.core.validation import one_of, whole_number
from smallscale.simulation.retrieval import retrieval_scores

KINDS = ("saw", "heard", "planned", "thought")
WIDTH = 512  # numbers of an embedding
SMALL_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "for",
        "from",
        "has",
        "have",
        "he",
        "her",
        "his",
        "i",
        "in",
        "is",
        "it",
        "its",
        "me",
        "my",
        "of",
        "on",
        "or",
        "our",
        "she",
        "so",
        "that",
        "the",
        "their",
        "there",
        "they",
        "this",
        "to",
        "was",
        "we",
        "were",
        "will",
        "with",
        "you",
    ]
)


@dataclass(frozen=True)
class Memory:
    """One memory of one person.

    text: a sentence. kind: one of KINDS. created: the hour. importance: 1 to 10.
    evidence: positions in the same stream of the memories that it rests on.
    about: the name of the person whom it concerns; empty for nobody.
    fact: the number of the fact that it goes back to, whether or not its words still
        say it; 0 for none. retellings: how often it was told on its way here.
    said: for what was heard, the position of the utterance in the town's log; else -1.
    """

    text: str
    kind: str
    created: int
    importance: int
    evidence: tuple[int, ...] = ()
    about: str = ""
    fact: int = 0
    retellings: int = 0
    said: int = -1


class MemoryStream:
    """The memories of one person, the oldest first, and when each came to mind last.

    memories: a list of `Memory`. accessed: the hour of the last access of each.
    """

    def __init__(
        self, memories: Sequence[Memory] = (), accessed: Sequence[int] = ()
    ) -> None:
        self.memories = list(memories)
        self.accessed = list(accessed)

    def __len__(self) -> int:
        return len(self.memories)

    def copied(self) -> Self:
        """Return the same memories in lists of their own."""
        return type(self)(self.memories, self.accessed)

    def add(self, memory: Memory) -> int:
        """Keep a memory; return its position."""
        one_of("kind", memory.kind, KINDS)
        whole_number("importance", memory.importance, least=1, most=10)
        self.memories.append(memory)
        self.accessed.append(memory.created)
        return len(self.memories) - 1

    def latest(self, few: int) -> list[int]:
        """Return the positions of the latest memories, the newest first."""
        n = len(self.memories)
        return list(range(n - 1, max(n - few, 0) - 1, -1))

    def retrieve(
        self,
        query: str,
        now: int,
        few: int,
        *,
        rule: str = "paper",
        among: Sequence[int] | None = None,
        touch: bool = True,
    ) -> list[int]:
        """Return the positions of the memories that a query brings to mind, best first:
            score = recency + importance + relevance
        with relevance = cosine(embedding of the query, embedding of the memory).

        rule: as in `retrieval_scores`. among: positions of the memories that count; all
        by default. touch: whether to come to mind counts as an access.
        """
        positions = list(range(len(self))) if among is None else list(among)
        if not positions:
            return []
        chosen = [self.memories[i] for i in positions]
        embeddings = np.stack([embed(memory.text) for memory in chosen])
        scores = retrieval_scores(
            [self.accessed[i] for i in positions],
            [memory.importance for memory in chosen],
            embeddings @ embed(query),
            now,
            rule=rule,
        )
        best = np.argsort(-scores, kind="stable")[:few]
        found = [positions[i] for i in best]
        if touch:
            for i in found:
                self.accessed[i] = now
        return found

    def to_json(self) -> list[list[Any]]:
        """Return plain values, for `from_json`: a list for each memory."""
        return [
            [*vars(memory).values(), access]
            for memory, access in zip(self.memories, self.accessed, strict=True)
        ]

    @classmethod
    def from_json(cls, record: list[list[Any]]) -> Self:
        """Return the stream that `to_json` described."""
        memories = []
        for text, kind, created, importance, evidence, *rest, _ in record:
            memories.append(
                Memory(text, kind, created, importance, tuple(evidence), *rest)
            )
        return cls(memories, [each[-1] for each in record])


@lru_cache(maxsize=100_000)
def embed(text: str) -> np.ndarray:
    """Return the embedding of a text, (512,) of length 1: a hashed bag of words.

    Each word but the small ones adds 1 or -1 at a place; both follow from its hash
    (Weinberger et al. 2009). So texts are near each other if they share words, and
    "feast" is no nearer to "party" than "anvil" is. The paper asks a language model for
    embeddings; these cost nothing, and are the same on every machine.

    >>> round(float(embed("The oven is burning.") @ embed("a burning oven")), 3)
    1.0
    """
    total = np.zeros(WIDTH)
    for word in words_of(text):
        if word not in SMALL_WORDS:
            bits = int.from_bytes(blake2b(word.encode(), digest_size=8).digest())
            total[(bits >> 1) % WIDTH] += 1 - 2 * (bits & 1)
    length = np.linalg.norm(total)
    total /= length or 1.0
    total.flags.writeable = False  # it is shared
    return total


def words_of(text: str) -> list[str]:
    """Return the words of a text in small letters, without marks.

    >>> words_of("Bo's party, at five!")
    ['bo', 's', 'party', 'at', 'five']
    """
    letters = [letter if letter.isalnum() else " " for letter in text.lower()]
    return "".join(letters).split()
