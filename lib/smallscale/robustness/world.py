"""What is there to read offline? A small made-up world, told in SQuAD's own format: people and towns, and facts of each.

A passage tells a few facts of one subject, each in one of several wordings; a question asks for one of them, in
one of several wordings. Names are put together so that no name of the test split occurs in the training split.
With one subject a passage, the relation asked for is enough to find the answer, and a reader may ignore the name:
that is a weakness made on purpose, and "rivals" takes it away.
"""

import zlib
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from smallscale.robustness.distractors import with_sentences
from smallscale.robustness.squad import Dataset, Question

FIRST = (
    "Ada Arne Asta Bela Birgit Bruno Carla Cyril Dora Edda Elias Emma Ewald Fanny Felix Frida Gregor Greta Gustav Hanna "
    "Harald Helga Ida Ingmar Iris Jana Jonas Julia Karin Kasper Klara Leif Lena Ludo Magda Marius Mira Nadja Nils Nora "
    "Olga Oskar Pavel Petra Rasmus Rosa Ruben Selma Signe Sonja Sven Tilda Tobias Ulla Vera Viktor Wanda Xenia Yngve Zora"
)
NAME_STARTS = (
    "Ald Bran Cor Dahl Eck Fors Gren Hal Iver Jans Kron Lind Mor Norr Ost Pell Quist Rad Sand Thor Ulv Vass Wend"
)
NAME_ENDS = "berg by dahl dorf en er feld gren holm ing land lund man mark ner o quist rud sen strand strom vik wald"
TOWN_STARTS = "Aar Bel Brun Dren Elk Fal Gal Hov Jor Kal Lum Mer Nev Orm Pol Rav Sel Tar Ush Val Wil Yar Zan"
TOWN_ENDS = (
    "achow adale anger avik borg brook burg by davn etz ford fors gard hamn heim ica mouth nes ova stad ton vale"
)
ADJECTIVES = (
    "Broken Burning Distant Empty Frozen Gentle Golden Hidden Hollow Last Long Narrow Pale Quiet Red Silent White"
)
NOUNS = "Bridge Candle Clock Door Field Garden Harbour Island Lamp Letter Mirror Orchard River Road Season Tower Winter"
JOBS = (
    "architect astronomer baker botanist carpenter chemist clockmaker dentist engineer farmer geologist gardener jeweller "
    "judge lawyer librarian miner nurse optician painter pharmacist photographer pilot potter printer sailor sculptor "
    "shepherd surgeon surveyor tailor teacher translator weaver"
)
INSTRUMENTS = (
    "accordion banjo bassoon cello clarinet drums fiddle flute guitar harp horn lute oboe organ piano trombone viola"
)
GOODS = (
    "amber baskets bells bread buttons candles carpets cheese cider clocks glass gloves hats honey kites lace lanterns "
    "leather lenses mustard paper pears pottery rope salt shoes silk soap tiles tobacco toys violins wool"
)
SUBJECTS = (
    "algebra anatomy astronomy botany chemistry geography geology grammar history law logic medicine music physics"
)

