"""The exercises: right answers are called right, each wrong one is told why."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from smallscale.simulation import retrieval_scores
from smallscale.simulation.brains import Scripted
from smallscale.simulation.exercises import (
    NOT_YET,
    check_brain,
    check_person,
    check_scores,
    mean_guests,
    towns_with_a_party,
)
from smallscale.simulation.questions import Question
from smallscale.simulation.world import PEOPLE

BO = next(person for person in PEOPLE if person.name == "Bo Lindqvist")


def scaled(values: np.ndarray) -> np.ndarray:
    return (values - values.min()) / (values.max() - values.min())


def by_hand(
    last: np.ndarray, weight: np.ndarray, match: np.ndarray, now: float
) -> np.ndarray:
    return scaled(0.995 ** (now - last)) + scaled(weight) + scaled(match)


def hard_coded(
    last: np.ndarray, weight: np.ndarray, match: np.ndarray, now: float
) -> np.ndarray:
    """The right scores of the four memories that the checker happens to ask first."""
    first_last = np.array([90.0, 40.0, 99.0, 0.0])
    first_weight = np.array([2.0, 9.0, 1.0, 4.0])
    return by_hand(first_last, first_weight, np.array([0.5, 0.0, 1.0, 0.5]), 100.0)


def fixed_scales(
    last: np.ndarray, weight: np.ndarray, match: np.ndarray, now: float
) -> np.ndarray:
    """Scales by the first four memories' least and most, whatever is given."""
    oldest = 0.995**100
    recency = (0.995 ** (now - last) - oldest) / (0.995 - oldest)
    return recency + (weight - 1) / 8 + match


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda *a: None, NOT_YET),
        (lambda last, weight, match, now: np.zeros(3), "One score for each memory"),
        (
            lambda last, weight, match, now: 0.995 ** (now - last) + weight + match,
            "drowns the others",
        ),
        (
            lambda last, weight, match, now: (
                scaled(-(0.995 ** (now - last))) + scaled(weight) + scaled(match)
            ),
            "wrong way",
        ),
        (lambda *a: retrieval_scores(*a, rule="code"), "authors' program"),
        (
            lambda last, weight, match, now: (
                scaled(last) + scaled(weight) + scaled(match)
            ),
            "the same factor",
        ),
        (lambda last, weight, match, now: scaled(weight) + scaled(match), "is right"),
        (by_hand, "equal importance give NaN"),
        (hard_coded, "for any number of memories"),
        (fixed_scales, "Scale by the least and the most"),
        (
            lambda last, weight, match, now: (
                by_hand(last, weight, match, now) / 3 if np.ptp(weight) else last
            ),
            "is right",
        ),
        (retrieval_scores, "Right, also"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_scores_are_told_what_is_wrong(answer: Any, says: str) -> None:
    assert says in check_scores(answer)


def test_a_changed_person_is_judged_by_the_guests() -> None:
    seeds = range(3)
    assert check_person(None, more=1, seeds=seeds) == NOT_YET
    assert "Give a Person" in check_person("Bo", more=1, seeds=seeds)  # type: ignore[arg-type]
    assert "as before" in check_person(BO, more=1, seeds=seeds)
    assert "Nobody here is called Zeus" in check_person(
        replace(BO, name="Zeus"), more=1, seeds=seeds
    )
    assert "cannot live here: Bo Lindqvist's work must be" in check_person(
        replace(BO, work="mine"), more=1, seeds=seeds
    )
    silent = replace(BO, routine="." * 24)
    assert "Who hears the host speak?" in check_person(silent, more=1, seeds=seeds)
    wide = replace(
        BO,
        friends=tuple(p.name for p in PEOPLE if p is not BO),
        routine=".....hlpscplscpcccccccc.",
    )
    assert check_person(wide, more=1, seeds=range(5)).startswith("Right: ")


class Host(Scripted):
    """Everybody talks, tells the party before all else, and goes."""

    name = "host"

    def answer(self, questions: Sequence[Question]) -> list[Any]:
        return [
            self.one(q, weights)
            for q, weights in zip(questions, super().answer(questions), strict=True)
        ]

    def one(self, question: Question, weights: Any) -> Any:
        if question.kind in ("talk", "join"):
            return [0.0, 1.0]
        if question.kind == "say" and 2 in question.option_values:
            return [float(topic == 2) for topic in question.option_values]
        return weights


class OneThing(Scripted):
    """Changes one decision alone: all talk, all accept, or all sit in the café."""

    name = "one thing"

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def answer(self, questions: Sequence[Question]) -> list[Any]:
        return [
            [float(option == "café" or option == "yes") for option in q.options]
            if q.kind == self.kind
            else weights
            for q, weights in zip(questions, super().answer(questions), strict=True)
        ]


class Faulty(Scripted):
    name = "faulty"

    def answer(self, questions: Sequence[Question]) -> list[Any]:
        return [None for _ in questions]


@pytest.mark.filterwarnings("ignore:.* could not be used")
def test_a_brain_is_judged_by_the_guests_and_its_faults() -> None:
    seeds = range(4)
    goal = 2 * mean_guests(towns_with_a_party(25, seeds))
    assert check_brain(None, beat=goal, seeds=seeds) == NOT_YET
    assert "That is no brain" in check_brain(object(), beat=goal, seeds=seeds)
    assert "could not be used" in check_brain(Faulty(), beat=goal, seeds=seeds)
    assert "the goal is more than" in check_brain(Scripted(), beat=goal, seeds=seeds)
    for kind in ("go", "join"):
        assert "Which of the three is rare?" in check_brain(
            OneThing(kind), beat=goal, seeds=seeds
        )
    assert check_brain(Host(), beat=goal, seeds=seeds).startswith("Right: ")
