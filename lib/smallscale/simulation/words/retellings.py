"""How is news put, and how is it passed on? Templates, and prompts that a model reads.

What the model is taught on is other news than the town's, about other people at other
places, so that what it makes of the town's news was not learnt by heart.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from smallscale.core.validation import finite_number, whole_number
from smallscale.simulation.words.facts import NAMES, Fact
from smallscale.simulation.world import PUBLIC_PLACES, WEEKDAYS

LISTS = json.loads(Path(__file__).with_name("retellings.json").read_text("utf-8"))
# How the news reaches a listener from somebody else, and from whom it is about.
HEARD = (
    "{news}.",
    "Have you heard? {news}.",
    "{news}. Will you come?",
    "I heard that {news}.",
    "{when}, {who} {what} {where}.",
    "Did you know that {news}?",
)
HEARD_OWN = (
    "{own}.",
    "{own}. Will you come?",
    "Have you heard? {own}.",
    "{when}, {short}.",
)
PASSED_ON = ("{news}.", "{news}.", "Have you heard? {news}.", "{news}. Will you come?")
# Shown to the model that was not taught: one told by another, one of one's own.
EXAMPLES = (
    ("Eva Holm", "Hugo Weiss", "Alma Lund", "Have you heard? {news}.", "{news}."),
    ("Theo Novak", "Vera Keller", "Carl Vik", "{own}.", "{news}."),
    ("Petra Ortega", "Milo Dupont", "Nora Tanaka", "{news}.", "{news}."),
)
EXAMPLE_FACTS = (
    Fact("Selma Petrov", "opens a bakery", "at the station", "on Monday at nine"),
    Fact("Theo Novak", "plants a pear tree", "in the garden", "on Sunday at two"),
    Fact("Abel Ferrari", "gives a talk", "in the museum", "on Friday at six"),
)
OWN_SHARE = 0.5  # of training pairs in which people speak of themselves


class Pair(NamedTuple):
    """What the model reads, and what it shall write."""

    prompt: str
    answer: str


def retelling_prompt(teller: str, listener: str, third: str, heard: str) -> str:
    """Return what somebody was told, as a text that goes on with how they pass it on.

    >>> print(retelling_prompt("Bo", "Ada", "Jun", "I give a party."))
    From Bo to Ada: I give a party.
    From Ada to Jun:
    """
    # A space stands before every name, so that a name is the same tokens everywhere.
    heard = " ".join(heard.split())  # of one line: it writes nobody else's
    return f"From {teller} to {listener}: {heard}\nFrom {listener} to {third}:"


def few_shot_prompt(teller: str, listener: str, third: str, heard: str) -> str:
    """Return the same behind three examples, for a model that was not taught."""
    shown = []
    for (a, b, c, told, passed), fact in zip(EXAMPLES, EXAMPLE_FACTS, strict=True):
        words = words_of(fact)
        prompt = retelling_prompt(a, b, c, told.format(**words))
        shown.append(f"{prompt} {passed.format(**words)}\n\n")
    return "".join(shown) + retelling_prompt(teller, listener, third, heard)


def held_out_facts(n: int, *, seed: int = 0) -> list[Fact]:
    """Return n made-up pieces of news about the town's own people and places. Their
    whats are none that `training_pairs` tells of."""
    places = [f"in the {place}" for place in PUBLIC_PLACES]
    random = np.random.default_rng([seed, 1])
    return [
        draw_fact(random, list(NAMES), LISTS["held_out"], places)
        for _ in range(whole_number("n", n))
    ]


def training_pairs(n: int, *, own: float = OWN_SHARE, seed: int = 0) -> list[Pair]:
    """Return n retellings by template, of other news than the town's.

    own: the share in which the first teller is the one whom the news is about and says
    "I", where the listener has to say who that was.
    """
    own = finite_number("own", own, least=0, most=1)
    random = np.random.default_rng([seed, 2])
    pairs = []
    for _ in range(whole_number("n", n)):
        people = other_people(random, 4)
        fact = draw_fact(random, people[:1], LISTS["whats"], LISTS["places"])
        of_oneself = random.random() < own
        told = HEARD_OWN if of_oneself else HEARD
        teller = people[0] if of_oneself else people[1]
        words = words_of(fact)
        heard = str(random.choice(told)).format(**words)
        passed = str(random.choice(PASSED_ON)).format(**words)
        prompt = retelling_prompt(teller, people[2], people[3], heard)
        pairs.append(Pair(prompt, f" {passed}\n"))
    return pairs


def draw_fact(
    random: np.random.Generator,
    people: Sequence[str],
    whats: Sequence[str],
    places: Sequence[str],
) -> Fact:
    """Return a made-up piece of news about one of these people."""
    day = random.choice(WEEKDAYS)
    hour = random.choice(LISTS["hours"])
    return Fact(
        who=str(random.choice(people)),
        what=str(random.choice(whats)),
        where=str(random.choice(places)),
        when=f"on {day} at {hour}",
    )


def other_people(random: np.random.Generator, n: int) -> list[str]:
    """Return n full names that nobody in the town has."""
    first = random.choice(LISTS["first_names"], n, replace=False)
    last = random.choice(LISTS["surnames"], n, replace=False)
    return [f"{a} {b}" for a, b in zip(first, last, strict=True)]


def words_of(fact: Fact) -> dict[str, str]:
    """Return what the templates name."""
    own = fact.own_sentence().removesuffix(".")
    return {
        "who": fact.who,
        "what": fact.what,
        "where": fact.where,
        "when": fact.when[:1].upper() + fact.when[1:],
        "news": fact.sentence().removesuffix("."),
        "own": own,
        "short": own.removesuffix(f" {fact.when}"),
    }
