"""What else could stand in its place? Other names, numbers, words and answers of the same type, from the same article.

Jia and Liang 2017 look for near words by their vectors, and for fake answers in a list by hand. An article is a better
list than it looks: its other questions of the same kind have answers of the same type.
"""

import re
import string
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

from smallscale.robustness.reading.squad import (
    Dataset,
    Question,
    all_text,
    normalize_answer,
    questions,
)
from smallscale.robustness.reading.statements import (
    AUXILIARIES,
    ENGLISH,
    PREPOSITIONS,
    QUESTION_WORDS,
)
from smallscale.robustness.reading.synthetic_squad import thing

OPPOSITE = {a: b for pair in ENGLISH["opposites"] for a, b in (pair, reversed(pair))}
NAME = re.compile(r"[A-Z][\w-]*(?:\s+(?:(?:of|the|de|du|and|von|van)\s+)*[A-Z][\w-]*)*")
NUMBER = re.compile(r"\d+")
MONTH = re.compile(
    r"January|February|March|April|May|June|July|August|September|October|November|December"
)
OPENERS = PREPOSITIONS | QUESTION_WORDS | AUXILIARIES | set(ENGLISH["openers"])
ENOUGH = 5  # different ones; with fewer the next best list is taken


class Pool:
    """What an article offers: answers by type, names by their neighbourhood, nouns by the word before them.

    qas: the article's questions. ordinary: the words that the file also writes in lower case; at the head of a question
    these are no names. beyond: the pool of the whole file, for what the article has too few of.
    """

    def __init__(
        self, qas: Iterable[Question], ordinary: set[str], beyond: "Pool | None" = None
    ) -> None:
        self.ordinary, self.beyond = ordinary, beyond
        lists: dict[tuple[str | int, ...], list[str]] = defaultdict(list)
        for qa in qas:
            question = qa["question"]
            texts = (
                answer["text"].strip(string.punctuation + " ")
                for answer in qa["answers"]
            )
            for text in filter(normalize_answer, dict.fromkeys(texts)):
                lists["answer", shape_of(text), kind_of(question)].append(text)
                lists["answer", shape_of(text)].append(text)
            for before, name, _ in self.names(question):
                for key in ((len(name.split()), before), (len(name.split()),), ()):
                    lists["name", *key].append(name)
            for before, word in pairwise(question.lower().rstrip("? ").split()):
                if before in ("the", "of", "a") and word.isalpha() and len(word) > 3:
                    lists["noun", before].append(word)
        self.lists = {
            key: options
            for key, options in lists.items()
            if len(set(options)) >= ENOUGH
        }

    def fake_answer(self, qa: Question, rng: np.random.Generator) -> str:
        """An answer to a question of the same kind, numbers redrawn; where the file offers none, a made-up one."""
        gold, kind = qa["answers"][0]["text"], kind_of(qa["question"])
        shape = shape_of(gold)
        if shape == "number":
            return renumbered(gold, rng)
        known = {normalize_answer(answer["text"]) for answer in qa["answers"]}
        return self._other(
            known, rng, ("answer", shape, kind), ("answer", shape)
        ) or made_up(shape, kind, rng)

    def changed(self, question: str, rng: np.random.Generator) -> str:
        """The question asking for something else; "" where nothing can be replaced.

        Each name and number is replaced; where there is none, a word by its opposite, or a noun by another one.
        """
        pieces, last = [], 0
        for before, name, start in self.names(question):
            n = len(name.split())
            other = self._other(
                {normalize_answer(name)},
                rng,
                ("name", n, before),
                ("name", n),
                ("name",),
            )
            pieces += [
                question[last:start],
                other or thing("person" if n == 2 else "town", rng),
            ]
            last = start + len(name)
        changed = renumbered("".join([*pieces, question[last:]]), rng)
        if changed != question:
            return changed
        words = question.split()
        for i, word in enumerate(words):
            if i > 0 and word.lower() in OPPOSITE:
                return " ".join([*words[:i], OPPOSITE[word.lower()], *words[i + 1 :]])
        for i in range(len(words) - 1, 0, -1):
            bare = words[i].rstrip("?.,").lower()
            if (
                bare.isalpha()
                and len(bare) > 3
                and (other := self._other({bare}, rng, ("noun", words[i - 1].lower())))
            ):
                return " ".join([*words[:i], other, *words[i + 1 :]])
        return ""

    def names(self, question: str) -> Iterator[tuple[str, str, int]]:
        """The names in a question: the word before, in lower case; the name; where it starts."""
        for match in NAME.finditer(question):
            name, start = match[0], match.start()
            first = name.split()[0].lower()
            if first in OPENERS or (
                start == 0 and first in self.ordinary
            ):  # "Which Treaty", "Bacteria in Europe"
                rest = name[len(first) :].lstrip()
                name, start = rest, match.end() - len(rest)
            if name and not MONTH.fullmatch(name) and name != "I":
                yield "".join(question[:start].lower().split()[-1:]), name, start

    def _other(
        self, known: set[str], rng: np.random.Generator, *keys: tuple[str | int, ...]
    ) -> str:
        """One that is not known, from the first list with enough to choose from; "" where none has."""
        for options in (
            pool.lists[key]
            for key in keys
            for pool in (self, self.beyond)
            if pool and key in pool.lists
        ):
            for _ in range(
                10
            ):  # most draws do; the odd list of near doubles falls through to the next
                option = options[rng.integers(len(options))]
                if normalize_answer(option) not in known:
                    return option
        return ""


