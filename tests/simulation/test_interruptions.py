"""An hour, a save, a training: whole or not at all, wherever it is interrupted.

Python's tracing raises KeyboardInterrupt at each point that a run reaches, one after
the other. Where the town stands afterwards must be where it stood before.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch

from smallscale.simulation import Town
from smallscale.simulation import town as town_module
from smallscale.simulation.brains import Scripted
from smallscale.simulation.explorer import film
from smallscale.simulation.interviews import interview
from smallscale.simulation.language import (
    diary_entries,
    experience,
    train_diarist,
    untrained_diarist,
    word_tokenizer,
)
from smallscale.simulation.questions import Question

ROOM = str(Path(town_module.__file__).parent)
HOURS = 18
BY_INSTRUCTION = {"run", "pass_hour", "become"}  # not by line


def is_interrupted(point: int, work: Callable[[], Any], where: str = ROOM) -> bool:
    """Do the work, interrupted at a point counted from 0; return whether it was.

    Points are the lines of the files under `where`, and the single instructions of
    the functions in BY_INSTRUCTION.
    """
    left = point

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.startswith(where):
            return None
        frame.f_trace_opcodes = frame.f_code.co_name in BY_INSTRUCTION
        if left == 0:
            left -= 1
            raise KeyboardInterrupt
        left -= 1
        return trace

    others = sys.gettrace()
    try:
        sys.settrace(trace)
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(others)
    return False


def lively_town(**settings: Any) -> Town:
    """A town just before an hour in which everything that can happen happens."""
    town = Town(12, seed=3, memory=4, **settings).run(17)
    town.trigger[:4] = 1  # who thinks it over in this hour
    return town


def checkpoint_of(town: Town, folder: Path) -> tuple[str, list[list[int]]]:
    """The digest and the log of a town that was saved and loaded."""
    town.save(folder / "town")
    loaded = Town.load(folder / "town")
    return loaded.digest(), loaded.log.tolist()


def test_an_hour_passes_whole_or_not_at_all(tmp_path: Path) -> None:
    town = lively_town()
    thoughts = town.memory.count.sum()
    before = town.digest()
    log = town.log.tolist()
    checkpoint = checkpoint_of(town, tmp_path)
    after = lively_town().run(1).digest()
    point = 0
    while is_interrupted(point, lambda: town.run(1)) and town.step == 17:
        assert town.digest() == before, f"interrupted at point {point}"
        assert town.log.tolist() == log
        if point % 50 == 0:
            assert checkpoint_of(town, tmp_path) == checkpoint
        point += 1
    assert town.digest() == after
    assert point > 500
    assert len(town.log) > len(log), "some talked in this hour"
    assert town.memory.count.sum() > thoughts
    assert (town.memory.kind == 3).any(), "some thought it over"
    assert town.run(20).digest() == lively_town().run(21).digest()


def test_hours_that_passed_before_an_interruption_stay() -> None:
    straight = [Town(9, seed=1).run(hours).digest() for hours in range(13)]
    for point in range(0, 100_000, 1_501):
        town = Town(9, seed=1)
        interrupted = is_interrupted(point, lambda town=town: town.run(12))  # type: ignore[misc]
        assert town.digest() == straight[town.step]
        assert town.run(12 - town.step).digest() == straight[12]
        if not interrupted:
            return
    pytest.fail("the run has more points than were tried")


def test_an_hour_in_blocks_and_threads_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("smallscale.simulation.blocks.BLOCK", 5)
    monkeypatch.setattr("smallscale.simulation.blocks.CORES", 2)
    town = lively_town()
    before = town.digest()
    after = lively_town().run(1).digest()
    point = 0
    while is_interrupted(point, lambda: town.run(1)) and town.step == 17:
        assert town.digest() == before
        point += 7
    assert town.run(18 - town.step).digest() == after


class Stopping(Scripted):
    """The script, but one of its answers is an interruption."""

    def __init__(self, call: int, stop: type[BaseException]) -> None:
        self.left = call
        self.stop = stop

    def answer(self, questions: Sequence[Question]) -> list[Any]:
        self.left -= 1
        if self.left < 0:
            self.left = 10**9
            raise self.stop
        return super().answer(questions)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_brain_that_is_interrupted_at_any_call(
    stop: type[BaseException], tmp_path: Path
) -> None:
    straight = [Town(seed=2)]
    for _ in range(HOURS):
        straight.append(straight[-1].copied().run(1))
    calls = 0
    while True:
        town = Town(seed=2, brain=Stopping(calls, stop))
        try:
            town.run(HOURS)
        except stop:
            pass
        else:
            break
        same = straight[town.step]
        assert town.digest() == same.digest()
        assert town.log.tolist() == same.log.tolist()
        if calls % 10 == 0:
            assert checkpoint_of(town, tmp_path) == checkpoint_of(same, tmp_path)
            rest = HOURS - town.step
            assert town.run(rest).digest() == straight[HOURS].digest()
        calls += 1
    assert calls > 30


def test_a_copy_of_a_town_goes_its_own_way() -> None:
    town = lively_town()
    before = town.digest()
    copies = [town.copied(), town.copied().copied()]
    for copy in copies:
        assert copy.digest() == before
        assert is_interrupted(150, lambda copy=copy: copy.run(1))  # type: ignore[misc]
        assert copy.digest() == before
        copy.run(5)
        assert town.digest() == before != copy.digest()
    town.run(5)
    assert town.digest() == copies[0].digest() == copies[1].digest()
    assert len({id(each.memory.topic) for each in [town, *copies]}) == 3


def test_an_interrupted_film_leaves_the_town_at_a_whole_hour() -> None:
    straight = [Town(6, seed=1).run(hours).digest() for hours in range(4)]
    for point in range(0, 100_000, 401):
        town = Town(6, seed=1)
        interrupted = is_interrupted(point, lambda town=town: film(town, 3))  # type: ignore[misc]
        assert town.digest() == straight[town.step]
        if not interrupted:
            return
    pytest.fail("the film has more points than were tried")


def test_an_interrupted_interview_changes_nothing() -> None:
    town = lively_town()
    before = town.digest()
    point = 0
    while is_interrupted(point, lambda: interview(town, "Ada Brandt", "party")):
        assert town.digest() == before
        point += 1
    assert point > 30


def points_of_a_save(town: Town, path: Path) -> Iterator[int]:
    point = 0
    while is_interrupted(point, lambda: town.save(path)):
        yield point
        point += 1


def test_an_interrupted_save_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "town"
    old = Town(6, seed=1).run(9)
    new = Town(6, seed=1).run(12)
    old.save(path)
    found = []
    for point in points_of_a_save(new, path):
        found.append(Town.load(path).digest())
        assert list(tmp_path.iterdir()) == [path], f"half a file at point {point}"
    changed = found.index(new.digest())
    assert set(found[:changed]) == {old.digest()}
    assert set(found[changed:]) == {new.digest()}
    assert changed > 10


def test_an_interrupted_training_leaves_the_model_as_it_was() -> None:
    entries = diary_entries(experience([Town(seed=1).run(12)]), 1)
    tokenizer = word_tokenizer([entry.text for entry in entries])
    fresh = untrained_diarist(tokenizer, width=16).state_dict()
    trained = untrained_diarist(tokenizer, width=16)
    losses = train_diarist(trained, tokenizer, entries)
    for batch in range(len(losses)):
        model = untrained_diarist(tokenizer, width=16)
        seen = [0]

        def interrupt(*given: Any, seen: list[int] = seen, batch: int = batch) -> None:
            seen[0] += 1
            if seen[0] > batch:
                raise KeyboardInterrupt

        state = torch.get_rng_state()
        hook = model.register_forward_hook(interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_diarist(model, tokenizer, entries)
        hook.remove()
        assert not model.training
        assert torch.equal(torch.get_rng_state(), state)
        for name, weight in model.state_dict().items():
            assert torch.equal(weight, fresh[name]), name
        assert train_diarist(model, tokenizer, entries) == losses
    assert np.isfinite(losses).all()
