"""What happened, and is it true? Who knows what through whom, and who met whom.

A person counts as knowing something only through a chain of talks in the order of time,
back to the source. The chain is looked for in the log of conversations alone, not in
what people believe about themselves.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from smallscale.core.intervals import mean_interval as mean_interval
from smallscale.core.validation import whole_number
from smallscale.simulation.memory import HEARD
from smallscale.simulation.questions import TOPICS_IN_MIND
from smallscale.simulation.state import NEVER, NOBODY, LogColumn, TownState
from smallscale.simulation.town import Town

Edge = tuple[int, int]  # the ids of two people


class Link(NamedTuple):
    """One link of a chain: who heard of a fact, and in which hour."""

    person: int
    hour: int


Chain = tuple[Link, ...]


class Networks(NamedTuple):
    """Pairs of ids, the lower first: who is close at the start, and who talked too."""

    before: set[Edge]
    after: set[Edge]


def hearers(town: TownState, fact: str) -> int:
    """Return how many people have heard of a fact."""
    f = town.world.fact_number(fact)
    return int((town.heard[:, f] != NEVER).sum())


def recallers(town: Town, fact: str) -> int:
    """Return how many people have a memory of a fact now."""
    f = town.world.fact_number(fact)
    return int((town.memory.topic == f).any(0).sum())


def source_remembers(town: Town, fact: str) -> bool:
    """Return whether the person whom a fact comes from has a memory of it now."""
    f = town.world.fact_number(fact)
    row = town.ids == town.world.sources[f]
    return bool((town.memory.topic[:, row] == f).any())


def source_thinks_of(town: Town, fact: str) -> bool:
    """Return whether a fact comes to its source's mind now, where they are.

    It does if it is among the memories that would come to mind before they speak.
    Nothing in the town changes.
    """
    f = town.world.fact_number(fact)
    row = np.flatnonzero(town.ids == town.world.sources[f])
    slots = town.memory.retrieve(
        row,
        town.topic_of_place(row),
        NOBODY,
        town.step,
        TOPICS_IN_MIND,
        town.rule,
        touch=False,
    )
    topics = town.memory.at("topic", slots, row)
    return bool(((slots >= 0) & (topics == f)).any())


def guests(town: TownState, fact: str) -> int:
    """Return how many people were at an event."""
    f = town.world.fact_number(fact)
    return int(town.attended[:, f].sum())


def outcome(town: Town) -> dict[str, int]:
    """Return what came of a run, by name, in numbers.

    candidacy, party: people who have heard of it. recall: people who remember the
    party. guests: people who were at the party. talks: conversations.
    """
    return {
        "candidacy": hearers(town, "candidacy"),
        "party": hearers(town, "party"),
        "recall": recallers(town, "party"),
        "guests": guests(town, "party"),
        "talks": len(town.log),
    }


def interval_table(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return the mean and the half-width of its interval, in a row for each column."""
    intervals = [mean_interval(outcomes[name]) for name in outcomes]
    means = [interval.mean for interval in intervals]
    halves = [interval.half for interval in intervals]
    return pd.DataFrame({"mean": means, "±": halves}, index=outcomes.columns)


def spread(town: TownState) -> pd.DataFrame:
    """Return how many people had heard of each fact, hour by hour.

    There is a row for each hour that has begun, and one for now. Columns: hour, and the
    name of each fact.
    """
    hours = np.arange(town.step + 1)
    # What is heard during an hour is known at its end; the sources know from the start.
    ends = np.maximum(hours, 1)
    table = {"hour": hours}
    for f, fact in enumerate(town.world.facts, 1):
        heard = town.heard[:, f]
        times = np.sort(heard[heard != NEVER])
        table[fact.name] = np.searchsorted(times, ends)  # how many times lie before
    return pd.DataFrame(table)