def pools(dataset: Dataset) -> list[Pool]:
    """Each article's pool, with that of the whole file behind it."""
    ordinary = {
        word for text in all_text(dataset) for word in re.findall(r"\b[a-z]+\b", text)
    }
    everywhere = Pool(questions(dataset), ordinary)
    return [
        Pool(questions({"data": [article]}), ordinary, everywhere)
        for article in dataset["data"]
    ]


def kind_of(question: str) -> str:
    """What is asked for: its question word, and the word that narrows it down: what year, how many, what job."""
    words = question.lower().rstrip("?. ").split()
    at = next((i for i, word in enumerate(words) if word in QUESTION_WORDS), None)
    if at is None:
        return ""
    rest = words[at + 1 :]
    if words[at] not in ("how", "what", "which") or not rest:
        return words[at]
    if rest[0] in AUXILIARIES:  # "What was the profession of _?", "What did _ carry?"
        rest = rest[2:] if rest[1:2] in (["the"], ["a"]) else rest[-1:]
    return f"{words[at]} {rest[0]}" if rest else words[at]


def shape_of(answer: str) -> str:
    """number, name or words: what the answer looks like."""
    if NUMBER.search(answer):
        return "number"
    return (
        "name" if answer.lstrip("\"'“").removeprefix("the ")[:1].isupper() else "words"
    )


def made_up(shape: str, kind: str, rng: np.random.Generator) -> str:
    """A name or words from the made-up world that suit the question."""
    return thing(
        "person"
        if kind.startswith("who")
        else {"name": "town", "words": "goods"}[shape],
        rng,
    )


def fixed_answer(qa: Question, rng: np.random.Generator) -> str:
    """One of two answers that never change, whatever the file, for each kind of question and answer."""
    gold, kind = qa["answers"][0]["text"], kind_of(qa["question"])
    shape = shape_of(gold)
    same = np.random.default_rng(
        [zlib.crc32(f"{shape} {kind}".encode()), int(rng.integers(2))]
    )
    digits = re.sub(
        r"\d", "9", re.sub(r"\b\d{4}\b", "1799", gold)
    )  # of the number only its form
    return renumbered(digits, same) if shape == "number" else made_up(shape, kind, same)


def renumbered(text: str, rng: np.random.Generator) -> str:
    """Every number replaced by another of as many digits: a year by one near it, a day by a day."""

    def other(match: re.Match[str]) -> str:
        value, n = int(match[0]), len(match[0])
        low, high = 10 ** (n - 1), 10**n
        if n == 4 and 1000 <= value <= 2020:
            low, high = max(low, value - 120), min(2021, value + 121)
        elif n == 2 and value <= 28:
            high = 29
        elif n > 15:  # beyond what is drawn exactly
            return str(value + 1).zfill(n)
        new = int(rng.integers(low, high - 1))
        return str(new + (new >= value))

    return NUMBER.sub(other, text)