# relation: (what answers it, its statements, its questions); {s} is the subject, {a} the answer.
PERSON: dict[str, tuple[str, list[str], list[str]]] = {
    "birthplace": (
        "town",
        [
            "{s} was born in {a}.",
            "{s} came into the world in {a}.",
            "{a} is where {s} was born.",
            "{s} is a native of {a}.",
        ],
        ["Where was {s} born?", "In what town was {s} born?", "In which place was {s} born?"],
    ),
    "birth": (
        "year",
        [
            "{s} was born in {a}.",
            "In {a}, {s} was born.",
            "The year {s} was born was {a}.",
            "{s}'s year of birth is {a}.",
        ],
        ["When was {s} born?", "In what year was {s} born?", "What is {s}'s year of birth?"],
    ),
    "job": (
        "job",
        ["{s} worked as {a}.", "By trade {s} was {a}.", "{s} made a living as {a}.", "Most knew {s} as {a}."],
        [
            "What did {s} work as?",
            "What was {s} by trade?",
            "What was the trade of {s}?",
            "As what did {s} make a living?",
        ],
    ),
    "employer": (
        "firm",
        [
            "{s} was employed by {a}.",
            "{a} employed {s} for years.",
            "{s} worked for {a}.",
            "{a} paid the wages of {s}.",
        ],
        ["Who employed {s}?", "By which firm was {s} employed?", "Which firm did {s} work for?"],
    ),
    "spouse": (
        "person",
        ["{s} married {a}.", "{s} was married to {a}.", "{a} became the spouse of {s}.", "{a} and {s} were a couple."],
        [
            "Who did {s} marry?",
            "Who was {s} married to?",
            "Who was the spouse of {s}?",
            "Who became the spouse of {s}?",
        ],
    ),
    "teacher": (
        "person",
        [
            "{s} was taught by {a}.",
            "{s} learned everything from {a}.",
            "{a} was the teacher of {s}.",
            "{a} taught {s}.",
        ],
        ["Who taught {s}?", "By whom was {s} taught?", "Who was the teacher of {s}?"],
    ),
    "study": (
        "subject",
        ["{s} studied {a}.", "At university {s} chose {a}.", "{s} took a degree in {a}.", "{a} was what {s} studied."],
        ["What did {s} study?", "What subject did {s} study?", "Which subject was studied by {s}?"],
    ),
    "book": (
        "title",
        ["{s} wrote {a}.", "{a} was written by {s}.", "{s} is the author of {a}.", "The book {a} is by {s}."],
        ["What did {s} write?", "Which book did {s} write?", "What book was written by {s}?"],
    ),
    "instrument": (
        "instrument",
        [
            "{s} played {a}.",
            "On Sundays {s} practised {a}.",
            "{s} was fond of playing {a}.",
            "{s} owned and played {a}.",
        ],
        ["What did {s} play?", "Which instrument did {s} play?", "What instrument was played by {s}?"],
    ),
    "move": (
        "town",
        ["{s} moved to {a}.", "{s} later settled in {a}.", "{a} is where {s} moved.", "{s} found a house in {a}."],
        ["Where did {s} move?", "What town did {s} move to?", "To which town did {s} move?", "Where did {s} settle?"],
    ),
    "death": (
        "year",
        ["{s} died in {a}.", "In {a}, {s} died.", "Death came to {s} in {a}.", "{s} lived until {a}."],
        ["When did {s} die?", "In what year did {s} die?", "What year did {s} die?"],
    ),
}
TOWN: dict[str, tuple[str, list[str], list[str]]] = {
    "founding": (
        "year",
        [
            "{s} was founded in {a}.",
            "In {a}, {s} was founded.",
            "{s} dates from {a}.",
            "The founding of {s} took place in {a}.",
        ],
        ["When was {s} founded?", "In what year was {s} founded?", "What is the year of the founding of {s}?"],
    ),
    "mayor": (
        "person",
        [
            "The mayor of {s} is {a}.",
            "{a} is the mayor of {s}.",
            "{a} governs {s} as mayor.",
            "{s} is governed by {a}.",
        ],
        ["Who is the mayor of {s}?", "Who governs {s}?", "By whom is {s} governed?"],
    ),
    "people": (
        "count",
        [
            "{s} has {a} inhabitants.",
            "{a} people live in {s}.",
            "The population of {s} is {a}.",
            "{s} is home to {a} people.",
        ],
        ["How many people live in {s}?", "What is the population of {s}?", "How many inhabitants does {s} have?"],
    ),
    "goods": (
        "goods",
        ["{s} is famous for {a}.", "{s} is known for {a}.", "The workshops of {s} make {a}.", "{a} made {s} rich."],
        ["What is {s} famous for?", "What is {s} known for?", "What do the workshops of {s} make?"],
    ),
    "river": (
        "river",
        [
            "{s} lies on the {a}.",
            "The {a} flows through {s}.",
            "The river of {s} is the {a}.",
            "The {a} runs past {s}.",
        ],
        ["What river flows through {s}?", "Which river does {s} lie on?", "What is the river of {s}?"],
    ),
    "twin": (
        "town",
        [
            "{s} is twinned with {a}.",
            "The twin town of {s} is {a}.",
            "{a} is the twin town of {s}.",
            "{s} has {a} as its twin.",
        ],
        ["What is the twin town of {s}?", "What town is {s} twinned with?", "Which town is the twin town of {s}?"],
    ),
}
KINDS = {"person": PERSON, "town": TOWN}
FACTS = 5  # told in one passage

Draw = Callable[[Random, str], str]


def world(n_paragraphs: int, *, seed: int, split: str = "train", rivals: float = 0.0) -> Dataset:
    """Passages about made-up people and towns, 5 facts and 5 questions each, as a SQuAD v1.1 dataset.

    split: "train" or "test"; surnames, towns, firms, rivers and titles occur in one of them only, whatever the
    seed. rivals: the share of passages that state one of their relations for another subject too, somewhere;
    there a reader has to look at the name. Each question says its "relation" and "subject" too, beside SQuAD's keys.
    Raises ValueError for fewer than one paragraph, another split, or rivals outside [0, 1].
    """
    if n_paragraphs < 1:
        raise ValueError(f"n_paragraphs must be at least 1; got {n_paragraphs}")
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test'; got {split!r}")
    if not 0 <= rivals <= 1:
        raise ValueError(f"rivals must lie in [0, 1]; got {rivals}")
    random = Random(f"{seed} {split}")
    passages = [_passage(f"{split}{seed}-{i}", random, split, rivals) for i in range(n_paragraphs)]
    return {"version": "1.1", "data": [{"title": "A small world", "paragraphs": passages}]}


