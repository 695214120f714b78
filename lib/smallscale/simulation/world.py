"""Who lives here, and where do they spend the day? A made-up town: places, 25 people, two pieces of news.

Everybody and everything in it is invented, and written in `town.json`. A country is this town again and again: person
i of a country lives in town i // 25 and is there the person i % 25, with the same age, job, habits and friends.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from smallscale.simulation.checks import one_of, require

PUBLIC = (
    "café",
    "park",
    "shop",
    "library",
    "school",
    "clinic",
    "workshop",
    "town hall",
)
GO = ("home", "work", *PUBLIC[:4])  # where a free person can decide to go
ROUTINE = {
    ".": "home",
    "h": "home",
    "w": "work",
    "c": "café",
    "p": "park",
    "s": "shop",
    "l": "library",
}
TONES = ("quiet", "even", "chatty")
MOST_FACTS = (
    26 - 1 - len(PUBLIC) - 1
)  # a topic each: nothing, the facts, the public places, home
DAY = 24  # steps: one is an hour


@dataclass(frozen=True)
class Person:
    """home: a household's address; work: a public place, or "home". routine: a letter for each hour from midnight:

    . asleep, h at home, w at work, c in the café, p in the park, s in the shop, l in the library.
    """

    name: str
    age: int
    job: str
    tone: str
    home: str
    work: str
    routine: str
    friends: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fact:
    """A piece of news that one person of the first town knows at the start.

    words: how it is told; importance: 1 to 10; place, hours: where and from when to when it happens, counted in
    hours from the first midnight, for something one can go to.
    """

    name: str
    words: str
    source: str
    importance: int
    place: str = ""
    hours: tuple[int, int] = (0, 0)


def _read(kind: type, records: list[dict[str, Any]]) -> tuple[Any, ...]:
    """People or facts from JSON, whose lists become tuples again."""
    return tuple(
        kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in each.items()})
        for each in records
    )


WRITTEN = json.loads(Path(__file__).with_name("town.json").read_text(encoding="utf-8"))
PEOPLE: tuple[Person, ...] = _read(Person, WRITTEN["people"])
FACTS: tuple[Fact, ...] = _read(Fact, WRITTEN["facts"])


class World:
    """People and news, checked, and the arrays that a step reads: W people, F facts.

    facts: by default the written ones that somebody among these people knows. People are put in order of their names,
    so that the order in which they are given makes no difference. Raises ValueError, one line, for a person twice, an
    unknown place or friend, a routine that is not 24 known letters, and news that nobody could tell or that happens
    nowhere.

    topics: what a memory can be about, 0 nothing, then the facts, then the public places and homes; importance
    (topics,) of hearing about each, 1 to 10. places: of a town, the public ones, then the homes. By fact, from 1 as in
    topics: sources, who knows it at the start, and venue, the position in places. By person: awake (W, 24) of bool;
    plan (W, 24), the position in GO of where the routine has them; slot (W, 6), the position in places that each entry
    of GO means for them. close (W, W) of bool: family, colleagues and friends, both ways.
    """

    def __init__(
        self, people: Iterable[Person] = PEOPLE, facts: Iterable[Fact] | None = None
    ) -> None:
        people = list(people)
        for each in people:
            require(
                isinstance(each, Person),
                f"people must be a number or Persons; got a {type(each).__name__}",
            )
        people.sort(key=lambda person: person.name)
        self.people, self.names = tuple(people), [person.name for person in people]
        self.facts = (
            tuple(fact for fact in FACTS if fact.source in self.names)
            if facts is None
            else tuple(facts)
        )
        self._check()
        self.homes = sorted({person.home for person in people})
        self.places = (*PUBLIC, *self.homes)
        self.topics = (
            "nothing",
            *(f"the {name}" for name in (*(fact.name for fact in self.facts), *PUBLIC)),
            "home",
        )
        self.importance = np.array(
            [0, *(fact.importance for fact in self.facts), *[2] * (len(PUBLIC) + 1)],
            np.int8,
        )
        self.sources = [-1, *(self.names.index(fact.source) for fact in self.facts)]
        self.venue = np.array(
            [
                -1,
                *(
                    PUBLIC.index(fact.place) if fact.place else -1
                    for fact in self.facts
                ),
            ]
        )
        self.awake = np.array(
            [[letter != "." for letter in person.routine] for person in people]
        )
        self.plan = np.array(
            [
                [GO.index(ROUTINE[letter]) for letter in person.routine]
                for person in people
            ]
        )
        home = [len(PUBLIC) + self.homes.index(person.home) for person in people]
        work = [
            own if who.work == "home" else PUBLIC.index(who.work)
            for who, own in zip(people, home, strict=True)
        ]
        self.slot = np.array(
            [
                [own, job, *range(len(GO) - 2)]
                for own, job in zip(home, work, strict=True)
            ]
        )
        friends = np.array(
            [[name in person.friends for name in self.names] for person in people]
        )
        self.close = (
            np.equal.outer(home, home)
            | np.equal.outer(work, work)
            | friends
            | friends.T
        )
        np.fill_diagonal(self.close, False)

    def _check(self) -> None:
        names, public, known = (
            self.names,
            ", ".join(PUBLIC),
            [fact.name for fact in self.facts],
        )
        require(names, "people must be at least one; got none")
        for person in self.people:
            who = person.name
            require(
                names.count(who) == 1,
                f"{who} is there twice; each person needs a name of their own",
            )
            one_of(f"{who}'s tone", person.tone, TONES)
            if person.work not in ("home", *PUBLIC):
                raise ValueError(
                    f"{who} works at an unknown place, {person.work!r}; known are home, {public}"
                )
            if len(person.routine) != DAY or not set(person.routine) <= set(ROUTINE):
                raise ValueError(
                    f"{who}'s routine must be 24 letters of {''.join(ROUTINE)}; got {person.routine!r}"
                )
            for friend in sorted(set(person.friends) - (set(names) - {who})):
                raise ValueError(
                    f"{who} has a friend who does not live here, {friend!r}; name somebody else who does"
                )
        require(
            len(known) <= MOST_FACTS,
            f"facts must be at most {MOST_FACTS}, a letter each; got {len(known)}",
        )
        require(
            len(set(known)) == len(known),
            f"each fact needs a name of its own; got {', '.join(known)}",
        )
        for fact in self.facts:
            news, value, source = f"the {fact.name}", fact.importance, fact.source
            require(
                source in names,
                f"{news} is known to {source!r}, who does not live here",
            )
            require(
                1 <= value <= 10, f"{news}'s importance must be 1 to 10; got {value}"
            )
            if fact.place:
                require(
                    fact.place in PUBLIC,
                    f"{news} is at an unknown place, {fact.place!r}; known are {public}",
                )
                begin, end = fact.hours
                require(
                    0 <= begin < end,
                    f"{news}'s hours must be a start and a later end; got {begin}, {end}",
                )

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `from_json`."""
        return {
            "people": [asdict(person) for person in self.people],
            "facts": [asdict(fact) for fact in self.facts],
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Self:
        """The world that `to_json` told of."""
        return cls(_read(Person, record["people"]), _read(Fact, record["facts"]))
