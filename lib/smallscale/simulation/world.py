"""Who lives here, and where do they spend the day? A made-up town: places, 25 people, two pieces of news.

Everybody and everything in it is invented. A country is this town again and again: person i of a country lives in
town i // 25 and is there the person i % 25, with the same age, job, habits and friends.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

PUBLIC = ("café", "park", "shop", "library", "school", "clinic", "workshop", "town hall")
GO = ("home", "work", "café", "park", "shop", "library")  # where a free person can decide to go
ROUTINE = {".": "home", "h": "home", "w": "work", "c": "café", "p": "park", "s": "shop", "l": "library"}
TONES = ("quiet", "even", "chatty")
MOST_FACTS = 26 - 1 - len(PUBLIC) - 1  # a topic each: nothing, the facts, the public places, home
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


def _people(table: str) -> tuple[Person, ...]:
    """A line for each person, its fields in their order between bars; friends, if any, last."""
    rows: list[list[Any]] = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
    for row in rows:
        row[1], row[-1] = int(row[1]), tuple(filter(None, row[-1:]))
    return tuple(Person(*row) for row in rows)


PEOPLE = _people("""
Ada Brandt      | 41 | baker          | chatty | 1 Mill Lane    | café      | .....wwwwwwwwhpphhhhh... | Rosa Lima
Emil Brandt     | 44 | carpenter      | quiet  | 1 Mill Lane    | workshop  | ......hwwwwwcwwwwwshhh.. |
Noor Brandt     | 15 | pupil          | even   | 1 Mill Lane    | school    | ......hhwwwwwwwpplhhhh.. | Ilya Sand
Bo Lindqvist    | 52 | innkeeper      | chatty | 2 Mill Lane    | café      | .......hwwwwwwwwwwwwwwh. | Omar Haddad
Greta Lindqvist | 49 | nurse          | even   | 2 Mill Lane    | clinic    | ......hwwwwwwwwwscphhh.. |
Ines Moreau     | 58 | lawyer         | chatty | 3 Mill Lane    | town hall | ......hcwwwwwcwwwwlhhh.. | Ada Brandt
Paul Moreau     | 61 | teacher        | even   | 3 Mill Lane    | school    | ......hwwwwwwwwwlcphhh.. |
Omar Haddad     | 37 | grocer         | chatty | 4 Mill Lane    | shop      | .....hhwwwwwcwwwwwwhhh.. | Kofi Mensah
Leila Haddad    | 35 | physician      | even   | 4 Mill Lane    | clinic    | ......hwwwwwcwwwwwphhh.. |
Sami Haddad     | 9  | pupil          | chatty | 4 Mill Lane    | school    | .......hwwwwwwpphhhh.... | Ilya Sand
Rosa Lima       | 67 | pensioner      | chatty | 5 Church Row   | home      | ......hhscchhhppclhhh... | Viktor Sand
Viktor Sand     | 71 | pensioner      | quiet  | 6 Church Row   | home      | ......hhppllchhhppphh... |
Ilya Sand       | 13 | pupil          | even   | 6 Church Row   | school    | ......hhwwwwwwwpppshhh.. |
Maya Okoro      | 29 | librarian      | even   | 7 Church Row   | library   | ......hhcwwwwwwwwwcphhh. | Tuva Berg
Kofi Mensah     | 33 | mechanic       | even   | 7 Church Row   | workshop  | ......hwwwwwcwwwwwcchhh. |
Tuva Berg       | 31 | potter         | quiet  | 8 Church Row   | workshop  | .......hcwwwwwwwwwpshhh. | Jun Park
Jun Park        | 27 | clerk          | even   | 8 Church Row   | town hall | ......hcwwwwwcwwwwlchhh. |
Hana Sato       | 45 | gardener       | quiet  | 9 Church Row   | park      | .....hwwwwwwcwwwwshhh... | Wim Maes
Wim Maes        | 47 | postman        | chatty | 9 Church Row   | town hall | .....hwwwwwwwwscphhhh... |
Clara Maes      | 19 | shop assistant | chatty | 9 Church Row   | shop      | .......hwwwwwcwwwwwchhh. | Dario Costa
Dario Costa     | 22 | waiter         | even   | 10 Quay Street | café      | ........hhwwwwwwwwwwwwh. | Jun Park
Marta Costa     | 54 | headmistress   | even   | 10 Quay Street | school    | ......hwwwwwwwwwwlshhh.. | Ines Moreau
Yusuf Demir     | 39 | writer         | quiet  | 11 Quay Street | home      | .......hcclllhwwwpphhh.. | Maya Okoro
Anouk Demir     | 38 | pharmacist     | even   | 11 Quay Street | clinic    | ......hwwwwwcwwwwwslhh.. | Leila Haddad
Finn Olsen      | 64 | fisherman      | quiet  | 12 Quay Street | home      | ....hppppshcchhhpphh.... | Bo Lindqvist
""")
FACTS = (
    Fact("candidacy", "Ines Moreau is standing for mayor", "Ines Moreau", 7),
    Fact("party", "there is a party in the café on Tuesday at five", "Bo Lindqvist", 8, "café", (41, 43)),
)


@dataclass(frozen=True, eq=False, repr=False)
class World:
    """People and news, checked, and the arrays that a step reads: all read-only, W people, F facts.

    People are put in order of their names, so that the order in which they are given makes no difference.
    Raises ValueError, one line, for a person twice, an unknown place or friend, a routine that is not 24 known
    letters, and news that nobody could tell or that happens nowhere.
    """

    people: tuple[Person, ...] = PEOPLE
    facts: tuple[Fact, ...] = FACTS
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        people = tuple(sorted(self.people, key=lambda person: person.name))
        names = tuple(person.name for person in people)
        object.__setattr__(self, "people", people)
        object.__setattr__(self, "names", names)
        if not people:
            raise ValueError("people must be at least one; got none")
        if len(self.facts) > MOST_FACTS:
            raise ValueError(f"facts must be at most {MOST_FACTS}, a letter for each topic; got {len(self.facts)}")
        for person in people:
            _check_person(person, names)
        for fact in self.facts:
            _check_fact(fact, names)
        known = [fact.name for fact in self.facts]
        if len(set(known)) < len(known):
            raise ValueError(f"each fact needs a name of its own; got {', '.join(known)}")

    @cached_property
    def topics(self) -> tuple[str, ...]:
        """What a memory can be about: 0 nothing, then the facts, then the public places and homes."""
        return ("nothing", *(f"the {fact.name}" for fact in self.facts), *(f"the {p}" for p in PUBLIC), "home")

    @cached_property
    def homes(self) -> tuple[str, ...]:
        return tuple(sorted({person.home for person in self.people}))

    @property
    def slots(self) -> int:
        """Places in a town: the public ones, then the homes."""
        return len(PUBLIC) + len(self.homes)

    @cached_property
    def awake(self) -> np.ndarray:
        """(W, 24) of bool."""
        return _fixed([[letter != "." for letter in person.routine] for person in self.people])

    @cached_property
    def plan(self) -> np.ndarray:
        """(W, 24): the position in GO of where the routine has each person."""
        return _fixed([[GO.index(ROUTINE[letter]) for letter in person.routine] for person in self.people])

    @cached_property
    def slot(self) -> np.ndarray:
        """(W, 6): the place in the town that each entry of GO means for each person."""
        rows = []
        for person in self.people:
            home = len(PUBLIC) + self.homes.index(person.home)
            work = home if person.work == "home" else PUBLIC.index(person.work)
            rows.append([home, work, *(PUBLIC.index(name) for name in GO[2:])])
        return _fixed(rows)

    @cached_property
    def close(self) -> np.ndarray:
        """(W, W) of bool: family, colleagues and friends, both ways."""
        people = self.people
        ties = [
            [
                a is not b
                and (a.home == b.home or (a.work == b.work != "home") or b.name in a.friends or a.name in b.friends)
                for b in people
            ]
            for a in people
        ]
        return _fixed(ties)

    @cached_property
    def importance(self) -> np.ndarray:
        """(topics,): of a memory of hearing about each topic, 1 to 10."""
        return _fixed([0, *(fact.importance for fact in self.facts), *[2] * (len(PUBLIC) + 1)]).astype(np.int8)

    def to_json(self) -> dict[str, Any]:
        return {"people": [asdict(person) for person in self.people], "facts": [asdict(fact) for fact in self.facts]}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "World":
        people = [Person(**{**each, "friends": tuple(each["friends"])}) for each in record["people"]]
        facts = [Fact(**{**each, "hours": tuple(each["hours"])}) for each in record["facts"]]
        return cls(tuple(people), tuple(facts))


def town_of(people: Iterable[Person]) -> World:
    """A world of these people, with the news that somebody among them knows."""
    people = tuple(people)
    for person in people:
        if not isinstance(person, Person):
            raise ValueError(f"people must be a number or Persons; got a {type(person).__name__} among them")
    names = {person.name for person in people}
    return World(people, tuple(fact for fact in FACTS if fact.source in names))


def _check_person(person: Person, names: tuple[str, ...]) -> None:
    name = person.name
    if names.count(name) > 1:
        raise ValueError(f"{name} is there twice; each person needs a name of their own")
    if person.work not in ("home", *PUBLIC):
        raise ValueError(f"{name} works at an unknown place, {person.work!r}; known are home, {', '.join(PUBLIC)}")
    if person.tone not in TONES:
        raise ValueError(f"{name}'s tone must be one of {', '.join(TONES)}; got {person.tone!r}")
    wrong = set(person.routine) - set(ROUTINE)
    if len(person.routine) != DAY or wrong:
        raise ValueError(f"{name}'s routine must be 24 letters of {''.join(ROUTINE)}; got {person.routine!r}")
    for friend in person.friends:
        if friend not in names or friend == name:
            raise ValueError(f"{name} has a friend who does not live here, {friend!r}; name somebody else of the town")


def _check_fact(fact: Fact, names: tuple[str, ...]) -> None:
    if fact.source not in names:
        raise ValueError(f"the {fact.name} is known to {fact.source!r}, who does not live here")
    if not 1 <= fact.importance <= 10:
        raise ValueError(f"the {fact.name}'s importance must be 1 to 10; got {fact.importance}")
    if fact.place and fact.place not in PUBLIC:
        raise ValueError(f"the {fact.name} is at an unknown place, {fact.place!r}; known are {', '.join(PUBLIC)}")
    if fact.place and not 0 <= fact.hours[0] < fact.hours[1]:
        raise ValueError(f"the {fact.name}'s hours must be a start and a later end; got {fact.hours}")


def _fixed(rows: list[Any]) -> np.ndarray:
    array = np.array(rows)
    array.setflags(write=False)
    return array