def told_of_others(dataset: Mapping[str, Any], *, seed: int) -> Dataset:
    """Distractors in the world's own words: to each passage the asked relation is stated of another subject.

    As `add_sentences` with one candidate, in other wordings: those of `world`, not the question's.
    """

    def sentences(qa: Question) -> list[str]:
        random = Random(f"{seed} {qa['id']}")
        split = "test" if qa["id"].startswith("test") else "train"
        kind = next(kind for kind in KINDS if qa["relation"] in KINDS[kind])
        golds = {answer["text"] for answer in qa["answers"]}
        answer = next(a for _ in iter(int, 1) if (a := _answer(kind, qa["relation"], random, split)) not in golds)
        sentence, _ = _sentence(kind, qa["relation"], _named(kind, random, split), answer, random)
        return [sentence]

    return with_sentences(dataset, sentences)


def _passage(id_: str, random: Random, split: str, rivals: float) -> dict[str, Any]:
    kind = random.choices(list(KINDS), [2, 1])[0]
    subject = _named(kind, random, split)
    relations = random.sample(list(KINDS[kind]), FACTS)
    told: list[tuple[str, str | None, int]] = []  # sentence, relation, where the answer starts in it
    answers: dict[str, str] = {}
    for relation in relations:
        answer = next(a for _ in iter(int, 1) if (a := _answer(kind, relation, random, split)) not in answers.values())
        answers[relation] = answer
        sentence, start = _sentence(kind, relation, subject, answer, random)
        told.append((sentence, relation, start))
    if random.random() < rivals:
        relation = random.choice(relations)
        answer = next(a for _ in iter(int, 1) if (a := _answer(kind, relation, random, split)) not in answers.values())
        sentence, _ = _sentence(kind, relation, _named(kind, random, split), answer, random)
        told.insert(random.randint(0, len(told)), (sentence, None, 0))
    context, qas = "", []
    for sentence, relation, start in told:
        offset = len(context) + bool(context)
        context += " " * bool(context) + sentence
        if relation is not None:
            question = random.choice(KINDS[kind][relation][2]).format(s=subject)
            answer = {"text": context[offset + start :][: len(answers[relation])], "answer_start": offset + start}
            qas.append({"id": f"{id_}-{relation}", "question": question, "answers": [answer], "relation": relation})
    return {"context": context, "qas": qas}


def _sentence(kind: str, relation: str, subject: str, answer: str, random: Random) -> tuple[str, int]:
    """One statement of the fact, and where the answer starts in it."""
    before, after = random.choice(KINDS[kind][relation][1]).format(s=subject, a="{a}").split("{a}")
    sentence = before + answer + after
    return sentence[0].upper() + sentence[1:], len(before)


def _answer(kind: str, relation: str, random: Random, split: str) -> str:
    return _named(KINDS[kind][relation][0], random, split)


def _named(kind: str, random: Random, split: str) -> str:
    """A new name or value of a kind; names are of the split."""
    if kind == "person":
        return f"{random.choice(FIRST.split())} {_made(NAME_STARTS, NAME_ENDS, random, split)}"
    if kind == "town":
        return _made(TOWN_STARTS, TOWN_ENDS, random, split)
    if kind == "river":
        return _made(NAME_STARTS, TOWN_ENDS, random, split)
    if kind == "firm":
        return f"{_made(NAME_STARTS, NAME_ENDS, random, split)} & {_made(NAME_STARTS, NAME_ENDS, random, split)}"
    if kind == "title":
        return _made(ADJECTIVES, NOUNS, random, split, between=" ", before="The ")
    if kind == "year":
        return str(random.randint(1500, 1990))
    if kind == "count":
        return f"{random.randint(2, 99)},{random.randint(0, 999):03}"
    word = random.choice({"job": JOBS, "instrument": INSTRUMENTS, "goods": GOODS, "subject": SUBJECTS}[kind].split())
    return (
        {"job": f"a {word}", "instrument": f"the {word}"}.get(kind, word)
        if word[0] not in "aeiou"
        else ({"job": f"an {word}", "instrument": f"the {word}"}.get(kind, word))
    )


def _made(starts: str, ends: str, random: Random, split: str, *, between: str = "", before: str = "") -> str:
    """A start and an end; every fourth combination is kept for the test."""
    while True:
        name = before + random.choice(starts.split()) + between + random.choice(ends.split())
        if (zlib.crc32(name.encode()) % 4 == 0) == (split == "test"):
            return name
