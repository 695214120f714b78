"""Who decides? Everything a person of the town decides is a question with a few options, answered by a brain.

A brain is asked once for all people in the same situation, and says how likely each option is; each person then draws
for itself. That is why a million people cost a brain no more than some thousand.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from smallscale.simulation.chance import pick
from smallscale.simulation.world import GO, TONES, Person, World

RELATIONS = ("a stranger", "an acquaintance", "somebody close")
STRANGER, ACQUAINTANCE, CLOSE = range(3)
UNPLANNED = len(GO)  # in the place of a plan: none
TOPICS = 3  # memories that come to mind before somebody speaks


class Question(NamedTuple):
    """One situation in which somebody must choose. detail: whole numbers, by kind:

    go: hour, plan (a position in GO, or UNPLANNED), the fact that is on now and that they mean to attend, or 0.
    talk: relation to whom they stand next to.
    say: relation to the listener, three topics that come to mind, ascending, 0 for none.
    join: relation to the host, the fact they just heard of.
    know: the fact they are asked about, whether a memory of it came to mind.
    """

    world: World
    kind: str
    who: int
    detail: tuple[int, ...]

    @property
    def person(self) -> Person:
        return self.world.people[self.who]

    @property
    def options(self) -> tuple[str, ...]:
        """In words. The letter of an option is the same in every question of its kind: see `letters`."""
        if self.kind == "go":
            return GO + ((self.world.topics[self.detail[2]],) if self.detail[2] else ())
        if self.kind == "say":
            return tuple(self.world.topics[topic] for topic in self.chosen)
        return ("no", "yes")

    @property
    def chosen(self) -> tuple[int, ...]:
        """What each option stands for: a position in GO (the event one further), a topic, or 0 and 1."""
        if self.kind == "say":
            return tuple(sorted(set(self.detail[1:]) - {0})) or (0,)
        return tuple(range(len(GO) + (self.detail[2] > 0) if self.kind == "go" else 2))

    @property
    def letters(self) -> str:
        return "".join(chr(ord("A") + choice) for choice in self.chosen)

    @property
    def fallback(self) -> int:
        """What is done where the brain fails: keep to the plan, be silent, small talk, do not go, do not claim to know.

        A position in options. Of the topics of a talk it is the last: the facts come first.
        """
        if self.kind == "go":
            return self.detail[1] if self.detail[1] != UNPLANNED else 0
        return len(self.options) - 1 if self.kind == "say" else 0

    @property
    def text(self) -> str:
        """The question as a language model reads it; what follows is one of the letters."""
        person, topics = self.person, self.world.topics
        intro = f"{person.name}, {person.job}, {person.age}, {person.tone}."
        if self.kind == "go":
            hour, plan, fact = self.detail
            scene = f"It is {hour}:00. Plan: {GO[plan] if plan != UNPLANNED else 'none'}."
            scene += f" {topics[fact].capitalize()} is on now." * bool(fact)
            asks = "goes to"
        elif self.kind == "talk":
            scene, asks = f"Stands next to {RELATIONS[self.detail[0]]}.", "begins to talk:"
        elif self.kind == "say":
            scene, asks = f"Talks to {RELATIONS[self.detail[0]]}, with this in mind.", "speaks of"
        elif self.kind == "join":
            scene, asks = f"Hears of {topics[self.detail[1]]}, given by {RELATIONS[self.detail[0]]}.", "will go:"
        else:
            minds = topics[self.detail[0]] if self.detail[1] else "nothing"
            scene, asks = f"Is asked about {topics[self.detail[0]]}. Comes to mind: {minds}.", "has heard of it:"
        choices = ", ".join(f"{letter} {words}" for letter, words in zip(self.letters, self.options, strict=True))
        return f"{intro} {scene} {choices}. {person.name} {asks}"


class Fault(str):
    """Why a brain's answer cannot be used, in two or three words: what is counted."""


class Brain(Protocol):
    """name: what a checkpoint remembers of it."""

    name: str

    def answer(self, questions: Sequence[Question]) -> Sequence[Sequence[float] | Fault]:
        """For each question the weight of each of its options, not negative, not all 0; or a Fault."""
        ...


