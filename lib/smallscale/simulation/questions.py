"""What is asked? Everything a person decides is a question with a few lettered options.

Five kinds of question make up a life here: where to go, whether to talk, what to say,
whether to join an event, and, after the run, whether one knows of a fact.
"""

from collections.abc import Sequence
from typing import Any

from smallscale.simulation.world import DESTINATIONS, HOURS_IN_DAY, World

RELATIONS = ("a stranger", "an acquaintance", "somebody close")
STRANGER = 0  # positions in RELATIONS
ACQUAINTED = 1
CLOSE = 2
UNPLANNED = len(DESTINATIONS)  # in the place of a plan: there is none
TOPICS_IN_MIND = 3  # memories that come to mind before somebody speaks

# The numbers of a question's detail, by kind. What each of them says is in
# `vocabulary`.
DETAIL = {
    "go": ("hour", "plan", "event"),
    "talk": ("relation",),
    "say": ("relation", "first", "second", "third"),
    "join": ("relation", "fact"),
    "know": ("fact", "mind"),
}
TEMPLATES = {
    "go": ("{person}. It is {hour}:00. Plan: {plan}.{event} {choices}. {name} goes to"),
    "talk": ("{person}. Stands next to {relation}. {choices}. {name} begins to talk:"),
    "say": (
        "{person}. Talks to {relation}, with this in mind. {choices}. {name} speaks of"
    ),
    "join": (
        "{person}. Hears of {fact}, given by {relation}. {choices}. {name} will go:"
    ),
    "know": (
        "{person}. Is asked about {fact}. Comes to mind: {mind}. {choices}. "
        "{name} has heard of it:"
    ),
}


class Question:
    """One situation in which somebody must choose.

    kind: one of DETAIL. who: the person, as a position in the world's people.
    detail: whole numbers, by kind:
        go: the hour; the plan, a position in DESTINATIONS or UNPLANNED; the event that
        is
            on now and that they mean to attend, a fact's number, or 0.
        talk: the relation to the neighbour.
        say: the relation to the listener; three topics in mind, ascending, 0 for none.
        join: the relation to the host; the number of the fact they have just heard of.
        know: the number of the fact they are asked about; the same number once more if
        a
            memory of it comes to mind, else 0.

    numbers: the detail by name, as in DETAIL.

    options: what can be chosen, in words. option_values: the number of each option: for
        go a position in DESTINATIONS, or one more for the event; for say a topic; else
        0 for no and 1 for yes. letters: of each option, A for the value 0 and so on.
    fallback: the position of what is done where the brain fails: keep to the plan (or
    go
        home), stay silent, make small talk, do not go, do not claim to know.
    """

    def __init__(
        self, world: World, kind: str, who: int, detail: tuple[int, ...]
    ) -> None:
        self.world = world
        self.kind = kind
        self.who = who
        self.detail = detail
        self.numbers = dict(zip(DETAIL[kind], detail, strict=True))
        self.person = world.people[who]
        self.option_values: tuple[int, ...] = (0, 1)
        self.fallback = 0
        words: Sequence[str] = ("no", "yes")
        if kind == "go":
            event = self.numbers["event"]
            plan = self.numbers["plan"]
            words = (*DESTINATIONS, world.topics[event]) if event else DESTINATIONS
            self.option_values = tuple(range(len(words)))
            self.fallback = 0 if plan == UNPLANNED else plan
        elif kind == "say":
            topics = {self.numbers[part] for part in ("first", "second", "third")}
            words = world.topics
            self.option_values = tuple(sorted(topics - {0})) or (0,)
            self.fallback = len(self.option_values) - 1  # the last: facts come first
        self.options = tuple(words[value] for value in self.option_values)
        self.letters = "".join(chr(ord("A") + value) for value in self.option_values)

    @property
    def text(self) -> str:
        """The question as a language model reads it; one of the letters comes next."""
        known = vocabulary(self.world)
        words = {part: known[part][number] for part, number in self.numbers.items()}
        lettered = zip(self.letters, self.options, strict=True)
        choices = ", ".join(f"{letter} {option}" for letter, option in lettered)
        who = self.person
        return TEMPLATES[self.kind].format(
            person=f"{who.name}, {who.job}, {who.age}, {who.tone}",
            name=who.name,
            choices=choices,
            **words,
        )


def vocabulary(world: World) -> dict[str, Sequence[Any]]:
    """Return what each number of a question's detail says, by the names in DETAIL."""
    facts = world.topics[: len(world.facts) + 1]
    on_now = [f" {fact.capitalize()} is on now." for fact in facts[1:]]
    return {
        "hour": range(HOURS_IN_DAY),
        "plan": (*DESTINATIONS, "none"),
        "event": ("", *on_now),
        "relation": RELATIONS,
        "first": world.topics,
        "second": world.topics,
        "third": world.topics,
        "fact": facts,
        "mind": facts,
    }
