"""What has the brain said so far? Each question is put to it once, and kept.

The answers are part of a town's state: a brain that is saved and asked again might say
something else. What fails is counted, and not kept.
"""

import copy
import math
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from itertools import islice
from typing import Any, Self

import numpy as np

from smallscale.simulation.brains import Brain, Fault
from smallscale.simulation.counter_rng import pick
from smallscale.simulation.questions import DETAIL, Question, vocabulary
from smallscale.simulation.world import DESTINATIONS, World

NEVER_ASKED = -1


class Answers:
    """The weights that the brain gave to each question asked, in the order of asking.

    Faults are answered by the question's fallback, and the question is asked again when
    it comes up next. A situation has a code: one whole number for who and the detail.

    By kind of question: sizes, how many values each part of a situation has; codes (m,)
    and weights (m, choices), the situations answered and their answers, where a choice
    is an option's value; row (situations,), where in these each code's answer stands,
    -1 for what was never asked. counts: of decisions, questions asked, and faults by
    reason. interview_faults: those of interviews by reason, which belong to whoever
    asked and are no part of the state.
    """

    def __init__(self, world: World, brain: Brain) -> None:
        self.world = world
        self.brain = brain
        self.counts = Counter[str]()
        self.interview_faults = Counter[str]()
        self.sizes: dict[str, tuple[int, ...]] = {}
        self.codes: dict[str, np.ndarray] = {}
        self.weights: dict[str, np.ndarray] = {}
        self.row: dict[str, np.ndarray] = {}
        words = vocabulary(world)
        choices = {"go": len(DESTINATIONS) + 1, "say": len(world.topics)}
        for kind, parts in DETAIL.items():
            if kind == "know":
                continue  # it is asked after the run, and not kept
            sizes = (len(world.people), *(len(words[part]) for part in parts))
            self.sizes[kind] = sizes
            self.codes[kind] = np.zeros(0, np.int64)
            self.weights[kind] = np.zeros((0, choices.get(kind, 2)))
            self.row[kind] = np.full(math.prod(sizes), NEVER_ASKED, np.int32)

    def copied(self) -> Self:
        """Return the same answers; what is asked of the copy is not kept here.

        The arrays are shared, for none is ever written into once it is in its place.
        """
        other = copy.copy(self)
        other.counts = self.counts.copy()
        other.codes = self.codes.copy()
        other.weights = self.weights.copy()
        other.row = self.row.copy()
        return other

    def choose(self, kind: str, draws: np.ndarray, *situation: Any) -> np.ndarray:
        """Return the option that each of n people chooses, as its value, (n,).

        draws (n,): in [0, 1), each person's luck. situation: who, then the question's
        detail, each a number or (n,).
        """
        codes = np.ravel_multi_index(np.broadcast_arrays(*situation), self.sizes[kind])
        self.counts["decisions"] += len(codes)
        row = self.row[kind].take(codes)
        unanswered = row == NEVER_ASKED
        if not unanswered.any():
            return pick(self.weights[kind], draws, row)
        failed, fallbacks = self._ask(kind, self._distinct(kind, codes[unanswered]))
        row = self.row[kind].take(codes)
        unanswered = row == NEVER_ASKED
        after_answers = len(self.weights[kind]) + np.searchsorted(failed, codes)
        row = np.where(unanswered, after_answers, row)
        return pick(np.concatenate([self.weights[kind], fallbacks]), draws, row)

    def _distinct(self, kind: str, codes: np.ndarray) -> np.ndarray:
        """Return each code once, ascending: `np.unique(codes)`, without sorting."""
        present = np.zeros(len(self.row[kind]), bool)
        present[codes] = True
        return np.flatnonzero(present)

    def _ask(self, kind: str, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ask what was never answered, and keep the answers.

        codes: ascending. Returns the codes whose answers failed, and their fallbacks.
        """
        questions = self.questions(kind, codes)
        failed = np.zeros(len(codes), bool)
        table = np.zeros((len(codes), self.weights[kind].shape[1]))
        replies = replies_of(self.brain, questions)
        for i, (question, weights) in enumerate(zip(questions, replies, strict=True)):
            if isinstance(weights, Fault):
                failed[i] = True
                self.counts[f"fault: {weights}"] += 1
                table[i, question.option_values[question.fallback]] = 1.0
            else:
                table[i, question.option_values] = weights
        self.counts["asked"] += len(codes)
        self._keep(kind, codes[~failed], table[~failed])
        return codes[failed], table[failed]

    def _keep(self, kind: str, codes: np.ndarray, weights: np.ndarray) -> None:
        first = len(self.codes[kind])
        row = self.row[kind].copy()
        row[codes] = first + np.arange(len(codes))
        self.row[kind] = row
        self.codes[kind] = np.concatenate([self.codes[kind], codes])
        self.weights[kind] = np.concatenate([self.weights[kind], weights])

    def questions(self, kind: str, codes: Any) -> list[Question]:
        """Return the questions that these codes stand for."""
        situations = np.transpose(np.unravel_index(codes, self.sizes[kind])).tolist()
        return [
            Question(self.world, kind, who, tuple(detail))
            for who, *detail in situations
        ]

    def answered(self) -> list[tuple[Question, np.ndarray]]:
        """Return every question that was answered, with the weights of its options."""
        found = []
        for kind, codes in self.codes.items():
            questions = self.questions(kind, codes)
            for question, weights in zip(questions, self.weights[kind], strict=True):
                found.append((question, weights[list(question.option_values)]))
        return found

    @property
    def faults(self) -> dict[str, int]:
        """How often the brain's answer could not be used, by reason."""
        total = self.interview_faults.copy()
        for name, count in self.counts.items():
            if name.startswith("fault: "):
                total[name.removeprefix("fault: ")] += count
        return dict(sorted(total.items()))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return codes and weights by name: with the counts, the whole state."""
        codes = {f"codes.{kind}": array for kind, array in self.codes.items()}
        weights = {f"weights.{kind}": array for kind, array in self.weights.items()}
        return {**codes, **weights}

    def restore(self, arrays: dict[str, np.ndarray], counts: dict[str, int]) -> None:
        """Put the answers back that `arrays` and `counts` described."""
        self.counts = Counter(counts)
        for kind in self.sizes:
            codes = arrays[f"codes.{kind}"]
            self.codes[kind] = codes
            self.weights[kind] = arrays[f"weights.{kind}"]
            self.row[kind][codes] = np.arange(len(codes))  # of a town just made


def replies_of(
    brain: Brain, questions: Sequence[Question]
) -> Sequence[list[float] | Fault]:
    """Ask the brain; whatever it does, return for each question what it says.

    That is the probabilities of its options, or the Fault for which there are none.
    """
    try:
        replies = list(brain.answer(questions))
    except Exception as error:  # the town goes on, and counts what happened
        return [Fault(f"{type(error).__name__} raised")] * len(questions)
    if len(replies) != len(questions):
        return [Fault("wrong number of answers")] * len(questions)
    return [
        _distribution(reply, len(question.options))
        for question, reply in zip(questions, replies, strict=True)
    ]


def _distribution(reply: Any, options: int) -> list[float] | Fault:
    """Return the reply as probabilities of the options, or the Fault that it is."""
    if isinstance(reply, Fault):
        return reply
    if isinstance(reply, (str, bytes, bytearray, Mapping, Set)):
        return Fault("not numbers")  # text, and what has no order of the options
    try:
        few = list(islice(reply, options + 1))
        if any(isinstance(weight, (str, bytes, bytearray)) for weight in few):
            return Fault("not numbers")
        weights = [float(weight) for weight in few]
    except Exception:  # a reply may be any object, and raise anything
        return Fault("not numbers")
    if len(weights) != options:
        return Fault("wrong number of weights")
    total = sum(weights)
    if not (0 < total < math.inf and min(weights) >= 0):
        return Fault("not a distribution")
    return [weight / total for weight in weights]
