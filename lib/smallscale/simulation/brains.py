"""Who decides? Everything a person of the town decides is a question with a few options, answered by a brain.

A brain is asked once for all people in the same situation, and says how likely each option is; each person then draws
for itself. That is why a million people cost a brain no more than some thousand.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from smallscale.simulation.counter_rng import pick
from smallscale.simulation.world import DAY, GO, ROUTINE, TONES, WRITTEN, World

RELATIONS = ("a stranger", "an acquaintance", "somebody close")
UNPLANNED = len(GO)  # in the place of a plan: none
TOPICS = 3  # memories that come to mind before somebody speaks
DETAIL = {  # what a question's numbers are, by kind; what each says is in `_words`
    "go": ("hour", "plan", "event"),
    "talk": ("relation",),
    "say": ("relation", "first", "second", "third"),
    "join": ("relation", "fact"),
    "know": ("fact", "mind"),
}


class Question:
    """One situation in which somebody must choose. detail: whole numbers, by kind:

    go: hour, plan (a position in GO, or UNPLANNED), the fact that is on now and that they mean to attend, or 0.
    talk: relation to whom they stand next to.
    say: relation to the listener, three topics that come to mind, ascending, 0 for none.
    join: relation to the host, the fact they just heard of.
    know: the fact they are asked about; the same once more if a memory of it comes to mind, else 0.

    options: in words. chosen: what each stands for, a position in GO (the event one further), a topic, or 0 and 1.
    letters: theirs, a letter means the same in every question of its kind. fallback: the position of what is done where
    the brain fails: keep to the plan (without one, home), be silent, small talk, do not go, do not claim to know.
    """

    def __init__(
        self, world: World, kind: str, who: int, detail: tuple[int, ...]
    ) -> None:
        self.world, self.kind, self.who, self.detail, self.person = (
            world,
            kind,
            who,
            detail,
            world.people[who],
        )
        words: tuple[str, ...] = ("no", "yes")
        self.chosen: tuple[int, ...] = (0, 1)
        self.fallback = 0
        if kind == "go":
            words = (*GO, world.topics[detail[2]]) if detail[2] else GO
            self.chosen, self.fallback = tuple(range(len(words))), detail[1] % UNPLANNED
        elif kind == "say":
            words, self.chosen = (
                world.topics,
                tuple(sorted(set(detail[1:]) - {0})) or (0,),
            )
            self.fallback = len(self.chosen) - 1  # the last: the facts come first
        self.options = tuple(words[choice] for choice in self.chosen)
        self.letters = "".join(chr(ord("A") + choice) for choice in self.chosen)

    @property
    def text(self) -> str:
        """The question as a language model reads it; what follows is one of the letters."""
        said = _words(self.world)
        words = {
            part: said[part][number]
            for part, number in zip(DETAIL[self.kind], self.detail, strict=True)
        }
        choices = ", ".join(
            f"{letter} {option}"
            for letter, option in zip(self.letters, self.options, strict=True)
        )
        return WRITTEN["questions"][self.kind].format(
            **vars(self.person), **words, choices=choices
        )


def _words(world: World) -> dict[str, Sequence[Any]]:
    """What each number of a question's detail can be, by the names in DETAIL."""
    facts = world.topics[: len(world.facts) + 1]
    events = ("", *(f" {fact.capitalize()} is on now." for fact in facts[1:]))
    words = {
        "hour": range(DAY),
        "plan": (*GO, "none"),
        "event": events,
        "relation": RELATIONS,
    }
    return {
        **words,
        "fact": facts,
        "mind": facts,
        **dict.fromkeys(("first", "second", "third"), world.topics),
    }


class Fault(str):
    """Why a brain's answer cannot be used, in two or three words: what is counted."""


class Brain(Protocol):
    """name: what a checkpoint remembers of it."""

    name: str

    def answer(
        self, questions: Sequence[Question]
    ) -> Sequence[Sequence[float] | Fault]:
        """For each question the weight of each of its options, not negative, not all 0; or a Fault."""


class Scripted:
    """The rules of the town, by hand. The numbers are habits of people who do not exist; nothing was fitted to them."""

    name = "scripted"
    KEEPS, ATTENDS = 0.85, 0.9  # to the plan; to an event one means to attend
    TALKS = (0.15, 0.25, 0.4)  # by relation
    TONE = (0.5, 1.0, 1.5)  # what that is multiplied by for the quiet, even, chatty
    NEWS = 0.2  # the weight of news beyond that of small talk, for each point of its importance
    JOINS = (0.3, 0.5, 0.7)  # by relation to the host

    def answer(self, questions: Sequence[Question]) -> list[Sequence[float] | Fault]:
        return [
            getattr(self, f"_{question.kind}")(question, *question.detail)
            for question in questions
        ]

    def _go(self, question: Question, hour: int, plan: int, event: int) -> list[float]:
        if plan == UNPLANNED:  # as often as the routine has them there
            routine = [
                ROUTINE[letter] for letter in question.person.routine if letter != "."
            ]
            weights = [float(routine.count(place)) for place in GO]
        else:
            weights = [
                0.0,
                0.0,
                *[(1 - self.KEEPS) / 4] * 4,
            ]  # café, park, shop, library
            weights[plan] += self.KEEPS
        if not event:
            return weights
        return [(1 - self.ATTENDS) * weight / sum(weights) for weight in weights] + [
            self.ATTENDS
        ]

    def _talk(self, question: Question, relation: int) -> list[float]:
        talks = self.TALKS[relation] * self.TONE[TONES.index(question.person.tone)]
        return [1 - talks, talks]

    def _say(self, question: Question, *detail: int) -> list[float]:
        facts = question.world.facts
        return [
            1 + self.NEWS * facts[t - 1].importance if 0 < t <= len(facts) else 1.0
            for t in question.chosen
        ]

    def _join(self, question: Question, relation: int, fact: int) -> list[float]:
        return [1 - self.JOINS[relation], self.JOINS[relation]]

    def _know(self, question: Question, fact: int, mind: int) -> list[float]:
        return [float(mind == 0), float(mind > 0)]


