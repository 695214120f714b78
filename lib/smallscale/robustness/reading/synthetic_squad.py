"""What does a reader meet when everything it must know is on the page? A small made-up world, in SQuAD's own format.

People, towns and ships, five facts about each of seven that there could be. Every fact can be stated and asked in
several ways, and every name is drawn anew, so that a question can only be answered by reading. Nothing here is true.
"""

import json
import zlib
from pathlib import Path

import numpy as np

from smallscale.robustness.reading.squad import Dataset

# The relations of each kind of subject: what kind of thing the answer is, how the fact is said, how it is asked.
# {s} is the subject, {a} the answer; a statement that opens with {s} may say "she" or "it".
WORLD = json.loads(Path(__file__).with_name("world.json").read_text(encoding="utf-8"))
WORDS, RELATIONS = WORLD["words"], WORLD["relations"]

FACTS = 5  # in a paragraph
UNNAMED = 0.6  # of the later statements that could say "she" or "it"
PER_ARTICLE = 10  # subjects, one a paragraph


def passages(
    n: int, *, seed: int, held_out: bool = False, neighbours: float = 0.0
) -> Dataset:
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
        kind = tuple(RELATIONS)[i // PER_ARTICLE % len(RELATIONS)]
        if i % PER_ARTICLE == 0:
            articles.append(
                {"title": f"Made-up {kind} {i // PER_ARTICLE + 1}", "paragraphs": []}
            )
        articles[-1]["paragraphs"].append(
            _paragraph(kind, f"p{i}", rng, held_out, rng.random() < neighbours)
        )
    return {"version": "1.1", "data": articles}


def _paragraph(
    kind: str, id_: str, rng: np.random.Generator, held_out: bool, crowded: bool
) -> dict:
    subject = thing(kind, rng, held_out)
    pronoun = (
        "It"
        if kind != "person"
        else "She"
        if subject.split()[0] in WORDS["women"]
        else "He"
    )
    others = _about_another(kind, subject, rng, held_out) if crowded else []
    context, qas, known = "", [], {subject}
    for k, relation in enumerate(rng.permutation(RELATIONS[kind])[:FACTS]):
        answer = _unlike(known, relation["answer"], rng, held_out)
        known.add(answer)
        template = _pick(relation["says"], rng)
        # The first statement names its subject; in a crowd they all do, or "she" could be anyone.
        unnamed = (
            k > 0
            and not crowded
            and template.startswith("{s}")
            and rng.random() < UNNAMED
        )
        before, after = (
            part.format(s=pronoun if unnamed else subject)
            for part in template.split("{a}")
        )
        start = len(context) + len(before)
        context += _sentence(before + answer + after) + " "
        ask = _pick(relation["asks"], rng).format(s=subject)
        qas.append(
            {
                "id": f"{id_}-{k}",
                "question": ask,
                "answers": [{"text": answer, "answer_start": start}],
            }
        )
        if others and rng.random() < 0.5:
            context += others.pop() + " "
    return {"context": (context + " ".join(others)).strip(), "qas": qas}


def _about_another(
    kind: str, subject: str, rng: np.random.Generator, held_out: bool
) -> list[str]:
    """Two statements about a second subject."""
    second = _unlike({subject}, kind, rng, held_out)
    return [
        _sentence(
            _pick(relation["says"], rng).format(
                s=second, a=thing(relation["answer"], rng, held_out)
            )
        )
        for relation in rng.permutation(RELATIONS[kind])[:2]
    ]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _unlike(
    known: set[str], kind: str, rng: np.random.Generator, held_out: bool
) -> str:
    """Something of this kind that is none of the known."""
    while (drawn := thing(kind, rng, held_out)) in known:
        pass
    return drawn


def thing(kind: str, rng: np.random.Generator, held_out: bool = False) -> str:
    """Something of this kind: a person's or a town's or a ship's name, a year, a number, a job, goods."""
    if kind in WORLD["ranges"]:
        return str(rng.integers(*WORLD["ranges"][kind]))
    if kind in WORDS:
        return _pick(WORDS[kind], rng)
    match kind:
        case "people":
            return f"{rng.integers(2, 90)},{rng.integers(0, 10)}00"
        case "ship":
            return f"the {_name('town', rng, held_out)} {_pick(WORDS['ships'], rng)}"
        case "person":
            return f"{_pick(WORDS['women'] + WORDS['men'], rng)} {_name('person', rng, held_out)}"
    return _name("town", rng, held_out)


def _name(kind: str, rng: np.random.Generator, held_out: bool) -> str:
    """A made-up name; its checksum decides which half it belongs to."""
    while True:
        syllables = [_pick(WORDS[part], rng) for part in ("onsets", "vowels", "codas")]
        if rng.random() < 0.5:
            syllables += [_pick(WORDS[part], rng) for part in ("vowels", "codas")]
        name = "".join([*syllables, _pick(WORLD["endings"][kind], rng)])
        if zlib.crc32(name.encode()) % 2 == held_out:
            return name


def _pick(options: list[str], rng: np.random.Generator) -> str:
    return options[rng.integers(len(options))]
