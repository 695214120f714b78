"""Who decides? A brain answers questions: it says how likely each option is.

It is asked once for all people in the same situation, and each person then draws from
the answer. That is why a million people cost a brain no more than a few thousand
questions.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from smallscale.core.validation import require
from smallscale.simulation.questions import UNPLANNED, Question
from smallscale.simulation.world import DESTINATIONS, OUTINGS, ROUTINE_LETTERS, TONES


class Fault(str):
    """Why a brain's answer cannot be used, in two or three words, for counting."""


class Brain(Protocol):
    """What decides for people.

    name: what a checkpoint remembers of it, so a brain that decides otherwise needs
    another. A brain whose name does not tell which model it asks may have two more
    attributes, each a str: identity, which a checkpoint remembers in place of the name;
    and origin, where the model is, which a checkpoint remembers too.
    """

    name: str

    def answer(
        self, questions: Sequence[Question]
    ) -> Sequence[Sequence[float] | Fault]:
        """Return for each question the weight of each option, or a Fault.

        Weights must not be negative, and not all 0; they need not sum to 1.
        """


class Scripted:
    """The rules of the town, written by hand.

    The numbers are habits of people who do not exist; nothing was fitted to them.
    """

    name = "scripted"
    KEEPS_PLAN = 0.85  # the chance to do what the plan says
    ATTENDS = 0.9  # the chance to go to an event that one means to attend
    TALKS = (0.15, 0.25, 0.4)  # the chance to talk: stranger, acquainted, close
    TONE_FACTORS = (0.5, 1.0, 1.5)  # multiply it: quiet, even, chatty
    NEWS = 0.2  # added to the weight 1 of small talk for each point of importance
    JOINS = (0.3, 0.5, 0.7)  # the chance to accept: stranger, acquainted, close

    def answer(self, questions: Sequence[Question]) -> list[Sequence[float] | Fault]:
        """Return the weights of each question's options, by the rule for its kind."""
        rules = {
            "go": self._go,
            "talk": self._talk,
            "say": self._say,
            "join": self._join,
            "know": self._know,
        }
        return [rules[question.kind](question) for question in questions]

    def _go(self, question: Question) -> list[float]:
        plan = question.numbers["plan"]
        if plan == UNPLANNED:  # as often as the routine has them there
            awake = [letter for letter in question.person.routine if letter != "."]
            places = [ROUTINE_LETTERS[letter] for letter in awake]
            weights = [float(places.count(place)) for place in DESTINATIONS]
        else:
            elsewhere = (1 - self.KEEPS_PLAN) / len(OUTINGS)
            weights = [0.0, 0.0, *[elsewhere] * len(OUTINGS)]
            weights[plan] += self.KEEPS_PLAN
        if not question.numbers["event"]:
            return weights
        total = sum(weights)
        usual = [(1 - self.ATTENDS) * weight / total for weight in weights]
        return [*usual, self.ATTENDS]

    def _talk(self, question: Question) -> list[float]:
        relation = question.numbers["relation"]
        tone = self.TONE_FACTORS[TONES.index(question.person.tone)]
        talks = self.TALKS[relation] * tone
        return [1 - talks, talks]

    def _say(self, question: Question) -> list[float]:
        facts = question.world.facts
        weights = []
        for topic in question.option_values:
            is_news = 0 < topic <= len(facts)
            importance = facts[topic - 1].importance if is_news else 0
            weights.append(1 + self.NEWS * importance)
        return weights

    def _join(self, question: Question) -> list[float]:
        joins = self.JOINS[question.numbers["relation"]]
        return [1 - joins, joins]

    def _know(self, question: Question) -> list[float]:
        comes_to_mind = question.numbers["mind"] > 0
        return [float(not comes_to_mind), float(comes_to_mind)]


class Uniform:
    """A brain that knows nothing: each option is as likely as the others.

    What any other brain must beat, kind of question by kind of question.
    """

    name = "uniform"

    def answer(self, questions: Sequence[Question]) -> list[Sequence[float] | Fault]:
        """Return the same weight for each of a question's options."""
        return [[1.0] * len(question.options) for question in questions]


def identity_of(brain: Any) -> str:
    """Return what a checkpoint remembers of a brain or a speaker: its identity, else
    its name."""
    return str(getattr(brain, "identity", brain.name))


def origin_of(brain: Any) -> str:
    """Return where the model of a brain or a speaker is, as a checkpoint remembers it;
    empty for here."""
    return str(getattr(brain, "origin", ""))


def check_same(
    path: object, what: str, ran: tuple[str, str], given: tuple[str, str], loader: str
) -> None:
    """Refuse a brain or a speaker that is not the one which ran a checkpoint's town.

    path: the checkpoint. what: "brain" or "speaker". ran, given: what each is, and
    where its model is. loader: what reads the checkpoint, for the message.
    """
    require(
        ran[0] == given[0],
        f"{path} was run by the {what} {ran[0]!r}, not {given[0]!r}; "
        f"give a {what} that is the same: {loader}(path, {what}=…)",
    )
    require(
        ran[1] == given[1],
        f"{path} was run by {ran[0]!r} at {ran[1]!r}, not at {given[1]!r}; if the same "
        f"model has moved, give its {what} origin={ran[1]!r}",
    )


def checked_brain(brain: Any) -> Brain:
    """Return the brain, "scripted" or an object; ValueError for one that is neither."""
    is_scripted = isinstance(brain, str) and brain == "scripted"
    given: Brain = Scripted() if is_scripted else brain
    named = isinstance(getattr(given, "name", None), str)
    answers = callable(getattr(given, "answer", None)) and not isinstance(given, type)
    if not named or not answers:
        raise ValueError(
            'brain must be "scripted" or an object with a name and '
            f"answer(questions); got {brain!r}"
        )
    return given
