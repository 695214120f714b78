"""What else could stand in its place? Other names, numbers, words and answers.

Jia and Liang 2017 look for near words by their vectors, and for fake answers in a list
made by hand. An article is a better list than it looks: its other questions of the same
kind have answers of the same type.
"""

import re
import string
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from smallscale.robustness.reading.dataset import (
    Dataset,
    Question,
    all_text,
    questions,
)
from smallscale.robustness.reading.english import (
    AUXILIARIES,
    OPENERS,
    OPPOSITES,
    QUESTION_WORDS,
)
from smallscale.robustness.reading.squad import normalize_answer
from smallscale.robustness.reading.synthetic_squad import thing

# Words with capitals, joined by small ones: "Bank of England".
NAME = re.compile(r"[A-Z][\w-]*(?:\s+(?:(?:of|the|de|du|and|von|van)\s+)*[A-Z][\w-]*)*")
NUMBER = re.compile(r"\d+")
MONTH = re.compile(
    "January|February|March|April|May|June|July|August|September|October|November"
    "|December"
)
ENOUGH = 5  # different entries; a list with fewer is not drawn from
DRAWS = 10  # from one list, before the next one is tried
EXACT_DIGITS = 15  # of a number that is drawn exactly

# What a list holds: "answer", the shape and the kind asked for; "name", how many words
# it has and the word before; "noun" and the word before. A shorter key is a wider list.
ListKey = tuple[str | int, ...]


class NameInQuestion(NamedTuple):
    """A name, the word before it in lower case or "", and where it starts."""

    before: str
    name: str
    start: int


class Pool:
    """What an article offers to draw from: answers by type, names and nouns by place.

    qas: the article's questions. ordinary: the words that the file also writes in lower
    case; at the head of a question these are no names. beyond: the pool of the whole
    file, for what the article has too few of.
    """

    def __init__(
        self, qas: Iterable[Question], ordinary: set[str], beyond: "Pool | None" = None
    ) -> None:
        self.ordinary = ordinary
        self.beyond = beyond
        lists: dict[ListKey, list[str]] = defaultdict(list)
        for qa in qas:
            self._collect(qa, lists)
        self.lists = {
            key: options
            for key, options in lists.items()
            if len(set(options)) >= ENOUGH
        }

    def _collect(self, qa: Question, lists: dict[ListKey, list[str]]) -> None:
        """Enter a question's answers, names and nouns into the lists."""
        question = qa["question"]
        edges = string.punctuation + " "
        texts = [answer["text"].strip(edges) for answer in qa["answers"]]
        for text in dict.fromkeys(texts):  # each once, in order
            if normalize_answer(text):
                lists["answer", shape_of(text), kind_of(question)].append(text)
                lists["answer", shape_of(text)].append(text)
        for before, name, _ in self.names(question):
            length = len(name.split())
            lists["name", length, before].append(name)
            lists["name", length].append(name)
            lists[("name",)].append(name)
        for before, word in pairwise(question.lower().rstrip("? ").split()):
            if before in ("the", "of", "a") and word.isalpha() and len(word) > 3:
                lists["noun", before].append(word)

    def fake_answer(self, qa: Question, rng: np.random.Generator) -> str:
        """Return a wrong answer of the right type.

        A number gets other digits. Anything else is the answer to a question of the
        same kind, or of the same shape, or made up where the file offers none.
        """
        gold = qa["answers"][0]["text"]
        kind = kind_of(qa["question"])
        shape = shape_of(gold)
        if shape == "number":
            return renumbered(gold, rng)
        golds = {normalize_answer(answer["text"]) for answer in qa["answers"]}
        drawn = self._draw(golds, rng, ("answer", shape, kind), ("answer", shape))
        return drawn or made_up(shape, kind, rng)

    def changed_question(self, question: str, rng: np.random.Generator) -> str:
        """Return the question asking for something else; "" where nothing fits.

        Each name and number is replaced; where there is none, a word by its opposite,
        or a noun by another one.
        """
        changed = renumbered(self._with_other_names(question, rng), rng)
        if changed != question:
            return changed
        words = question.split()
        return _with_opposite(words) or self._with_other_noun(words, rng)

    def _with_other_names(self, question: str, rng: np.random.Generator) -> str:
        pieces = []
        end = 0  # of the name before
        for before, name, start in self.names(question):
            length = len(name.split())
            keys: list[ListKey] = [
                ("name", length, before),
                ("name", length),
                ("name",),
            ]
            other = self._draw({normalize_answer(name)}, rng, *keys)
            if not other:
                other = thing("person" if length == 2 else "town", rng)
            pieces += [question[end:start], other]
            end = start + len(name)
        return "".join([*pieces, question[end:]])

    def _with_other_noun(self, words: list[str], rng: np.random.Generator) -> str:
        for i in range(len(words) - 1, 0, -1):
            word = words[i].rstrip("?.,").lower()
            if word.isalpha() and len(word) > 3:
                other = self._draw({word}, rng, ("noun", words[i - 1].lower()))
                if other:
                    return " ".join([*words[:i], other, *words[i + 1 :]])
        return ""

    def names(self, question: str) -> Iterator[NameInQuestion]:
        """Yield the names in a question, in order."""
        for match in NAME.finditer(question):
            name = match[0]
            start = match.start()
            first = name.split()[0].lower()
            if first in OPENERS or (start == 0 and first in self.ordinary):
                # "Which Treaty", "Bacteria in Europe": the first word is no name.
                name = name[len(first) :].lstrip()
                start = match.end() - len(name)
            if name and not MONTH.fullmatch(name) and name != "I":
                words_before = question[:start].lower().split()
                before = words_before[-1] if words_before else ""
                yield NameInQuestion(before, name, start)

    def _draw(self, known: set[str], rng: np.random.Generator, *keys: ListKey) -> str:
        """Draw something that is not known from the first list that offers it.

        Each key is looked up in this pool and then in the file's. "" where no list has
        it. known: normalised texts.
        """
        pools = [self, self.beyond] if self.beyond else [self]
        for key in keys:
            for pool in pools:
                options = pool.lists.get(key, [])
                # The odd list of near doubles falls through to the next one.
                for _ in range(DRAWS if options else 0):
                    option = options[rng.integers(len(options))]
                    if normalize_answer(option) not in known:
                        return option
        return ""


