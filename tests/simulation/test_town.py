"""The town: the rules against one person at a time, order, resuming, and checkpoints that cannot be."""

import json
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
from safetensors import safe_open
from safetensors.numpy import save_file

from benchmarks.plain_town import Country
from smallscale.simulation import Person, Town, World
from smallscale.simulation.counter_rng import bits, pick, uniform
from smallscale.simulation.memory import THOUGHT
from smallscale.simulation.world import FACTS, PEOPLE

# the rules


@pytest.mark.parametrize(
    ("people", "settings"),
    [
        (25, {}),
        (25, {"seed": 3}),
        (25, {"seed": 3, "memory": 5}),
        (25, {"seed": 2, "planning": False}),
        (25, {"seed": 4, "memory": 2}),  # fewer than one can notice in an hour
        (25, {"reflection": False}),
        (60, {"seed": 5}),  # two towns and a part of a third
    ],
)
def test_arrays_do_what_the_rules_say_one_person_at_a_time(
    people: int, settings: dict[str, Any]
) -> None:
    country, town = Country(people, **settings), Town(people, **settings)
    for _ in range(50):
        country.hour()
        town.run(1)
        assert [r.place for r in country.residents] == town.place.tolist()
        assert sorted(country.log) == sorted(map(tuple, town.log.tolist()))
        for i, resident in enumerate(country.residents):
            assert (resident.trigger, resident.made) == (
                town.trigger[i],
                town.memory.count[i],
            )
            for m in resident.memories:
                at = m.serial % town.memory.slots, i
                array = [
                    getattr(town.memory, name)[at]
                    for name in ("kind", "topic", "subject", "importance", "accessed")
                ]
                assert array == [m.kind, m.topic, m.subject, m.importance, m.accessed]
                assert (
                    m.kind != THOUGHT or tuple(town.memory.evidence[at]) == m.evidence
                )
            for f in (1, 2):
                assert (town.heard[i, f], town.told_by[i, f]) == resident.heard.get(
                    f, (-1, -1)
                )
                assert (town.means[i, f], town.attended[i, f]) == (
                    f in resident.means,
                    f in resident.attended,
                )


def test_a_night_is_quiet_and_a_day_is_not() -> None:
    town = Town().run(4)
    assert len(town.log) == 0
    assert (town.place >= 8).all(), "everybody is at home"
    assert len(town.run(20).log) > 20


def permuted(town: Town, order: np.ndarray) -> Town:
    """The same town, its people in other rows."""
    town._number(town.ids[order])
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
    monkeypatch.setattr("smallscale.simulation.memory.BLOCK", 7)
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


# chance


def test_chance_is_uniform_and_each_use_has_its_own() -> None:
    ids = np.arange(20_000)
    u = uniform(ids, 0, 5, "go")
    assert 0 <= u.min() < u.max() < 1
    assert np.histogram(u, 20, (0, 1))[0] == pytest.approx(
        1000, abs=150
    )  # five standard deviations
    others = [
        uniform(ids, 0, 6, "go"),
        uniform(ids, 1, 5, "go"),
        uniform(ids, 0, 5, "say"),
        uniform(ids + 1, 0, 5, "go"),
    ]
    for v in others:
        assert abs(np.corrcoef(u, v)[0, 1]) < 0.04
    assert len(np.unique(bits(ids, 0))) == len(ids)
    assert np.array_equal(uniform(ids[::-1], 0, 5, "go"), u[::-1])


def test_pick_takes_the_option_that_the_draw_falls_on() -> None:
    weights = np.array([[0, 1, 0], [0.5, 0.25, 0.25]])
    assert pick(
        weights, np.array([0, 0.49, 0.5, 0.75, 0.999]), np.ones(5, int)
    ).tolist() == [0, 0, 1, 2, 2]
    assert pick(weights, np.array([0, 0.999]), np.zeros(2, int)).tolist() == [1, 1]
    # Ten times a tenth is a little less than 1: even the largest draw falls on an option that weighs something.
    assert pick(
        np.array([[0.1] * 10 + [0]]), np.array([1 - 2.0**-53]), np.zeros(1, int)
    ).tolist() == [9]


# saving and resuming


def test_resuming_in_a_new_process_is_going_on(tmp_path: Path) -> None:
    path = tmp_path / "town.safetensors"
    town = Town(60, seed=4)
    town.run(31).save(path)
    code = f"from smallscale.simulation import Town; print(Town.load({str(path)!r}).run(17).digest())"
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
    own = {
        name: value for name, value in vars(town).items() if name not in ("who", "town")
    }  # which follow from the ids
    arrays = [value for value in own.values() if isinstance(value, np.ndarray)]
    return arrays + [
        value for value in vars(town.memory).values() if isinstance(value, np.ndarray)
    ]


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
    for change in (
        lambda: setattr(town, "step", 21),
        lambda: town.answers.counts.update(["asked"]),
        lambda: town.answers.weights["talk"].__setitem__((0, 0), 0.5),
        lambda: town.answers.codes["go"].__setitem__(0, 5),
        lambda: setattr(town, "seed", 1),
    ):
        change()
        assert town.digest() not in seen
        seen.add(town.digest())


def damaged(
    path: Path, change: Callable[[dict[str, np.ndarray], dict[str, str]], None]
) -> None:
    with safe_open(path, framework="numpy") as file:
        arrays, metadata = (
            {name: file.get_tensor(name) for name in file.keys()},
            file.metadata(),
        )
    change(arrays, metadata)
    save_file(arrays, path, metadata=metadata)


