"""What happened, and is it true? Who knows what through whom, who met whom, and what people say when they are asked.

A person counts as knowing something only through a chain of talks in the order of time, back to the source. The chain
is found in the log of talks alone, not in what people believe about themselves.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from smallscale.simulation.brains import Fault, Question
from smallscale.simulation.checks import one_of, require
from smallscale.simulation.memory import HEARD, SEEN, THOUGHT
from smallscale.simulation.town import Town
from smallscale.simulation.world import DAY

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ASKED = 5  # memories that somebody who is asked tells of


def clock(hour: int) -> str:
    """Monday 08:00 for 8."""
    return f"{DAYS[hour // DAY % len(DAYS)]} {hour % DAY:02d}:00"


def name(town: Town, who: int) -> str:
    """A person's name; beyond the first town with the town's number."""
    place, person = divmod(int(who), len(town.world.people))
    return town.world.names[person] + (f" of town {place + 1}" if place else "")


def fact_number(town: Town, fact: str) -> int:
    """The number of a fact, from 1; ValueError for one that nobody here tells."""
    return one_of("fact", fact, [each.name for each in town.world.facts]) + 1


def spread(town: Town) -> pd.DataFrame:
    """A row for each hour that has begun and one for now: hour, and for each fact how many have heard it."""
    hours = np.arange(town.step + 1)
    heard = {fact.name: town.heard[:, f] for f, fact in enumerate(town.world.facts, 1)}
    ends = np.maximum(
        hours, 1
    )  # what is heard during an hour is known at its end, but for what was known at the start
    known = {
        fact: np.searchsorted(np.sort(when[when >= 0]), ends)
        for fact, when in heard.items()
    }
    return pd.DataFrame({"hour": hours, **known})


def chains(town: Town, fact: str) -> dict[int, tuple[tuple[int, int], ...]]:
    """For each person that the log lets know: (id, hour) of each link, from the source to them.

    Of several ways, the first in time; of two in one hour, the one told by the lower id. Who hears something in an
    hour can pass it on from the next.
    """
    f = fact_number(town, fact)
    source = town.world.sources[f]
    known: dict[int, tuple[tuple[int, int], ...]] = (
        {source: ((source, 0),)} if source in town.ids else {}
    )
    a, b = town.log[town.log[:, 3] == f], town.log[town.log[:, 4] == f]
    told = np.concatenate([a[:, [0, 1, 2]], b[:, [0, 2, 1]]])  # hour, teller, hearer
    for hour, teller, hearer in told[np.lexsort((told[:, 1], told[:, 0]))].tolist():
        if (
            teller in known
            and hearer not in known
            and (teller == source or known[teller][-1][1] < hour)
        ):
            known[hearer] = (*known[teller], (hearer, hour))
    return known


def audit(town: Town, fact: str) -> pd.DataFrame:
    """Everybody who claims to know the fact: person, hour first heard, links from the source, chain, proved.

    A claim is an hour of first hearing, or a memory of being told. proved: whether the log holds a chain of talks
    that ends at the claimed hour; a claim without one is a hallucination.
    """
    f, known = fact_number(town, fact), chains(town, fact)
    claims = (town.heard[:, f] >= 0) | (
        (town.memory.topic == f) & (town.memory.kind == HEARD)
    ).any(0)
    rows = []
    for row in np.flatnonzero(claims):
        who, hour = int(town.ids[row]), int(town.heard[row, f])
        chain = known.get(who, ())
        path = " > ".join(name(town, link) for link, _ in chain)
        rows.append(
            (name(town, who), hour, len(chain) - 1, path, chain[-1:] == ((who, hour),))
        )
    table = pd.DataFrame(rows, columns=["person", "hour", "links", "chain", "proved"])
    return table.sort_values(["hour", "person"], ignore_index=True)


def density(n: int, edges: Iterable[tuple[int, int]]) -> float:
    """2E / (n (n - 1)): the share of pairs that are tied; edges in either direction, repeated or not."""
    require(n >= 2, f"n must be at least 2; got {n}")
    return 2 * len({(min(e), max(e)) for e in edges if e[0] != e[1]}) / (n * (n - 1))


def networks(town: Town) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """Pairs of ids, the lower first: close from the start; and these with those who have talked since."""
    many = len(town.world.people)
    tied = np.argwhere(np.triu(town.world.close)).tolist()
    here = set(town.ids.tolist())
    pairs = ((t * many + a, t * many + b) for t in range(town.towns) for a, b in tied)
    before = {pair for pair in pairs if here.issuperset(pair)}
    return before, before | {
        (min(a, b), max(a, b)) for a, b in town.log[:, 1:3].tolist()
    }


@dataclass(frozen=True)
class Interview:
    """What somebody says when asked about a fact after the run, what came to mind, and whether they ever heard it.

    hallucinated: they claim to know what they never heard.
    """

    person: str
    fact: str
    says: str
    minds: tuple[str, ...]
    heard: bool
    hallucinated: bool


def interview(town: Town, person: str, fact: str) -> Interview:
    """Ask a person of the first town whether they have heard of a fact. The town does not notice: nothing changes."""
    f, row = fact_number(town, fact), _row(town, person)
    slots = town.memory.retrieve(
        np.array([row]), f, -1, town.step, ASKED, town.rule, touch=False
    )[:, 0]
    slots = slots[slots >= 0]
    mind = f * int((town.memory.topic[slots, row] == f).any())
    question = Question(town.world, "know", int(town.who[row]), (f, mind))
    (weights,) = town.brain.answer([question])
    says = question.options[
        question.fallback if isinstance(weights, Fault) else int(np.argmax(weights))
    ]
    minds, heard = (
        tuple(sentence(town, row, slot) for slot in slots),
        bool(town.heard[row, f] >= 0),
    )
    return Interview(
        person, fact, says, minds, heard, hallucinated=says == "yes" and not heard
    )


def diary(town: Town, person: str) -> list[str]:
    """All that a person of the first town still remembers, in the order in which it was noted."""
    row = _row(town, person)
    slots = town.memory.latest(
        np.array([row]), min(town.memory.slots, int(town.memory.count[row]))
    )[::-1, 0]
    return [sentence(town, row, slot) for slot in slots]


def sentence(town: Town, row: int, slot: int) -> str:
    """One memory, in words."""
    fields = ("kind", "topic", "subject", "created")
    kind, topic, subject, hour = (
        int(getattr(town.memory, field)[slot, row]) for field in fields
    )
    who, news = name(town, subject), topic <= len(town.world.facts)
    about = town.world.facts[topic - 1].words if news else town.world.topics[topic]
    if kind == HEARD and subject == town.ids[row]:
        return f"{clock(hour)}: knew that {about}"
    told = f"{who} {'said that' if news else 'talked of'}"
    said = {
        SEEN: f"saw {who}, at",
        HEARD: told,
        THOUGHT: f"thought about {who} and this:",
    }[kind]
    return f"{clock(hour)}: {said} {about}"


def _row(town: Town, person: str) -> int:
    rows = np.flatnonzero(town.ids == one_of("person", person, town.world.names))
    require(
        len(rows),
        f"{person} is not among the {len(town.ids)} people of this run; run with more people",
    )
    return int(rows[0])
