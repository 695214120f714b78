"""Who lives here, and where do they spend the day? A made-up town and its news.

Everybody and everything in it is invented, and written in `town.json`: 25 people and
two pieces of news. A country is this town again and again: person i of a country lives
in town i // 25 and is there the person i % 25, with the same age, job, habits and
friends.
"""

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from smallscale.core.validation import one_of, require, shown, whole_number

PUBLIC_PLACES = (
    "café",
    "park",
    "shop",
    "library",
    "school",
    "clinic",
    "workshop",
    "town hall",
)
OUTINGS = PUBLIC_PLACES[:4]  # where people may go in their free time
DESTINATIONS = ("home", "work", *OUTINGS)  # what a person chooses from each hour
ROUTINE_LETTERS = {
    ".": "home",  # asleep
    "h": "home",
    "w": "work",
    "c": "café",
    "p": "park",
    "s": "shop",
    "l": "library",
}
TONES = ("quiet", "even", "chatty")
HOURS_IN_DAY = 24  # a step of the town is one hour
WEEKDAYS = (
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
)
SMALL_TALK_IMPORTANCE = 2  # of hearing about a place; of news it is the fact's own
MOST_FACTS = 26 - 1 - len(PUBLIC_PLACES) - 1  # a letter is kept for nothing, and home


@dataclass(frozen=True)
class Person:
    """One person: who they are, and where their routine has them in each hour of a day.

    home: a household's address. work: a public place, or "home". friends: names.
    routine: 24 letters of ROUTINE_LETTERS, one for each hour from midnight:
        . asleep   h at home   w at work   c café   p park   s shop   l library
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

    words: how it is told. source: the name of who knows it. importance: 1 to 10.
    place, hours: for an event that people can attend, where it is and its first hour
    and the hour after its last, counted from the first midnight.
    """

    name: str
    words: str
    source: str
    importance: int
    place: str = ""
    hours: tuple[int, int] = (0, 0)

    @property
    def is_event(self) -> bool:
        """Whether people can go to it."""
        return bool(self.place)

    def is_on(self, hour: int) -> bool:
        """Return whether it is an event that takes place in this hour."""
        begin, end = self.hours
        return self.is_event and begin <= hour < end


def _person(record: dict[str, Any]) -> Person:
    return Person(**{**record, "friends": tuple(record["friends"])})


def _fact(record: dict[str, Any]) -> Fact:
    return Fact(**{**record, "hours": tuple(record["hours"])})


def read_town(path: Path) -> tuple[tuple[Person, ...], tuple[Fact, ...]]:
    """Return the people and the facts of a JSON file such as town.json."""
    town = json.loads(path.read_text(encoding="utf-8"))
    people = tuple(_person(record) for record in town["people"])
    facts = tuple(_fact(record) for record in town["facts"])
    return people, facts


PEOPLE, FACTS = read_town(Path(__file__).with_name("town.json"))


class World:
    """The people and the news of a town, checked, as arrays that a step reads.

    people: they are put in the order of their names, so the order in which they are
    given makes no difference. facts: by default those of FACTS whose source is among
    the people. Raises ValueError for two people of one name, an unknown place or
    friend, a routine that is not 24 known letters, and news that nobody knows or that
    happens nowhere.

    Topics, what a memory can be about, are numbered: 0 nothing, then the F facts, the
    public places, and home. Arrays for W people:

    importance (topics,): of hearing about each topic, 1 to 10.
    places: names of the town's places, the public ones first, then the homes.
    sources (F + 1,): the person who knows each fact at the start, by fact from 1.
    venue (F + 1,): the position in places of each event, -1 for what is no event.
    awake (W, 24): bool. plan (W, 24): the position in DESTINATIONS, by the routine.
    slot (W, 6): the position in places that each of DESTINATIONS means for each person.
    close (W, W): bool, family, colleagues and friends, in both directions.

    >>> World().names[:2]
    ['Ada Brandt', 'Anouk Demir']
    """

    def __init__(
        self, people: Iterable[Person] = PEOPLE, facts: Iterable[Fact] | None = None
    ) -> None:
        self.people = _checked_people(people)
        self.names = [person.name for person in self.people]
        self._numbers = {plain_name(name): i for i, name in enumerate(self.names)}
        if facts is None:
            facts = [fact for fact in FACTS if plain_name(fact.source) in self._numbers]
        self.facts = _checked_facts(facts, list(self._numbers))
        self.homes = sorted({person.home for person in self.people})
        self.places = (*PUBLIC_PLACES, *self.homes)
        self._number_topics()
        self._lay_out_days()
        self._tie_people()

    def _number_topics(self) -> None:
        told = [f"the {fact.name}" for fact in self.facts]
        seen = [f"the {place}" for place in PUBLIC_PLACES]
        self.topics = ("nothing", *told, *seen, "home")
        news = [fact.importance for fact in self.facts]
        small_talk = [SMALL_TALK_IMPORTANCE] * (len(PUBLIC_PLACES) + 1)
        self.importance = np.array([0, *news, *small_talk], np.int8)
        self.sources = [-1, *(self.person_number(fact.source) for fact in self.facts)]
        self.venue = np.full(len(self.facts) + 1, -1)
        for f, fact in enumerate(self.facts, 1):
            if fact.is_event:
                self.venue[f] = PUBLIC_PLACES.index(fact.place)

    def _lay_out_days(self) -> None:
        awake = []
        plan = []
        slot = []
        for person in self.people:
            home = self.place_of(person, "home")
            places = [ROUTINE_LETTERS[letter] for letter in person.routine]
            awake.append([letter != "." for letter in person.routine])
            plan.append([DESTINATIONS.index(place) for place in places])
            work = home if person.work == "home" else self.place_of(person, "work")
            slot.append([home, work, *range(len(OUTINGS))])
        self.awake = np.array(awake)
        self.plan = np.array(plan)
        self.slot = np.array(slot)

    def _tie_people(self) -> None:
        home = self.slot[:, DESTINATIONS.index("home")]
        work = self.slot[:, DESTINATIONS.index("work")]
        friends = np.zeros((len(self.people), len(self.people)), bool)
        for row, person in enumerate(self.people):
            for friend in person.friends:
                friends[row, self.person_number(friend)] = True
        same_home = home[:, None] == home
        same_work = work[:, None] == work
        self.close = same_home | same_work | friends | friends.T
        np.fill_diagonal(self.close, False)

    def place_of(self, person: Person, destination: str) -> int:
        """Return the position in places of "home", "work" or a public place."""
        if destination == "work":
            destination = person.work
        if destination == "home":
            return len(PUBLIC_PLACES) + self.homes.index(person.home)
        return PUBLIC_PLACES.index(destination)

    def person_number(self, name: str) -> int:
        """Return the position of a person; ValueError for one who does not live here.

        The name may be padded, or its letters composed otherwise than in `names`.
        """
        plain = plain_name(name) if isinstance(name, str) else ""
        if plain not in self._numbers:
            one_of("person", name, self.names)
        return self._numbers[plain]

    def fact_number(self, fact: str) -> int:
        """Return the number of a fact, from 1; ValueError for one that nobody tells."""
        names = [each.name for each in self.facts]
        return names.index(one_of("fact", fact, names)) + 1

    def name_of(self, person_id: int) -> str:
        """Return the name of an id; beyond the first town with the town's number."""
        town, person = divmod(int(person_id), len(self.people))
        name = self.names[person]
        return f"{name} of town {town + 1}" if town else name

    def to_json(self) -> dict[str, Any]:
        """Return plain values, for `from_json`."""
        people = [asdict(person) for person in self.people]
        facts = [asdict(fact) for fact in self.facts]
        return {"people": people, "facts": facts}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Self:
        """Return the world that `to_json` described."""
        people = [_person(each) for each in record["people"]]
        facts = [_fact(each) for each in record["facts"]]
        return cls(people, facts)