def pools(dataset: Dataset) -> list[Pool]:
    """Return each article's pool, with that of the whole file behind it."""
    ordinary: set[str] = set()
    for text in all_text(dataset):
        ordinary.update(re.findall(r"\b[a-z]+\b", text))
    everywhere = Pool(questions(dataset), ordinary)
    return [
        Pool(questions({"data": [article]}), ordinary, everywhere)
        for article in dataset["data"]
    ]


def kind_of(question: str) -> str:
    """Return what is asked for: the question word, and the word that narrows it down.

    >>> kind_of("In what year was Rome founded?"), kind_of("Who founded Rome?")
    ('what year', 'who')
    """
    words = question.lower().rstrip("?. ").split()
    question_words = [word for word in words if word in QUESTION_WORDS]
    if not question_words:
        return ""
    question_word = question_words[0]
    rest = words[words.index(question_word) + 1 :]
    if question_word not in ("how", "what", "which") or not rest:
        return question_word
    if rest[0] in AUXILIARIES:
        # "What was the profession of Ada?" asks for a profession, "What did the ship
        # carry?" for what is carried.
        rest = rest[2:] if rest[1:2] in (["the"], ["a"]) else rest[-1:]
    return f"{question_word} {rest[0]}" if rest else question_word


def shape_of(answer: str) -> str:
    """Return what the answer looks like: number, name or words."""
    if NUMBER.search(answer):
        return "number"
    first_letter = answer.lstrip("\"'“").removeprefix("the ")[:1]
    return "name" if first_letter.isupper() else "words"


def made_up(shape: str, kind: str, rng: np.random.Generator) -> str:
    """Return a name or words from the made-up world that suit the question."""
    if kind.startswith("who"):
        return thing("person", rng)
    return thing("town" if shape == "name" else "goods", rng)


def fixed_answer(qa: Question, rng: np.random.Generator) -> str:
    """Return one of two answers that are the same in every file.

    There are two for each kind of question and shape of answer. Of a number only the
    form of the right answer is kept.
    """
    gold = qa["answers"][0]["text"]
    kind = kind_of(qa["question"])
    shape = shape_of(gold)
    seeds = [zlib.crc32(f"{shape} {kind}".encode()), int(rng.integers(2))]
    same_everywhere = np.random.default_rng(seeds)
    if shape == "number":
        form = re.sub(r"\d", "9", re.sub(r"\b\d{4}\b", "1799", gold))
        return renumbered(form, same_everywhere)
    return made_up(shape, kind, same_everywhere)


def renumbered(text: str, rng: np.random.Generator) -> str:
    """Return the text with every number replaced by another of as many digits.

    A year is replaced by one at most 120 years away, a day of a month by a day.
    """
    return NUMBER.sub(lambda match: _other_number(match[0], rng), text)


def _other_number(digits: str, rng: np.random.Generator) -> str:
    value = int(digits)
    n = len(digits)
    if n > EXACT_DIGITS:
        return str(value + 1).zfill(n)
    low, high = 10 ** (n - 1), 10**n
    if n == 4 and 1000 <= value <= 2020:
        low, high = max(low, value - 120), min(2021, value + 121)
    elif n == 2 and value <= 28:
        high = 29
    # One of the numbers in [low, high) other than value: those above it move down by
    # one.
    new = int(rng.integers(low, high - 1))
    return str(new + 1 if new >= value else new)


def _with_opposite(words: list[str]) -> str:
    """Return the words with the first one that has an opposite replaced by it."""
    for i, word in enumerate(words):
        if i > 0 and word.lower() in OPPOSITES:
            return " ".join([*words[:i], OPPOSITES[word.lower()], *words[i + 1 :]])
    return ""
