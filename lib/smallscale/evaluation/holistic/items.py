"""What is asked? The items of each scenario, made once and the same for everybody.

An item has one right answer that is known: it was computed, it was built into the text,
or it stands in the standard library. No item depends on a notebook's seed, so that a
model's answers can be recorded.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from http import HTTPStatus
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from smallscale.core.validation import one_of, whole_number
from smallscale.datasets.source_code import stdlib_modules

WORDS = json.loads(Path(__file__).with_name("words.json").read_text("utf-8"))
RENAMED = {413, 414, 416, 418, 422}  # their phrases differ by version of Python
TRAINING = 16  # items that examples are taken from
SOURCE = 400_000  # characters of the standard library
CONTEXT = 4  # lines of code before the one that is asked for
Random = np.random.Generator


@dataclass(frozen=True)
class Item:
    """One question. text: what is asked. rough: the same, written carelessly. answer:
    the right one. group: which of its scenario's two groups it belongs to. options:
    those to choose from; none where the answer is to be written.
    """

    text: str
    rough: str
    answer: str
    group: str
    options: tuple[str, ...] = ()

    def carelessly(self) -> "Item":
        """Return the question as it is written carelessly."""
        return replace(self, text=self.rough)


class Split(NamedTuple):
    """training: what examples are taken from. test: what scores are reported on. fresh:
    more of the same kind, which nobody has seen.
    """

    training: list[Item]
    test: list[Item]
    fresh: list[Item]


def split_items(kind: str, n: int = 24, fresh: int = 0) -> Split:
    """Return the items of a scenario: 16 for training, n to test on, and fresh ones.

    A longer test begins with the shorter one's items. No text comes twice, and groups
    take turns, and so do labels where there are two. Of some scenarios there are fewer
    items than asked for.

    >>> split_items("sums").test[0].text
    '6 + 7'
    """
    one_of("kind", kind, MAKERS)
    n = whole_number("n", n)
    fresh = whole_number("fresh", fresh, least=0)
    every = _all_items(kind)
    start = len(every) if not fresh else TRAINING + n
    return Split(
        list(every[:TRAINING]),
        list(every[TRAINING : TRAINING + n]),
        list(every[start : start + fresh]),
    )


@cache
def _all_items(kind: str) -> tuple[Item, ...]:
    """Return all items, no text twice, groups in turn, and so the labels of two."""
    random = np.random.default_rng(list(kind.encode()))
    by_turn: dict[tuple[str, str], dict[str, Item]] = {}
    for item in MAKERS[kind](random):
        label = item.answer if len(item.options) == 2 else ""
        by_turn.setdefault((item.group, label), {}).setdefault(item.text, item)
    shortest = min(len(items) for items in by_turn.values())
    in_turn = []
    columns = [list(items.values()) for _, items in sorted(by_turn.items())]
    for place in range(shortest):
        in_turn += [items[place] for items in columns]
    return tuple(in_turn)


def typos(text: str, keep: str, random: Random) -> str:
    """Return the text in lower case, two letters swapped in every third longer word.

    Words that `keep` has too stay as they are: what is asked for must not change.
    """
    kept = set(re.findall(r"\w+", keep))

    def careless(match: re.Match[str]) -> str:
        word = match[0]
        if word in kept:
            return word
        word = word.lower()
        if len(word) < 5 or random.random() > 1 / 3:
            return word
        place = int(random.integers(1, len(word) - 2))
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]

    return re.sub(r"[A-Za-z]+", careless, text)


def spaces(text: str) -> str:
    """Return the text with every space doubled."""
    return text.replace(" ", "  ")


def _person(random: Random) -> tuple[str, str]:
    """Return a name that nobody has, and the pronoun that goes with it."""
    group = "women" if random.random() < 0.5 else "men"
    name = str(random.choice(WORDS[group]))
    return name, "She" if group == "women" else "He"


class _Life(NamedTuple):
    passage: str
    name: str
    pronoun: str
    facts: dict[str, str]  # question -> answer


def _life(random: Random) -> _Life:
    name, pronoun = _person(random)
    born, learnt, worked = random.choice(WORDS["towns"], 3, replace=False)
    subject, job = random.choice(WORDS["subjects"]), random.choice(WORDS["jobs"])
    passage = (
        f"{name} was born in {born}. {pronoun} studied {subject} in {learnt}, and "
        f"later worked as a {job} in {worked}."
    )
    facts = {
        f"In which town was {name} born?": born,
        f"What did {name} study?": subject,
        f"In which town did {name} study?": learnt,
        f"As what did {name} work?": job,
        f"In which town did {name} work?": worked,
    }
    return _Life(passage, name, pronoun, {q: str(a) for q, a in facts.items()})


def _passages(random: Random) -> Iterator[Item]:
    for _ in range(400):
        life = _life(random)
        question, answer = list(life.facts.items())[random.integers(5)]
        text = f"{life.passage}\nQuestion: {question}"
        rough = typos(text, f"{answer} {life.name} Question", random)
        group = "about a woman" if life.pronoun == "She" else "about a man"
        yield Item(text, rough, answer, group)


def _unknowable(random: Random) -> Iterator[Item]:
    for number in range(400):
        life = _life(random)
        if number % 2:
            question = str(random.choice(WORDS["unsaid"])).format(name=life.name)
            answer, group = "unknown", "not said"
        else:
            question, answer = list(life.facts.items())[random.integers(5)]
            group = "said"
        text = f"{life.passage}\nQuestion: {question}"
        rough = typos(text, f"{answer} {life.name} Question", random)
        yield Item(text, rough, answer, group)


def _sums(random: Random) -> Iterator[Item]:
    for number in range(600):
        low, high, group = (2, 10, "one digit") if number % 2 else (10, 100, "two")
        a, b = random.integers(low, high, 2)
        yield Item(f"{a} + {b}", spaces(f"{a} + {b}"), str(a + b), group)


def _analogies(random: Random) -> Iterator[Item]:
    for relation, group in (("capitals", "capitals"), ("past", "grammar")):
        pairs = list(WORDS[relation].items())
        every = list(combinations(range(len(pairs)), 2))
        for place in random.permutation(len(every)):
            (a, b), (c, d) = (pairs[i] for i in every[place])
            text = f"{a} is to {b} as {c} is to"
            yield Item(text, typos(text, f"{a} {b} {c}", random), d, group)


def _status(random: Random) -> Iterator[Item]:
    known = [each for each in HTTPStatus if each not in RENAMED]
    phrases = [each.phrase for each in known]
    for place in random.permutation(len(known)):
        status = known[place]
        others = [phrase for phrase in phrases if phrase != status.phrase]
        options = [status.phrase, *random.choice(others, 3, replace=False)]
        random.shuffle(options)
        group = "client errors" if 400 <= status < 500 else "others"
        text = f"What is the meaning of the status code {int(status)}?"
        rough = typos(text, "", random)
        yield Item(text, rough, status.phrase, group, tuple(map(str, options)))


def _reviews(random: Random) -> Iterator[Item]:
    for _ in range(600):
        good = random.random() < 0.5
        pronoun = "She" if random.random() < 0.5 else "He"
        first, second = random.choice(WORDS["parts"], 2, replace=False)
        said = []
        for part in (first, second):
            turned = random.random() < 0.3
            kind = "good" if good != turned else "bad"
            never = "far from " if turned else ""
            said.append(f"the {part} {never}{random.choice(WORDS[kind])}")
        text = f"{pronoun} found {said[0]} and {said[1]}."
        adjectives = " ".join(WORDS["good"] + WORDS["bad"])
        yield Item(
            text,
            typos(text, f"{pronoun} {adjectives}", random),
            "positive" if good else "negative",
            pronoun.lower(),
            ("positive", "negative"),
        )


def _copying(random: Random) -> Iterator[Item]:
    for number in range(400):
        length, group = (3, "three words") if number % 2 else (7, "seven words")
        text = " ".join(random.choice(WORDS["plain"], length, replace=False))
        yield Item(text, spaces(text), text, group)


def _logic(random: Random) -> Iterator[Item]:
    for number in range(600):
        depth, group = (2, "short") if number % 2 else (3, "long")
        text, value = _expression(depth, random)
        yield Item(text, spaces(text), str(value), group, ("True", "False"))


def _expression(depth: int, random: Random) -> tuple[str, bool]:
    """Return an expression of this depth, and its value."""
    if depth == 0:
        value = bool(random.random() < 0.5)
        return str(value), value
    (left, a), (right, b) = (_expression(depth - 1, random) for _ in range(2))
    if depth > 1:
        left, right = f"({left})", f"({right})"
    negated = random.random() < 0.5
    word = "and" if random.random() < 0.5 else "or"
    second = not b if negated else b
    text = f"{left} {word} {'not ' if negated else ''}{right}"
    return text, (a and second) if word == "and" else (a or second)


def _next_line(random: Random) -> Iterator[Item]:
    for module in stdlib_modules(SOURCE):
        lines = [line for line in module.splitlines() if line.strip()]
        if len(lines) < 60:
            continue
        for _ in range(4):
            place = int(random.integers(CONTEXT, len(lines)))
            context = "\n".join(lines[place - CONTEXT : place])
            right = lines[place].strip()
            others = [line.strip() for line in random.choice(lines, 3, replace=False)]
            options = [right, *others]
            if len(set(options)) < 4 or max(map(len, [*options, context])) > 200:
                continue
            random.shuffle(options)
            group = "with brackets" if "(" in right else "without"
            rough = context.replace("\t", "  ")
            yield Item(context, rough, right, group, tuple(options))


MAKERS: dict[str, Callable[[Random], Iterator[Item]]] = {
    "passages": _passages,
    "unknowable": _unknowable,
    "sums": _sums,
    "analogies": _analogies,
    "status": _status,
    "reviews": _reviews,
    "copying": _copying,
    "logic": _logic,
    "next line": _next_line,
}


def as_rows(kind: str, items: list[Item]) -> list[dict[str, Any]]:
    """Return items as rows that JSON can hold."""
    return [
        {
            "scenario": kind,
            "text": item.text,
            "rough": item.rough,
            "answer": item.answer,
            "group": item.group,
            "options": list(item.options),
        }
        for item in items
    ]
