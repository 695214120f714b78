"""What does a reader meet when everything it must know is on the page? A small made-up world, in SQuAD's own format.

People, towns and ships, five facts about each of seven that there could be. Every fact can be stated and asked in
several ways, and every name is drawn anew, so that a question can only be answered by reading. Nothing here is true.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from smallscale.robustness.squad import Dataset

WOMEN = ("Ada", "Berta", "Clara", "Edith", "Frida", "Greta", "Hanna", "Irma", "Klara", "Lena", "Mara", "Nora")
MEN = ("Anton", "Bruno", "Carl", "Emil", "Felix", "Gustav", "Hugo", "Ivan", "Jonas", "Karl", "Leo", "Otto")
ONSETS = ("B", "D", "F", "G", "H", "K", "L", "M", "N", "P", "R", "S", "T", "V", "Br", "Dr", "Gr", "Kr", "St", "Tr")
VOWELS = ("a", "e", "i", "o", "u")
CODAS = ("l", "n", "r", "s", "m", "ld", "nd", "rk", "st", "lm")
LAST = {"person": ("sen", "berg", "off", "ley", "man", "ski"), "town": ("ford", "by", "stad", "wick", "mouth", "dorf")}
SHIPS = ("Swallow", "Falcon", "Heron", "Dolphin", "Comet", "Aurora", "Fortune", "Pearl", "Tempest", "Lantern", "Orion")
JOBS = ("baker", "surgeon", "painter", "lawyer", "printer", "weaver", "miller", "teacher", "carpenter", "gardener")
GOODS = ("cheese", "glass", "silver", "paper", "honey", "lace", "pottery", "cider", "leather", "salt", "wool", "copper")

FACTS = 5  # in a paragraph
UNNAMED = 0.6  # of the later statements that could say "she" or "it"
PER_ARTICLE = 10  # subjects, one a paragraph


@dataclass(frozen=True)
class Relation:
    """A kind of fact. {s} is the subject, {a} the answer; a statement that opens with {s} may say "she" or "it"."""

    answer: str  # what kind of thing the answer is
    says: tuple[str, ...]
    asks: tuple[str, ...]


WORLD: dict[str, tuple[Relation, ...]] = {
    "person": (
        Relation(
            "town",
            ("{s} was born in {a}.", "{s} came into the world in {a}.", "The birthplace of {s} is {a}."),
            ("Where was {s} born?", "In which town was {s} born?", "What is the birthplace of {s}?"),
        ),
        Relation(
            "year",
            ("{s} died in {a}.", "In {a} {s} passed away.", "{s} lived until {a}."),
            ("When did {s} die?", "In what year did {s} die?", "What year did {s} die in?"),
        ),
        Relation(
            "job",
            ("{s} worked as a {a}.", "By profession {s} was a {a}.", "{s} earned a living as a {a}."),
            ("What did {s} work as?", "What was the profession of {s}?", "What profession did {s} have?"),
        ),
        Relation(
            "person",
            ("{s} was taught by {a}.", "{s} learned everything from {a}.", "The teacher of {s} was {a}."),
            ("Who taught {s}?", "Who was the teacher of {s}?", "By whom was {s} taught?"),
        ),
        Relation(
            "children",
            ("{s} had {a} children.", "{s} raised {a} children.", "The children of {s} were {a} in number."),
            ("How many children did {s} have?", "How many children did {s} raise?"),
        ),
        Relation(
            "year",
            ("{s} was a child of the year {a}.", "{s} first drew breath in {a}.", "{s} counted the years from {a} on."),
            ("When was {s} born?", "In what year was {s} born?"),
        ),
        Relation(
            "person",
            ("{s} married {a}.", "{s} shared a home with {a}.", "{s} found a partner in {a}."),
            ("Who married {s}?", "Who was the partner of {s}?"),
        ),
    ),
    "town": (
        Relation(
            "person",
            ("{s} was founded by {a}.", "{a} founded {s}.", "{s} owes its existence to {a}."),
            ("Who founded {s}?", "By whom was {s} founded?", "Who was the founder of {s}?"),
        ),
        Relation(
            "year",
            ("{s} received its charter in {a}.", "{s} became a city in {a}.", "The charter of {s} dates from {a}."),
            ("When did {s} receive its charter?", "In what year did {s} become a city?"),
        ),
        Relation(
            "people",
            ("{s} has {a} inhabitants.", "{a} people live in {s}.", "{s} counts {a} inhabitants."),
            ("How many people live in {s}?", "How many inhabitants does {s} have?"),
        ),
        Relation(
            "goods",
            ("{s} is known for its {a}.", "{s} lives from its {a}.", "Traders visit {s} for its {a}."),
            ("What is {s} known for?", "What does {s} live from?"),
        ),
        Relation(
            "town",
            ("{s} lies near {a}.", "The neighbour of {s} is {a}.", "{s} shares a border with {a}."),
            ("Which town does {s} lie near?", "What is the neighbour of {s}?"),
        ),
        Relation(
            "person",
            ("{s} is governed by {a}.", "{s} elected {a}.", "The mayor of {s} is {a}."),
            ("Who governs {s}?", "Who is the mayor of {s}?"),
        ),
        Relation(
            "year",
            ("{s} burned down in {a}.", "A fire destroyed {s} in {a}.", "In {a} {s} was lost to the flames."),
            ("When did {s} burn down?", "In what year did {s} burn down?"),
        ),
    ),
    "ship": (
        Relation(
            "person",
            ("{s} was commanded by {a}.", "The captain of {s} was {a}.", "{s} sailed under {a}."),
            ("Who commanded {s}?", "Who was the captain of {s}?", "By whom was {s} commanded?"),
        ),
        Relation(
            "town",
            ("{s} was built in {a}.", "{s} came from the yards of {a}.", "The home port of {s} was {a}."),
            ("Where was {s} built?", "In which town was {s} built?", "What was the home port of {s}?"),
        ),
        Relation(
            "year",
            ("{s} was launched in {a}.", "In {a} {s} touched the water.", "{s} first sailed in {a}."),
            ("When was {s} launched?", "In what year was {s} launched?"),
        ),
        Relation(
            "goods",
            ("{s} carried {a}.", "{s} was loaded with {a}.", "The cargo of {s} was {a}."),
            ("What did {s} carry?", "What was the cargo of {s}?", "What was {s} loaded with?"),
        ),
        Relation(
            "count",
            ("{s} had a crew of {a}.", "{s} sailed with {a} men.", "The crew of {s} counted {a}."),
            ("How many men sailed on {s}?", "How many men did {s} sail with?"),
        ),
        Relation(
            "person",
            ("{s} belonged to {a}.", "The owner of {s} was {a}.", "{s} earned money for {a}."),
            ("Who owned {s}?", "Who was the owner of {s}?"),
        ),
        Relation(
            "year",
            ("{s} sank in {a}.", "In {a} {s} went down.", "{s} was never seen again after {a}."),
            ("When did {s} sink?", "In what year did {s} sink?"),
        ),
    ),
}


def passages(n: int, *, seed: int, held_out: bool = False, neighbours: float = 0.0) -> Dataset:
    """A SQuAD dataset (v1.1) of n paragraphs: five facts about one subject each, and a question about each fact.

    held_out: names from the half of all names that is never used otherwise, for tests.
    neighbours: the share of paragraphs that also state two of the facts about a second subject of the same kind.
        Only there must a reader look whom a statement is about.
    seed: of all that is drawn. Raises ValueError for n below 1 or neighbours outside [0, 1].
    """
    if n < 1:
        raise ValueError(f"n must be at least 1; got {n}")
    if not 0 <= neighbours <= 1:
        raise ValueError(f"neighbours must lie in [0, 1]; got {neighbours}")
    rng = np.random.default_rng(seed)
    articles: list[dict] = []
    for i in range(n):
        kind = tuple(WORLD)[i // PER_ARTICLE % len(WORLD)]
        if i % PER_ARTICLE == 0:
            articles.append({"title": f"Made-up {kind} {i // PER_ARTICLE + 1}", "paragraphs": []})
        articles[-1]["paragraphs"].append(_paragraph(kind, f"p{i}", rng, held_out, rng.random() < neighbours))
    return {"version": "1.1", "data": articles}


def _paragraph(kind: str, id_: str, rng: np.random.Generator, held_out: bool, crowded: bool) -> dict:
    subject = thing(kind, rng, held_out)
    pronoun = "It" if kind != "person" else "She" if subject.split()[0] in WOMEN else "He"
    context, qas = "", []
    others = list(_others(kind, subject, rng, held_out)) if crowded else []
    facts = [WORLD[kind][k] for k in rng.permutation(len(WORLD[kind]))[:FACTS]]
    answers: set[str] = set()
    for k, relation in enumerate(facts):
        answer = thing(relation.answer, rng, held_out)
        while answer in answers or answer == subject:
            answer = thing(relation.answer, rng, held_out)
        answers.add(answer)
        template = _pick(relation.says, rng)
        # The first statement names its subject; in a crowd they all do, or "she" could be anyone.
        unnamed = k > 0 and not crowded and template.startswith("{s}") and rng.random() < UNNAMED
        before, after = (part.format(s=pronoun if unnamed else subject) for part in template.split("{a}"))
        start = len(context) + len(before)
        context += _sentence(before + answer + after) + " "
        ask = _pick(relation.asks, rng).format(s=subject)
        qas.append({"id": f"{id_}-{k}", "question": ask, "answers": [{"text": answer, "answer_start": start}]})
        if others and rng.random() < 0.5:
            context += others.pop() + " "
    return {"context": (context + " ".join(others)).strip(), "qas": qas}


def _others(kind: str, subject: str, rng: np.random.Generator, held_out: bool) -> Iterator[str]:
    """Two statements about a second subject."""
    second = thing(kind, rng, held_out)
    while second == subject:
        second = thing(kind, rng, held_out)
    for k in rng.permutation(len(WORLD[kind]))[:2]:
        relation = WORLD[kind][k]
        yield _sentence(_pick(relation.says, rng).format(s=second, a=thing(relation.answer, rng, held_out)))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def thing(kind: str, rng: np.random.Generator, held_out: bool = False) -> str:
    """Something of this kind: a person's or a town's or a ship's name, a year, a number, a job, goods."""
    match kind:
        case "year":
            return str(rng.integers(1500, 1990))
        case "children":
            return str(rng.integers(2, 13))
        case "count":
            return str(rng.integers(20, 100))
        case "people":
            return f"{rng.integers(2, 90)},{rng.integers(0, 10)}00"
        case "job" | "goods":
            return _pick(JOBS if kind == "job" else GOODS, rng)
        case "ship":
            return f"the {_name('town', rng, held_out)} {_pick(SHIPS, rng)}"
        case "person":
            return f"{_pick(WOMEN + MEN, rng)} {_name('person', rng, held_out)}"
    return _name("town", rng, held_out)


def _name(kind: str, rng: np.random.Generator, held_out: bool) -> str:
    """A made-up name; its checksum decides which half it belongs to."""
    while True:
        syllables = [_pick(part, rng) for part in (ONSETS, VOWELS, CODAS)]
        if rng.random() < 0.5:
            syllables += [_pick(VOWELS, rng), _pick(CODAS, rng)]
        name = "".join([*syllables, _pick(LAST[kind], rng)])
        if zlib.crc32(name.encode()) % 2 == held_out:
            return name


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[rng.integers(len(options))]