def chains(town: Town, fact: str) -> dict[int, Chain]:
    """Return the chain of links from the source to each person whom the log lets know.

    Of several chains, the first in time; of two in one hour, the one told by the lower
    id. Whoever hears something in an hour can pass it on from the next hour.
    """
    source = town.world.sources[town.world.fact_number(fact)]
    known: dict[int, Chain] = {}
    if source in town.ids:
        known[source] = (Link(source, 0),)
    for hour, teller, hearer in _tellings(town, fact):
        if hearer in known or teller not in known:
            continue
        learned = known[teller][-1].hour
        if teller == source or learned < hour:
            known[hearer] = (*known[teller], Link(hearer, hour))
    return known


def _tellings(town: Town, fact: str) -> list[list[int]]:
    """Return [hour, teller, hearer] for each time a fact was told, in order."""
    f = town.world.fact_number(fact)
    log = town.log
    by_first = log[log[:, LogColumn.FIRST_TOPIC] == f]
    by_second = log[log[:, LogColumn.SECOND_TOPIC] == f]
    forth = by_first[:, [LogColumn.HOUR, LogColumn.FIRST, LogColumn.SECOND]]
    back = by_second[:, [LogColumn.HOUR, LogColumn.SECOND, LogColumn.FIRST]]
    told = np.concatenate([forth, back])
    hour = told[:, 0]
    teller = told[:, 1]
    tellings: list[list[int]] = told[np.lexsort((teller, hour))].tolist()
    return tellings


def audit(town: Town, fact: str) -> pd.DataFrame:
    """Return a row for everybody who claims to know a fact, proved or not.

    A claim is an hour of first hearing, or a memory of being told. It is proved if the
    log holds a chain of talks from the source that ends at the claimed hour; a claim
    without one is a hallucination. Columns: person, hour first heard, links from the
    source (-1 without a chain), chain in names, proved.
    """
    f = town.world.fact_number(fact)
    known = chains(town, fact)
    told = (town.memory.topic == f) & (town.memory.kind == HEARD)
    claims = (town.heard[:, f] != NEVER) | told.any(0)
    rows = []
    for row in np.flatnonzero(claims):
        person = int(town.ids[row])
        hour = int(town.heard[row, f])
        chain = known.get(person, ())
        rows.append(
            {
                "person": town.world.name_of(person),
                "hour": hour,
                "links": len(chain) - 1,
                "chain": " > ".join(town.world.name_of(link.person) for link in chain),
                "proved": chain[-1:] == (Link(person, hour),),
            }
        )
    columns = ["person", "hour", "links", "chain", "proved"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(["hour", "person"], ignore_index=True)


def density(n: int, edges: Iterable[Edge]) -> float:
    """Return 2E / (n (n - 1)), the share of pairs that are tied.

    An edge may be given in either direction and more than once. Raises ValueError for
    n below 2.

    >>> density(4, [(0, 1), (1, 0), (2, 3)])
    0.3333333333333333
    """
    n = whole_number("n", n, least=2)
    distinct = {_ordered(a, b) for a, b in edges if a != b}
    return 2 * len(distinct) / (n * (n - 1))


def networks(town: Town) -> Networks:
    """Return the pairs who are close at the start, and with them those who talked."""
    size = len(town.world.people)
    tied = np.argwhere(np.triu(town.world.close)).tolist()
    present = set(town.ids.tolist())
    before = set()
    for number in range(town.towns):
        for a, b in tied:
            pair = (number * size + a, number * size + b)
            if present.issuperset(pair):
                before.add(pair)
    return Networks(before, before | pairs_who_talked(town))


def pairs_who_talked(town: Town) -> set[Edge]:
    """Return the pairs of ids, the lower first, that have talked at least once."""
    talked = town.log[:, [LogColumn.FIRST, LogColumn.SECOND]].tolist()
    return {_ordered(a, b) for a, b in talked}


def _ordered(a: int, b: int) -> Edge:
    return min(a, b), max(a, b)