class Answers:
    """What the brain has said so far, weights for each question asked, in the order of asking: part of the state.

    Each question is put to the brain once; faults are counted, answered by the fallback, and asked again next time.
    codes, weights: by kind, (m,) and (m, choices); a choice is a position in GO (the event one further), a topic, or
    0 and 1. row: by kind, where in these the question of each code is, -1 for those never asked.
    """

    def __init__(self, world: World, brain: Brain) -> None:
        self.world, self.brain, self.counts = world, brain, Counter[str]()
        words, people = _words(world), len(world.people)
        asked = {
            kind: parts for kind, parts in DETAIL.items() if kind != "know"
        }  # which is asked after the run
        self.sizes = {
            kind: (people, *(len(words[part]) for part in parts))
            for kind, parts in asked.items()
        }
        choices = {"go": len(GO) + 1, "say": len(world.topics)}
        self.codes = {kind: np.zeros(0, np.int64) for kind in self.sizes}
        self.weights = {
            kind: np.zeros((0, choices.get(kind, 2))) for kind in self.sizes
        }
        self.row = {
            kind: np.full(math.prod(sizes), -1, np.int32)
            for kind, sizes in self.sizes.items()
        }

    def said(self) -> list[tuple[Question, np.ndarray]]:
        """Every question that was answered, with the weights of its options."""
        return [
            (question, row[list(question.chosen)])
            for kind, codes in self.codes.items()
            for question, row in zip(
                self.questions(kind, codes), self.weights[kind], strict=True
            )
        ]

    def choose(self, kind: str, draws: np.ndarray, *columns: Any) -> np.ndarray:
        """What each of n people chooses, (n,): a position in GO, a topic, or 0 and 1.

        draws: (n,) in [0, 1), each person's luck; columns: who, and the question's detail, numbers or (n,) each.
        """
        codes = np.ravel_multi_index(np.broadcast_arrays(*columns), self.sizes[kind])
        self.counts["decisions"] += len(codes)
        row = self.row[kind].take(codes)
        lost = row < 0
        if not lost.any():
            return pick(self.weights[kind], draws, row)
        new = np.zeros(
            len(self.row[kind]), bool
        )  # each code once, and faster than by sorting
        new[codes[lost]] = True
        failed, fallbacks = self._ask(kind, np.flatnonzero(new))
        row = self.row[kind].take(codes)
        lost = row < 0
        row[lost] = len(self.weights[kind]) + np.searchsorted(failed, codes[lost])
        return pick(np.concatenate([self.weights[kind], fallbacks]), draws, row)

    def _ask(self, kind: str, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ask what was never answered. The codes of what failed, ascending, and the fallbacks' weights."""
        questions, failed = self.questions(kind, codes), np.zeros(len(codes), bool)
        table = np.zeros((len(codes), self.weights[kind].shape[1]))
        for i, (question, reply) in enumerate(
            zip(questions, self._reply(questions), strict=True)
        ):
            weights = _distribution(reply, len(question.chosen))
            failed[i] = isinstance(weights, Fault)
            if failed[i]:
                self.counts[f"fault: {weights}"] += 1
                weights = np.eye(len(question.chosen))[question.fallback]
            table[i, question.chosen] = weights
        self.counts["asked"] += len(codes)
        self.row[kind][codes[~failed]] = len(self.codes[kind]) + np.arange(
            (~failed).sum()
        )
        self.codes[kind] = np.concatenate([self.codes[kind], codes[~failed]])
        self.weights[kind] = np.concatenate([self.weights[kind], table[~failed]])
        return codes[failed], table[failed]

    def questions(self, kind: str, codes: Any) -> list[Question]:
        """What these codes ask."""
        rows = np.transpose(np.unravel_index(codes, self.sizes[kind])).tolist()
        return [Question(self.world, kind, who, tuple(detail)) for who, *detail in rows]

    def _reply(self, questions: list[Question]) -> Sequence[Any]:
        try:
            replies = list(self.brain.answer(questions))
        except (
            Exception
        ) as error:  # whatever a brain does, the town goes on, and says so
            return [Fault(f"{type(error).__name__} raised")] * len(questions)
        return (
            replies
            if len(replies) == len(questions)
            else [Fault("wrong number of answers")] * len(questions)
        )


def _distribution(reply: Any, options: int) -> list[float] | Fault:
    if isinstance(reply, Fault):
        return reply
    try:
        weights = [float(weight) for weight in reply]
    except (TypeError, ValueError):
        return Fault("not numbers")
    if len(weights) != options:
        return Fault("wrong number of weights")
    total = sum(weights)
    if not (0 < total < math.inf and min(weights) >= 0):
        return Fault("not a distribution")
    return [weight / total for weight in weights]
