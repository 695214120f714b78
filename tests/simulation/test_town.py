"""The town: the rules against one person at a time, order, luck and resuming."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plain_town import Country, Resident
from smallscale.simulation import Town, World
from smallscale.simulation.memory import THOUGHT
from smallscale.simulation.world import PEOPLE


@pytest.mark.parametrize(
    ("people", "settings"),
    [
        (25, {}),
        (25, {"seed": 3}),
        (25, {"seed": 3, "memory": 5}),
        (25, {"seed": 2, "planning": False}),
        (25, {"seed": 4, "memory": 2}),  # fewer than one can notice in an hour
        (25, {"reflection": False}),
        (25, {"seed": 1, "memory": 24}),
        (60, {"seed": 5}),  # two towns and a part of a third
    ],
)
def test_arrays_do_what_the_rules_say_one_person_at_a_time(
    people: int, settings: dict[str, Any]
) -> None:
    country = Country(people, **settings)
    town = Town(people, **settings)
    for _ in range(50):
        country.hour()
        town.run(1)
        assert [r.place for r in country.residents] == town.place.tolist()
        assert sorted(country.log) == sorted(map(tuple, town.log.tolist()))
        for row, resident in enumerate(country.residents):
            assert resident.trigger == town.trigger[row]
            assert_the_same_memories(resident, town, row)
            assert_the_same_news(resident, town, row)


def assert_the_same_memories(resident: Resident, town: Town, row: int) -> None:
    assert resident.made == town.memory.count[row]
    for memory in resident.memories:
        at = memory.serial % town.memory.slots, row
        for field in ("kind", "topic", "subject", "importance", "accessed"):
            assert getattr(town.memory, field)[at] == getattr(memory, field)
        if memory.kind == THOUGHT:
            assert tuple(town.memory.evidence[at]) == memory.evidence


def assert_the_same_news(resident: Resident, town: Town, row: int) -> None:
    for f in (1, 2):
        heard = town.heard[row, f], town.told_by[row, f]
        assert heard == resident.heard.get(f, (-1, -1))
        assert town.means[row, f] == (f in resident.means)
        assert town.attended[row, f] == (f in resident.attended)


# Digests of towns as they were when the rules were first written down. Another digest
# means that a town lives otherwise, or that its checkpoints mean something else.
PINNED = {
    "53decad8c8d3fbe3de82b44448ed34c3a9eb0db470d1fdaca76bca23a297f3c6": (48, {}),
    "8d138506592661fe7c812183e073fea2cadeb8ee512b33acffe6b4f203cdfb5c": (
        48,
        {"seed": 3, "memory": 24},
    ),
    "85643ef825dd68f47aaabfdd5c94da00bbe9e78c42f7e035f02f3f90771ea5ca": (
        48,
        {"seed": 3, "memory": 5},
    ),
    "9e2a7d8b32f3a6ed9c0ec6bdae38dd8b1cfd6103186ba60904bb795f35ee4b89": (
        48,
        {"seed": 2, "planning": False},
    ),
    "8055a8b92c691111ee5f004c0d55591a57b4a15feb5911f991a169e50259edf9": (
        48,
        {"reflection": False},
    ),
    "9f212bc28deccaf7d9d6db0aed86143029780294095c03eda07779c667339203": (
        48,
        {"seed": 7, "rule": "code"},
    ),
    "6ba29d3ab67d4b5c392746c71ce53e3abb44577a2f9ff9b9c364fd31af8f0d4c": (
        30,
        {"people": 130, "seed": 3},
    ),
}


@pytest.mark.parametrize("digest", PINNED)
def test_towns_live_as_they_always_did(digest: str) -> None:
    steps, settings = PINNED[digest]
    assert Town(**settings).run(steps).digest() == digest


def test_a_night_is_quiet_and_a_day_is_not() -> None:
    town = Town().run(4)
    assert len(town.log) == 0
    assert (town.place >= 8).all(), "everybody is at home"
    assert len(town.run(20).log) > 20


def permuted(town: Town, order: np.ndarray) -> Town:
    """The same town, its people in other rows."""
    town.assign_ids(town.ids[order])
    for name in ("place", "means", "attended", "heard", "told_by", "trigger"):
        setattr(town, name, getattr(town, name)[order])
    for name, array in vars(town.memory).items():
        if isinstance(array, np.ndarray):
            setattr(
                town.memory,
                name,
                array[order] if name == "count" else array.take(order, 1),
            )
    return town


@given(st.integers(0, 1000), st.booleans())
@settings(max_examples=15)
def test_the_order_of_people_does_not_matter(seed: int, planning: bool) -> None:
    order = np.random.default_rng(seed).permutation(70)
    straight = Town(70, seed=seed, planning=planning).run(30).run(15)
    mixed = permuted(Town(70, seed=seed, planning=planning).run(30), order).run(15)
    assert {tuple(row) for row in mixed.log.tolist()} == {
        tuple(row) for row in straight.log.tolist()
    }
    mixed.log = straight.log
    assert permuted(mixed, np.argsort(order)).digest() == straight.digest()


def test_people_in_another_order_are_saved_in_it(tmp_path: Path) -> None:
    town = permuted(Town(70, seed=1).run(9), np.random.default_rng(0).permutation(70))
    town.save(tmp_path / "t")
    assert Town.load(tmp_path / "t").run(9).digest() == town.run(9).digest()


def test_the_order_in_which_people_are_given_does_not_matter() -> None:
    digests = {
        Town(people).run(20).digest() for people in (PEOPLE, PEOPLE[::-1], 25, World())
    }
    assert len(digests) == 1


def test_blocks_and_threads_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Town(130, seed=3).run(30).digest()
    monkeypatch.setattr("smallscale.simulation.blocks.BLOCK", 7)
    assert Town(130, seed=3).run(30).digest() == whole


def test_seeds_differ_and_repeat() -> None:
    digests = [Town(seed=seed).run(12).digest() for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


def test_switches_change_the_run_and_people_without_news_live_too() -> None:
    base = Town().run(48).digest()
    for changed in (
        {"memory": 8},
        {"reflection": False},
        {"planning": False},
        {"rule": "code"},
    ):
        assert Town(**changed).run(48).digest() != base
    assert Town(1).run(48).step == 48
    nobody = Town([replace(PEOPLE[0], friends=())])
    assert nobody.world.facts == ()
    assert len(nobody.run(48).log) == 0


def test_resuming_in_a_new_process_is_going_on(tmp_path: Path) -> None:
    path = tmp_path / "town.safetensors"
    town = Town(60, seed=4)
    town.run(31).save(path)
    code = (
        "from smallscale.simulation import Town; "
        f"print(Town.load({str(path)!r}).run(17).digest())"
    )
    resumed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert (
        resumed.stdout.strip()
        == town.run(17).digest()
        == Town(60, seed=4).run(48).digest()
    )


@pytest.mark.parametrize(
    "changed",
    [{"memory": 7}, {"reflection": False}, {"planning": False}, {"rule": "code"}],
)
def test_settings_and_people_come_back(changed: dict[str, Any], tmp_path: Path) -> None:
    town = Town([replace(p, friends=()) for p in PEOPLE[3:9]], seed=9, **changed).run(
        20
    )
    town.save(tmp_path / "t")
    assert Town.load(tmp_path / "t").run(20).digest() == town.run(20).digest()


def everything(town: Town) -> list[np.ndarray]:
    """Return every array that the town and its memory hold."""
    follow_from_ids = ("who", "town")
    own = [value for name, value in vars(town).items() if name not in follow_from_ids]
    values = [*own, *vars(town.memory).values()]
    return [value for value in values if isinstance(value, np.ndarray)]


def test_any_change_of_state_changes_the_digest() -> None:
    town = Town().run(20)
    seen = {town.digest()}
    for array in everything(town):
        for place in {0, array.size - 1}:
            old = array.flat[place]
            array.flat[place] = not old if array.dtype == bool else old + 1
            seen.add(digest := town.digest())
            assert len(seen) > 1
            array.flat[place] = old
            assert town.digest() != digest
    assert len(seen) == 1 + sum(2 for _ in everything(town))
    changes: list[Callable[[], Any]] = [
        lambda: setattr(town, "step", 21),
        lambda: town.answers.counts.update(["asked"]),
        lambda: town.answers.weights["talk"].__setitem__((0, 0), 0.5),
        lambda: town.answers.codes["go"].__setitem__(0, 5),
        lambda: setattr(town, "seed", 1),
    ]
    for change in changes:
        change()
        assert town.digest() not in seen
        seen.add(town.digest())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"people": 0}, "people must be a whole number, at least 1; got 0"),
        ({"people": True}, "people must be a whole number"),
        ({"people": 25.0}, "people must be a whole number, at least 1; got 25.0"),
        ({"people": None}, "people must be a whole number"),
        ({"people": []}, "people must be at least one"),
        ({"people": ["Ada"]}, "people must be a number or Persons; got a str"),
        ({"seed": -1}, "seed must be a whole number, at least 0"),
        ({"seed": 0.5}, "seed must be a whole number"),
        ({"memory": 0}, "memory must be a whole number, at least 1"),
        ({"reflection": 1}, "reflection must be True or False; got 1"),
        ({"planning": None}, "planning must be True or False; got None"),
        ({"rule": "best"}, "rule must be one of paper, code; got 'best'"),
        (
            {"brain": "llm"},
            'brain must be "scripted" or an object with a name and answer',
        ),
        ({"brain": object()}, "brain must be"),
    ],
)
def test_a_town_that_cannot_be_says_why(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Town(**arguments)


@pytest.mark.parametrize("steps", [-1, 1.0, True])
def test_steps_that_cannot_be_say_why(steps: Any) -> None:
    with pytest.raises(ValueError, match="steps must be a whole number, at least 0"):
        Town().run(steps)
