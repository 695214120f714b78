"""Answers: how often a brain is asked, what is kept, and what happens to faults."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smallscale.simulation import Town, World
from smallscale.simulation.answers import Answers
from smallscale.simulation.brains import Fault, Scripted
from smallscale.simulation.questions import Question

WORLD = World()
pytestmark = pytest.mark.filterwarnings("ignore:.* could not be used")


class Other(Scripted):
    """Counts what it is asked, and answers one kind of question as it is told."""

    name = "other"

    def __init__(self, kind: str = "", reply: Any = None) -> None:
        self.kind = kind
        self.reply = reply
        self.asked: list[Question] = []

    def answer(self, questions: Sequence[Question]) -> list[Any]:
        self.asked += questions
        usual = super().answer(questions)
        return [
            self.reply if q.kind == self.kind else weights
            for q, weights in zip(questions, usual, strict=True)
        ]


def test_equal_questions_are_asked_once() -> None:
    brain = Other()
    town = Town(250, brain=brain).run(40)
    texts = [question.text for question in brain.asked]
    assert len(texts) == len(set(texts)) == town.answers.counts["asked"]
    assert town.answers.counts["decisions"] > 2 * len(texts)
    assert town.log.tolist() == Town(250).run(40).log.tolist()


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (Fault("late"), "late"),
        (None, "not numbers"),
        ("B", "not numbers"),
        ([], "wrong number of weights"),
        ([1.0], "wrong number of weights"),
        ([[1.0, 0.0]], "not numbers"),
        ([0.0, 0.0], "not a distribution"),
        ([-1.0, 2.0], "not a distribution"),
        ([np.nan, 1.0], "not a distribution"),
    ],
)
def test_a_reply_that_is_none_is_counted_and_the_fallback_taken(
    reply: Any, fault: str
) -> None:
    town = Town(brain=Other("talk", reply)).run(24)
    assert set(town.faults) == {fault}
    assert town.faults[fault] > 20
    assert len(town.log) == 0, "who gets no answer stays silent"
    assert (
        not (town.memory.kind == 2).any(axis=0)[town.heard[:, 1:].max(1) < 0].any()
    ), "nothing was said or stored"
    assert not any(
        question.kind == "talk" for question, _ in town.answers.answered()
    ), "it is asked again next time"


def test_where_the_brain_is_silent_people_keep_to_their_plans() -> None:
    town = Town(brain=Other("go", Fault("late")))
    for hour in range(24):
        town.run(1)
        expected = town.world.slot[np.arange(25), town.world.plan[:, hour]]
        assert town.place.tolist() == expected.tolist()


class Broken:
    name = "broken"

    def __init__(self, way: str) -> None:
        self.way = way

    def answer(self, questions: Sequence[Question]) -> Any:
        if self.way == "raises":
            raise RuntimeError("secret words of the server")
        return None if self.way == "nothing" else [[1.0]] * (len(questions) - 1)


@pytest.mark.parametrize(
    ("way", "fault"),
    [
        ("raises", "RuntimeError raised"),
        ("nothing", "TypeError raised"),
        ("few", "wrong number of answers"),
    ],
)
def test_a_brain_that_breaks_does_not_break_the_town(
    way: str, fault: str, tmp_path: Path
) -> None:
    town = Town(brain=Broken(way)).run(24)
    assert set(town.faults) == {fault}
    assert len(town.log) == 0
    town.save(tmp_path / "t")
    assert b"secret" not in (tmp_path / "t").read_bytes(), (
        "an error's text is not content"
    )


class Moody(Scripted):
    """Never answers a question alike: only what was stored can make a run repeat."""

    name = "moody"

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def answer(self, questions: Sequence[Question]) -> list[Any]:
        return [
            self.random.random(len(question.options)) + 0.01 for question in questions
        ]


def test_what_a_brain_has_said_is_saved(tmp_path: Path) -> None:
    town = Town(brain=Moody(0)).run(30)
    town.save(tmp_path / "t")
    again = Town.load(tmp_path / "t", brain=Moody(99))
    assert again.digest() == town.digest()
    assert np.allclose([row.sum() for _, row in town.answers.answered()], 1), (
        "kept as shares, whatever they sum to"
    )
    known = {question: row.tolist() for question, row in town.answers.answered()}
    later = {
        question: row.tolist() for question, row in again.run(5).answers.answered()
    }
    assert len(known) < len(later)
    assert {(q.kind, q.who, q.detail, *row) for q, row in known.items()} <= {
        (q.kind, q.who, q.detail, *row) for q, row in later.items()
    }
    with pytest.raises(
        ValueError,
        match=r"run by the brain 'moody', not 'scripted'; "
        r"give a brain .*load\(path, brain=…\)",
    ):
        Town.load(tmp_path / "t")
    with pytest.raises(ValueError, match="run by the brain 'moody', not 'other'"):
        Town.load(tmp_path / "t", brain=Other())


def test_codes_and_questions_are_the_same_thing() -> None:
    answers = Answers(WORLD, Scripted())
    for kind, sizes in answers.sizes.items():
        for code in (0, np.prod(sizes) - 1, 7):
            (question,) = answers.questions(kind, [code])
            assert np.ravel_multi_index((question.who, *question.detail), sizes) == code
            json.dumps(question.text)


def test_each_code_is_asked_once_as_by_unique() -> None:
    answers = Answers(WORLD, Scripted())
    codes = np.random.default_rng(0).integers(0, len(answers.row["talk"]), 200)
    assert answers._distinct("talk", codes).tolist() == np.unique(codes).tolist()


class Failing(Scripted):
    """Fails at every question, and is interrupted after some."""

    name = "failing"

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def answer(self, questions: Sequence[Question]) -> list[Any]:
        self.calls -= 1
        if self.calls < 0:
            raise KeyboardInterrupt
        return [Fault("late")] * len(questions)


def test_a_run_warns_once_of_its_own_faults_where_it_is_interrupted_too() -> None:
    with pytest.warns(UserWarning, match="could not be used") as first:
        town = Town(brain=Failing(100)).run(12)
    count = town.faults["late"]
    assert len(first) == 1
    assert f"{count} answers of the brain 'failing'" in str(first[0].message)
    with pytest.warns(UserWarning, match="could not be used") as second:
        town.run(1).run(0)
    assert len(second) == 1
    assert f"{town.faults['late'] - count} answers" in str(second[0].message)
    with (
        pytest.warns(UserWarning, match="could not be used") as third,
        pytest.raises(KeyboardInterrupt),
    ):
        Town(brain=Failing(20)).run(24)
    assert len(third) == 1


def test_a_run_without_faults_says_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Town().run(12)


class Named(Scripted):
    """The script by another identity."""

    def __init__(self, **attributes: str) -> None:
        vars(self).update(attributes)


def test_a_checkpoint_remembers_a_brain_by_its_identity_and_origin(
    tmp_path: Path,
) -> None:
    path = tmp_path / "town"
    town = Town(3, brain=Named(identity="model 7", origin="here")).run(9)
    town.save(path)
    loaded = Town.load(path, brain=Named(identity="model 7", origin="here"))
    assert loaded.digest() == town.digest() != Town(3).run(9).digest()
    for brain, message in (
        (
            Named(identity="model 8", origin="here"),
            "by the brain 'model 7', not 'model 8'",
        ),
        (
            Named(identity="model 7"),
            "by 'model 7' at 'here', not at ''; .* origin='here'",
        ),
        (Scripted(), "by the brain 'model 7', not 'scripted'"),
    ):
        with pytest.raises(ValueError, match=message):
            Town.load(path, brain=brain)


def test_a_class_is_no_brain() -> None:
    with pytest.raises(ValueError, match=r"brain must be .* an object with a name"):
        Town(brain=Scripted)  # type: ignore[arg-type]