def record(metadata: dict[str, str], **changed: Any) -> None:
    metadata["record"] = json.dumps({**json.loads(metadata["record"]), **changed})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda arrays, meta: meta.update(version="0"),
            "version 0, this program reads version 3",
        ),
        (lambda arrays, meta: meta.pop("version"), "not a checkpoint of a town"),
        (lambda arrays, meta: meta.pop("digest"), "is damaged"),
        (lambda arrays, meta: meta.pop("record"), "is damaged"),
        (lambda arrays, meta: meta.update(record="{"), "is damaged"),
        (lambda arrays, meta: meta.update(record="[]"), "is damaged"),
        (lambda arrays, meta: record(meta, step=21), "do not match their digest"),
        (
            lambda arrays, meta: record(meta, settings={"memory": 5}),
            "do not match their digest",
        ),
        (lambda arrays, meta: record(meta, brain="gpt"), "do not match their digest"),
        (lambda arrays, meta: arrays.pop("heard"), "do not match their digest"),
        (
            lambda arrays, meta: arrays.update(heard=arrays["heard"][:3]),
            "do not match their digest",
        ),
        (
            lambda arrays, meta: arrays.update(heard=arrays["heard"] * 1.0),
            "do not match their digest",
        ),
        (
            lambda arrays, meta: arrays["place"].__setitem__(0, 1),
            "do not match their digest",
        ),
    ],
)
def test_checkpoints_that_cannot_be_are_refused_in_a_line(
    tmp_path: Path, change: Any, message: str
) -> None:
    path = tmp_path / "town"
    Town().run(20).save(path)
    damaged(path, change)
    with pytest.raises(ValueError, match=message) as caught:
        Town.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.5, 0.999])
def test_a_checkpoint_that_was_cut_off_is_refused_in_a_line(
    tmp_path: Path, keep: float
) -> None:
    path = tmp_path / "town"
    Town().run(20).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(
        ValueError, match="town is cut off or not a checkpoint"
    ) as caught:
        Town.load(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        Town.load(tmp_path / "elsewhere")


def test_a_checkpoint_is_read_by_the_brain_that_is_named_and_folders_are_made(
    tmp_path: Path,
) -> None:
    town = Town(np.int64(25), seed=np.int64(1)).run(3)  # numpy's numbers are numbers
    path = tmp_path / "a" / "new" / "folder"
    town.save(path)
    assert (
        Town.load(path, brain="scripted").digest()
        == town.digest()
        == Town(seed=1).run(3).digest()
    )
    with pytest.raises(ValueError, match="brain must be"):
        Town.load(path, brain="llm")


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    import pickle

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    path = tmp_path / "town"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="cut off or not a checkpoint"):
        Town.load(path)
    assert not (tmp_path / "sprung").exists()


def test_a_crash_while_saving_keeps_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "town"
    town = Town().run(10)
    town.save(path)
    before = town.digest()

    def crash(arrays: Any, part: Path, **rest: Any) -> None:
        Path(part).write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr("smallscale.simulation.checkpoint.save_file", crash)
    with pytest.raises(OSError, match="no space"):
        town.run(5).save(path)
    assert Town.load(path).digest() == before
    assert list(tmp_path.iterdir()) == [path], "no half file is left"


def test_a_checkpoint_is_replaced_by_a_rename_never_written_into(
    tmp_path: Path,
) -> None:
    path, kept = tmp_path / "town", tmp_path / "kept"
    town = Town().run(3)
    town.save(path)
    kept.hardlink_to(path)  # the same file by another name: it must stay as it is
    before = town.digest()
    town.run(3).save(path)
    assert Town.load(kept).digest() == before != Town.load(path).digest()


# what cannot be


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"people": 0}, "people must be a whole number of at least 1; got 0"),
        ({"people": True}, "people must be a whole number"),
        ({"people": 25.0}, "people must be a whole number of at least 1; got 25.0"),
        ({"people": None}, "people must be a whole number"),
        ({"people": []}, "people must be at least one"),
        ({"people": ["Ada"]}, "people must be a number or Persons; got a str"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"seed": 0.5}, "seed must be a whole number"),
        ({"memory": 0}, "memory must be a whole number of at least 1"),
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
    with pytest.raises(ValueError, match="steps must be a whole number of at least 0"):
        Town().run(steps)


ADA = Person("Ada", 40, "baker", "even", "1 Mill Lane", "café", "." * 24)


@pytest.mark.parametrize(
    ("people", "message"),
    [
        ([ADA, replace(ADA, age=5)], "Ada is there twice"),
        (
            [replace(ADA, work="mine")],
            "Ada works at an unknown place, 'mine'; known are home, café",
        ),
        ([replace(ADA, routine="." * 23)], "Ada's routine must be 24 letters"),
        (
            [replace(ADA, routine="x" * 24)],
            "Ada's routine must be 24 letters of .hwcpsl",
        ),
        ([replace(ADA, tone="loud")], "tone must be one of quiet, even, chatty"),
        ([replace(ADA, friends=("Bo",))], "a friend who does not live here, 'Bo'"),
    ],
)
def test_people_who_cannot_be_say_why(people: list[Person], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Town(people)


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        (replace(FACTS[1], source="Zeus"), "known to 'Zeus', who does not live here"),
        (replace(FACTS[1], place="moon"), "the party is at an unknown place, 'moon'"),
        (replace(FACTS[1], hours=(5, 5)), "a start and a later end"),
        (replace(FACTS[1], importance=11), "importance must be 1 to 10"),
        (replace(FACTS[1], name="candidacy"), "a name of its own"),
    ],
)
def test_news_that_cannot_be_says_why(fact: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        World(facts=(FACTS[0], fact))
