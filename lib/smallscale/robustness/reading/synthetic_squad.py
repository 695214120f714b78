"""What does a reader meet when everything it must know is on the page?

A small made-up world in SQuAD's own format: people, towns and ships, five facts about
each of seven that there could be. Every fact can be stated and asked in several ways,
and every name is drawn anew, so that a question can only be answered by reading.
Nothing here is true.
"""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smallscale.core.validation import finite_number, whole_number
from smallscale.robustness.reading.dataset import Dataset, Paragraph

WORLD: dict[str, Any] = json.loads(
    Path(__file__).with_name("world.json").read_text(encoding="utf-8")
)
WORDS: dict[str, list[str]] = WORLD["words"]
NUMBERS: dict[str, dict[str, int]] = WORLD["numbers"]

SUBJECT_KINDS = ("person", "town", "ship")  # in the order of the articles
FACTS = 5  # in a paragraph
PRONOUN_SHARE = 0.6  # of the later statements that could say "she" or "it"
PARAGRAPHS_PER_ARTICLE = 10  # each about another subject


@dataclass(frozen=True)
class Relation:
    """What may be said of a subject, and asked about it.

    answer_kind: the kind of thing that `thing` draws for an answer. statements,
    questions: the ways to say and to ask it, {s} for the subject and {a} for the
    answer. A statement that opens with {s} may say "she" or "it" instead.
    moment: first or last for the years in which a subject begins and ends, such as
    birth and death; nobody ends before they begin. Empty for all else.
    """

    answer_kind: str
    statements: list[str]
    questions: list[str]
    moment: str = ""


RELATIONS: dict[str, list[Relation]] = {
    kind: [Relation(**fields) for fields in WORLD["relations"][kind]]
    for kind in SUBJECT_KINDS
}


def passages(
    n: int, *, seed: int, held_out: bool = False, neighbours: float = 0.0
) -> Dataset:
    """Return a SQuAD dataset (v1.1) of n paragraphs, each about one subject.

    A paragraph states five facts, and there is a question about each.

    held_out: names from the half of all names that is never used otherwise, for tests.
    neighbours: the share of paragraphs that also state two of the facts about a second
    subject of the same kind. Only there must a reader look whom a statement is about.
    seed: of all that is drawn.
    Raises ValueError for n below 1 or neighbours outside [0, 1].

    >>> article = passages(1, seed=0)["data"][0]
    >>> article["paragraphs"][0]["qas"][0]["question"]
    'What profession did Anton Stindley have?'
    """
    n = whole_number("n", n)
    neighbours = finite_number("neighbours", neighbours, least=0, most=1)
    rng = np.random.default_rng(seed)
    articles: list[dict[str, Any]] = []
    for i in range(n):
        number = i // PARAGRAPHS_PER_ARTICLE
        kind = SUBJECT_KINDS[number % len(SUBJECT_KINDS)]
        if i % PARAGRAPHS_PER_ARTICLE == 0:
            title = f"Made-up {kind} {number + 1}"
            articles.append({"title": title, "paragraphs": []})
        crowded = rng.random() < neighbours
        paragraph = _paragraph(kind, f"p{i}", rng, held_out, crowded)
        articles[-1]["paragraphs"].append(paragraph)
    return {"version": "1.1", "data": articles}