class Scripted:
    """The rules of the town, by hand. The numbers are habits of people who do not exist; nothing was fitted to them."""

    name = "scripted"
    KEEPS, ATTENDS = 0.85, 0.9  # to the plan; to an event one means to attend
    TALKS = (0.15, 0.25, 0.4)  # by relation
    TONE = (0.5, 1.0, 1.5)  # what that is multiplied by for the quiet, even, chatty
    NEWS = 0.2  # the weight of news beyond that of small talk, for each point of its importance
    JOINS = (0.3, 0.5, 0.7)  # by relation to the host

    def answer(self, questions: Sequence[Question]) -> list[Sequence[float] | Fault]:
        return [getattr(self, f"_{question.kind}")(question) for question in questions]

    def _go(self, question: Question) -> list[float]:
        _, plan, fact = question.detail
        if plan == UNPLANNED:  # as often as the routine has them there
            world = question.world
            awake = world.plan[question.who][world.awake[question.who]]
            weights = [float((awake == place).sum()) for place in range(len(GO))]
        else:
            leisure = (1 - self.KEEPS) / 4  # café, park, shop, library
            weights = [0.0, 0.0, leisure, leisure, leisure, leisure]
            weights[plan] += self.KEEPS
        if not fact:
            return weights
        return [(1 - self.ATTENDS) * weight / sum(weights) for weight in weights] + [self.ATTENDS]

    def _talk(self, question: Question) -> list[float]:
        talks = self.TALKS[question.detail[0]] * self.TONE[TONES.index(question.person.tone)]
        return [1 - talks, talks]

    def _say(self, question: Question) -> list[float]:
        facts = question.world.facts
        return [1 + self.NEWS * facts[t - 1].importance if 0 < t <= len(facts) else 1.0 for t in question.chosen]

    def _join(self, question: Question) -> list[float]:
        goes = self.JOINS[question.detail[0]]
        return [1 - goes, goes]

    def _know(self, question: Question) -> list[float]:
        return [1.0 - question.detail[1], float(question.detail[1])]


class Answers:
    """What the brain has said so far, weights for each question asked, in the order of asking: part of the state.

    Each question is put to the brain once; faults are counted, answered by the fallback, and asked again next time.
    codes, weights: by kind, (m,) and (m, choices); a choice is a position in GO (the event one further), a topic, or
    0 and 1. row: by kind, where in these the question of each code is, -1 for those never asked.
    """

    def __init__(self, world: World, brain: Brain) -> None:
        self.world, self.brain = world, brain
        people, facts, topics = len(world.people), len(world.facts) + 1, len(world.topics)
        self.sizes = {
            "go": (people, 24, UNPLANNED + 1, facts),
            "talk": (people, len(RELATIONS)),
            "say": (people, len(RELATIONS), topics, topics, topics),
            "join": (people, len(RELATIONS), facts),
        }
        self.codes, self.weights, self.row = {}, {}, {}
        for kind, sizes in self.sizes.items():
            self.codes[kind] = np.zeros(0, np.int64)
            self.weights[kind] = np.zeros((0, {"go": len(GO) + 1, "say": topics}.get(kind, 2)))
            self.row[kind] = np.full(math.prod(sizes), -1, np.int32)
        self.counts: Counter[str] = Counter()

    def said(self) -> list[tuple[Question, np.ndarray]]:
        """Every question that was answered, with the weights of its options."""
        return [
            (question, row[list(question.chosen)])
            for kind, codes in self.codes.items()
            for question, row in zip(self.questions(kind, codes), self.weights[kind], strict=True)
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
        failed, fallbacks = self._ask(kind, codes[lost])
        row[lost] = self.row[kind][codes[lost]]
        lost = row < 0
        row[lost] = len(self.weights[kind]) + np.searchsorted(failed, codes[lost])
        return pick(np.concatenate([self.weights[kind], fallbacks]), draws, row)

    def _ask(self, kind: str, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ask what was never answered. The codes of what failed, ascending, and the fallbacks' weights."""
        asked = np.zeros(math.prod(self.sizes[kind]), bool)
        asked[codes] = True
        new = np.flatnonzero(asked)
        questions, rows, failed = self.questions(kind, new), [], []
        for question, reply in zip(questions, self._reply(questions), strict=True):
            chosen, row = question.chosen, [0.0] * self.weights[kind].shape[1]
            weights = _distribution(reply, len(chosen))
            failed.append(isinstance(weights, Fault))
            if isinstance(weights, Fault):
                self.counts[f"fault: {weights}"] += 1
                chosen, weights = (chosen[question.fallback],), [1.0]
            for choice, weight in zip(chosen, weights, strict=True):
                row[choice] = weight
            rows.append(row)
        self.counts["asked"] += len(new)
        table, lost = np.array(rows), np.array(failed)
        self.learn(kind, new[~lost], table[~lost])
        return new[lost], table[lost]

    def learn(self, kind: str, codes: np.ndarray, weights: np.ndarray) -> None:
        """Keep what was said to these questions, (m,) and (m, choices)."""
        self.row[kind][codes] = len(self.codes[kind]) + np.arange(len(codes))
        self.codes[kind] = np.concatenate([self.codes[kind], codes])
        self.weights[kind] = np.concatenate([self.weights[kind], weights])

    def questions(self, kind: str, codes: Any) -> list[Question]:
        """What these codes ask."""
        parts = zip(*(part.tolist() for part in np.unravel_index(codes, self.sizes[kind])), strict=True)
        return [Question(self.world, kind, who, tuple(detail)) for who, *detail in parts]

    def _reply(self, questions: list[Question]) -> Sequence[Any]:
        try:
            replies = list(self.brain.answer(questions))
        except Exception as error:  # whatever a brain does, the town goes on, and says so
            return [Fault(f"{type(error).__name__} raised")] * len(questions)
        return replies if len(replies) == len(questions) else [Fault("wrong number of answers")] * len(questions)

    @property
    def faults(self) -> dict[str, int]:
        return {what.removeprefix("fault: "): n for what, n in sorted(self.counts.items()) if what[:5] == "fault"}


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