def plain_name(name: str) -> str:
    """Return a name as it is compared: composed Unicode, single spaces, none around.

    >>> plain_name("  Zoe\u0308   Demir ")
    'Zoë Demir'
    """
    return " ".join(unicodedata.normalize("NFC", name).split())


def clock(hour: int) -> str:
    """Return the weekday and the time of an hour, counted from Monday at midnight.

    >>> clock(41)
    'Tuesday 17:00'
    """
    day, time = divmod(hour, HOURS_IN_DAY)
    return f"{WEEKDAYS[day % len(WEEKDAYS)]} {time:02d}:00"


def _checked_people(people: Iterable[Person]) -> tuple[Person, ...]:
    """Return the people in the order of their names, each checked."""
    given = list(people)
    require(given, "people must be at least one; got none")
    for each in given:
        kind = type(each).__name__
        message = f"people must be a number or Persons; got a {kind}"
        require(isinstance(each, Person), message)
        _check_name(each.name)
    names = [plain_name(person.name) for person in given]
    for person in given:
        _check_person(person, names)
    return tuple(sorted(given, key=lambda person: person.name))


def _check_name(name: Any) -> None:
    """Refuse a name that nobody could be called by in a reply."""
    refused = f"name must be text with a letter in it; got {shown(name)}"
    require(isinstance(name, str) and plain_name(name), refused)
    lone = any(unicodedata.category(letter) == "Cs" for letter in name)
    require(not lone, f"name must be whole Unicode letters; got {shown(name)}")


def _check_person(person: Person, names: list[str]) -> None:
    who = person.name
    repeated = f"{who} is there twice; each person needs a name of their own"
    require(names.count(plain_name(who)) == 1, repeated)
    one_of(f"{who}'s tone", person.tone, TONES)
    one_of(f"{who}'s work", person.work, ("home", *PUBLIC_PLACES))
    known = set(person.routine) <= set(ROUTINE_LETTERS)
    letters = "".join(ROUTINE_LETTERS)
    require(
        known and len(person.routine) == HOURS_IN_DAY,
        f"{who}'s routine must be 24 letters of {letters}; got {person.routine!r}",
    )
    others = set(names) - {plain_name(who)}
    friends = set(person.friends)
    strangers = sorted(name for name in friends if plain_name(name) not in others)
    require(
        not strangers,
        f"{who} has a friend who does not live here, {', '.join(strangers)}; "
        "name somebody else who does",
    )


def _checked_facts(facts: Iterable[Fact], names: list[str]) -> tuple[Fact, ...]:
    """Return the facts, each checked against the names of those who live here."""
    given = tuple(facts)
    count = len(given)
    limit = f"facts must be at most {MOST_FACTS}, a letter each; got {count}"
    require(count <= MOST_FACTS, limit)
    known = [fact.name for fact in given]
    unique = len(set(known)) == count
    require(unique, f"each fact needs a name of its own; got {', '.join(known)}")
    for fact in given:
        _check_fact(fact, names)
    return given


def _check_fact(fact: Fact, names: list[str]) -> None:
    news = f"the {fact.name}"
    lives_here = plain_name(fact.source) in names
    require(lives_here, f"{news} is known to {fact.source!r}, who does not live here")
    whole_number(f"{news}'s importance", fact.importance, least=1, most=10)
    if fact.is_event:
        one_of(f"{news}'s place", fact.place, PUBLIC_PLACES)
        begin, end = fact.hours
        hours = (
            f"{news}'s hours must be a start and a later end; got {shown(fact.hours)}"
        )
        require(0 <= begin < end, hours)