def _paragraph(
    kind: str, id_: str, rng: np.random.Generator, held_out: bool, crowded: bool
) -> Paragraph:
    """Return a paragraph about one subject, in a crowd also a little about another."""
    subject = thing(kind, rng, held_out)
    others = _about_another(kind, subject, rng, held_out) if crowded else []
    life = _lifetime(rng)
    used = {subject, *life.values()}  # no answer is right for two questions
    context = ""
    qas = []
    for k, relation in enumerate(_drawn_relations(kind, rng, FACTS)):
        answer = life.get(relation.moment)
        if answer is None:
            answer = _unlike(used, relation.answer_kind, rng, held_out)
        used.add(answer)
        statement = _pick(relation.statements, rng)
        # The first statement names its subject, and in a crowd every one does: there
        # "she" could be anyone.
        may_say_she = k > 0 and not crowded and statement.startswith("{s}")
        says_she = may_say_she and rng.random() < PRONOUN_SHARE
        named = _pronoun(kind, subject) if says_she else subject
        before_answer = statement.split("{a}")[0].format(s=named)
        question = _pick(relation.questions, rng).format(s=subject)
        place = {"text": answer, "answer_start": len(context) + len(before_answer)}
        qas.append({"id": f"{id_}-{k}", "question": question, "answers": [place]})
        context += _capitalised(statement.format(s=named, a=answer)) + " "
        if others and rng.random() < 0.5:
            context += others.pop() + " "
    return {"context": (context + " ".join(others)).strip(), "qas": qas}


def _about_another(
    kind: str, subject: str, rng: np.random.Generator, held_out: bool
) -> list[str]:
    """Return two statements about a second subject."""
    second = _unlike({subject}, kind, rng, held_out)
    life = _lifetime(rng)
    statements = []
    for relation in _drawn_relations(kind, rng, 2):
        statement = _pick(relation.statements, rng)
        answer = life.get(relation.moment) or thing(relation.answer_kind, rng, held_out)
        statements.append(_capitalised(statement.format(s=second, a=answer)))
    return statements


def _lifetime(rng: np.random.Generator) -> dict[str, str]:
    """Return the first and the last year of a subject, under the names of `moment`."""
    last = int(thing("year", rng))
    years = int(thing("years between first and last", rng))
    return {"first": str(last - years), "last": str(last)}


def _drawn_relations(kind: str, rng: np.random.Generator, n: int) -> list[Relation]:
    """Return n different relations of this kind of subject."""
    relations = RELATIONS[kind]
    return [relations[i] for i in rng.permutation(len(relations))[:n]]


def _pronoun(kind: str, subject: str) -> str:
    if kind != "person":
        return "It"
    return "She" if subject.split()[0] in WORDS["women"] else "He"


def _capitalised(text: str) -> str:
    return text[0].upper() + text[1:]


def _unlike(used: set[str], kind: str, rng: np.random.Generator, held_out: bool) -> str:
    """Return something of this kind that is not among those used."""
    while True:
        drawn = thing(kind, rng, held_out)
        if drawn not in used:
            return drawn


def thing(kind: str, rng: np.random.Generator, held_out: bool = False) -> str:
    """Return something of this kind.

    kind: person, town or ship, for a name; year, children, count or people, for a
    number; job or goods, for a word.
    """
    if kind in NUMBERS:
        return str(rng.integers(NUMBERS[kind]["least"], NUMBERS[kind]["below"]))
    if kind in WORDS:
        return _pick(WORDS[kind], rng)
    if kind == "people":
        thousands = rng.integers(2, 90)
        return f"{thousands},{rng.integers(0, 10)}00"
    if kind == "ship":
        town = _name("town", rng, held_out)
        return f"the {town} {_pick(WORDS['ships'], rng)}"
    if kind == "person":
        first_name = _pick(WORDS["women"] + WORDS["men"], rng)
        return f"{first_name} {_name('person', rng, held_out)}"
    return _name("town", rng, held_out)


def _name(kind: str, rng: np.random.Generator, held_out: bool) -> str:
    """Return a made-up name; its checksum decides which half of all names it is in."""
    while True:
        parts = ["onsets", "vowels", "codas"]
        syllables = [_pick(WORDS[part], rng) for part in parts]
        if rng.random() < 0.5:
            syllables += [_pick(WORDS[part], rng) for part in ("vowels", "codas")]
        name = "".join([*syllables, _pick(WORLD["name_endings"][kind], rng)])
        if zlib.crc32(name.encode()) % 2 == held_out:
            return name


def _pick(options: list[str], rng: np.random.Generator) -> str:
    return options[rng.integers(len(options))]
