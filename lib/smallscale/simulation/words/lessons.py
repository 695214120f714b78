"""What is a model shown, so that it says in the town what it has in mind?

Lines as the town asks them (see `prompts.talk_prompt`), about people, places and things
that the town does not have: up to two memories and what was just said to one, the one
to speak of last. What is to be said passes that one on, from the speaker's side: what
another said with "I" has a name, and whom one speaks to is "you".
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from smallscale.core.validation import whole_number
from smallscale.simulation.words.facts import Fact
from smallscale.simulation.words.prompts import talk_lines
from smallscale.simulation.words.retellings import (
    LISTS,
    PASSED_ON,
    Pair,
    draw_fact,
    other_people,
)
from smallscale.simulation.world import WEEKDAYS

NEWS_SHARE = 0.5  # of lessons that are about news; the rest is what one saw or plans
BARE_SHARE = 0.3  # of news that has no place and no time, as "I stand for mayor"
REPLY_SHARE = 0.3  # of lessons in which somebody has just said something


class Thing(NamedTuple):
    """What somebody remembers, and how they say it to somebody else."""

    memory: str
    said: str


def talk_lessons(n: int, *, seed: int = 0) -> list[Pair]:
    """Return n lessons in talking, by template, about nothing that the town has."""
    random = np.random.default_rng([seed, 4])
    return [_lesson(random) for _ in range(whole_number("n", n))]


def _lesson(random: np.random.Generator) -> Pair:
    people = other_people(random, 5)
    speaker, listener = people[:2]
    about = _news if random.random() < NEWS_SHARE else _anything
    thing = about(random, people)
    memories = [_anything(random, people).memory for _ in range(random.integers(2))]
    last = ""
    if random.random() < REPLY_SHARE:
        last = _anything(random, [listener, speaker, *people[2:]]).said
    prompt = talk_lines(speaker, listener, [*memories, thing.memory], last)
    return Pair(prompt, f" {thing.said}\n")


def _news(random: np.random.Generator, people: Sequence[str]) -> Thing:
    """Return news of the speaker, of who told it, or of somebody else."""
    speaker, _, teller, third, _ = people
    who = str(random.choice([speaker, teller, third]))
    fact = draw_fact(random, [who], LISTS["whats"], LISTS["places"])
    if random.random() < BARE_SHARE:
        fact = Fact(fact.who, fact.what, "", "")
    own = fact.own_sentence().removesuffix(".")
    news = fact.sentence().removesuffix(".")
    put = str(random.choice(PASSED_ON))
    told = put.format(news=own if who in (speaker, teller) else news)
    memory = told if who == speaker else f'{teller} said: "{told}"'
    put = str(random.choice(PASSED_ON))
    return Thing(memory, put.format(news=own if who == speaker else news))


def _anything(random: np.random.Generator, people: Sequence[str]) -> Thing:
    """Return what somebody saw, plans, thinks, or was told of such things."""
    _, listener, teller, third, _ = people
    place = str(random.choice(LISTS["places"]))
    seen = str(random.choice([listener, third]))
    thing = f"The {random.choice(LISTS['things'])} {place}"
    thing += f" is {random.choice(LISTS['states'])}."
    plan = f"{random.choice(LISTS['plans'])}"
    start = int(random.integers(6, 18))
    hours = f"{random.choice(WEEKDAYS)}, {start:02}:00 to {start + 3:02}:00, {place}"
    you = "you" if seen == listener else seen
    return [
        Thing(f"I saw {seen} {place}.", f"I saw {you} {place}."),
        Thing(
            f'{teller} said: "I saw {third} {place}."', f"{teller} saw {third} {place}."
        ),
        Thing(thing, thing),
        Thing(f'{teller} said: "{thing}"', thing),
        Thing(f"{hours}: I will {plan}.", f"I will {plan} {place}."),
        Thing(f'{teller} said: "I will {plan}."', f"{teller} will {plan}."),
        Thing(f"{teller} is a friend of {third}.", f"{teller} is a friend of {third}."),
    ][random.integers(7)]
