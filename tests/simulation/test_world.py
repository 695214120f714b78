"""The people and the news: the file they are in, the arrays, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smallscale.simulation import Person, Town, World, world
from smallscale.simulation.world import (
    DESTINATIONS,
    FACTS,
    PEOPLE,
    ROUTINE_LETTERS,
    clock,
    read_town,
)

TOWN = Path(world.__file__).with_name("town.json")


def test_the_file_is_read_by_names_alone(tmp_path: Path) -> None:
    """A formatter that sorts the keys changes nothing."""
    town = json.loads(TOWN.read_text(encoding="utf-8"))
    formatted = tmp_path / "town.json"
    formatted.write_text(json.dumps(town, sort_keys=True), encoding="utf-8")
    assert formatted.read_text(encoding="utf-8").startswith('{"facts"')
    assert read_town(formatted) == (PEOPLE, FACTS)


def test_a_world_comes_back_from_json() -> None:
    told = json.loads(json.dumps(World().to_json(), sort_keys=True))
    again = World.from_json(told)
    assert again.people == World().people
    assert again.facts == FACTS


def test_routines_say_where_people_are() -> None:
    made = World()
    for row, person in enumerate(made.people):
        for hour, letter in enumerate(person.routine):
            assert made.awake[row, hour] == (letter != ".")
            destination = DESTINATIONS[made.plan[row, hour]]
            assert destination == ROUTINE_LETTERS[letter]


def test_a_destination_is_a_place_of_the_person() -> None:
    made = World()
    for row, person in enumerate(made.people):
        means = [made.places[slot] for slot in made.slot[row]]
        work = person.home if person.work == "home" else person.work
        assert means == [person.home, work, "café", "park", "shop", "library"]


def test_ties_are_homes_work_and_friends_in_both_directions() -> None:
    people = [
        replace(ADA, name="A", friends=("D",)),
        replace(ADA, name="B", work="shop"),  # lives with A
        replace(ADA, name="C", home="elsewhere"),  # works with A
        replace(ADA, name="D", home="far", work="home"),  # A's friend
        replace(ADA, name="E", home="farther", work="home"),
    ]
    assert World(people).close.astype(int).tolist() == [
        [0, 1, 1, 1, 0],
        [1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]


def test_hours_and_ids_in_words() -> None:
    assert clock(0) == "Monday 00:00"
    assert clock(41) == "Tuesday 17:00"
    assert clock(24 * 7 + 5) == "Monday 05:00"
    made = World()
    assert made.name_of(2) == "Bo Lindqvist"
    assert made.name_of(25 + 2) == "Bo Lindqvist of town 2"
    assert made.fact_number("candidacy") == 1
    assert made.fact_number("party") == 2


ADA = Person("Ada", 40, "baker", "even", "1 Mill Lane", "café", "." * 24)


@pytest.mark.parametrize(
    ("people", "message"),
    [
        ([ADA, replace(ADA, age=5)], "Ada is there twice"),
        ([ADA, replace(ADA, name=" Ada ")], "Ada +is there twice"),
        (
            [replace(ADA, name="Zo\u00eb"), replace(ADA, name="Zoe\u0308")],
            "is there twice; each person needs a name of their own",
        ),
        ([replace(ADA, name="")], "name must be text with a letter in it; got ''"),
        ([replace(ADA, name=" \n ")], "name must be text with a letter in it"),
        ([replace(ADA, name=3)], "name must be text with a letter in it; got 3"),
        ([replace(ADA, name="A\ud800")], "name must be whole Unicode letters"),
        (
            [replace(ADA, work="mine")],
            "Ada's work must be one of home, café, .*; got 'mine'",
        ),
        ([replace(ADA, routine="." * 23)], "Ada's routine must be 24 letters"),
        (
            [replace(ADA, routine="x" * 24)],
            "Ada's routine must be 24 letters of .hwcpsl",
        ),
        ([replace(ADA, tone="loud")], "tone must be one of quiet, even, chatty"),
        ([replace(ADA, friends=("Bo",))], "a friend who does not live here, Bo"),
    ],
)
def test_people_who_cannot_be_say_why(people: list[Person], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Town(people)


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        (replace(FACTS[1], source="Zeus"), "known to 'Zeus', who does not live here"),
        (
            replace(FACTS[1], place="moon"),
            "the party's place must be one of café, .*; got 'moon'",
        ),
        (replace(FACTS[1], hours=(5, 5)), "a start and a later end"),
        (
            replace(FACTS[1], importance=11),
            "importance must be a whole number, at least 1 and at most 10",
        ),
        (replace(FACTS[1], name="candidacy"), "a name of its own"),
    ],
)
def test_news_that_cannot_be_says_why(fact: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        World(facts=(FACTS[0], fact))
