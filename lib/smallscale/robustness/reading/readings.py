"""What does a reader believe about a passage? The probabilities of spans.

A reader marks a span: for each word of the passage, how likely the answer starts there,
and how likely it ends there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from smallscale.robustness.reading.dataset import Dataset, asked, questions
from smallscale.robustness.reading.words import Array

LONGEST_ANSWER = 16  # words
READ_AT_ONCE = 128  # pairs


class Pair(NamedTuple):
    """A passage and a question about it."""

    passage: str
    question: str


@dataclass(frozen=True)
class Reading:
    """What a reader believes about one passage.

    places: (words, 2) where in the passage each word starts and ends, in characters.
    starts, ends: (words,) the log-probabilities that the answer's first and last word
    is this one.
    """

    passage: str
    places: Array
    starts: Array
    ends: Array

    @cached_property
    def spans(self) -> Array:
        """(words, words): the probability of each span, by its first and last word.

            p(i, j) is proportional to p_start(i) * p_end(j)   for i <= j < i + 16

        and 0 for every other i and j (Chen et al. 2017, section 3.2).
        """
        words = np.arange(len(self.places))
        first, last = words[:, None], words[None, :]
        allowed = (first <= last) & (last < first + LONGEST_ANSWER)
        scores = np.where(allowed, self.starts[:, None] + self.ends, -np.inf)
        weights = np.exp(scores - scores.max(initial=-np.inf))
        return np.asarray(weights / weights.sum())

    @property
    def best_span(self) -> tuple[int, int]:
        """The first and the last word of the likeliest span."""
        first, last = np.unravel_index(self.spans.argmax(), self.spans.shape)
        return int(first), int(last)

    def best(self, k: int = 1) -> list[tuple[str, float]]:
        """Return the k likeliest answers with their probabilities, the likeliest first.

        There are none in a passage without words.
        """
        likeliest = np.argsort(-self.spans, axis=None, kind="stable")[:k]
        found = []
        for place in likeliest:
            first, last = np.unravel_index(place, self.spans.shape)
            start, end = self.places[first, 0], self.places[last, 1]
            found.append((self.passage[start:end], float(self.spans[first, last])))
        return found

    @property
    def answer(self) -> str:
        """The likeliest answer; "" in a passage without words."""
        return next((text for text, _ in self.best()), "")


class HasAnswer(Protocol):
    """What a reader has found: a Reading, or only the words of an answer."""

    @property
    def answer(self) -> str:
        """The answer's text."""
        ...


class Answering(Protocol):
    """What answers questions, by marking a span or in words of its own."""

    def read(self, pairs: Sequence[Pair]) -> Sequence[HasAnswer]:
        """Return what was found for each pair."""
        ...


class ReaderLike(Protocol):
    """What marks spans: a Reader, a HubReader, or anything with this method."""

    def read(self, pairs: Sequence[Pair]) -> list[Reading]:
        """Return a Reading for each pair."""
        ...


def answers(reader: Answering, dataset: Dataset) -> dict[str, str]:
    """Return the likeliest answer to every question by id, as `score_squad` takes them.

    Passages are never cut.
    """
    # Passages alike in length are read together: that saves padding.
    by_length = sorted(asked(dataset), key=lambda pair: len(pair[0]))
    found: dict[str, str] = {}
    for start in range(0, len(by_length), READ_AT_ONCE):
        part = by_length[start : start + READ_AT_ONCE]
        pairs = [Pair(context, qa["question"]) for context, qa in part]
        for (_, qa), reading in zip(part, reader.read(pairs), strict=True):
            found[qa["id"]] = reading.answer
    return {qa["id"]: found[qa["id"]] for qa in questions(dataset)}
