"""What do people say when asked? Interviews after a run, and memories in words."""

from dataclasses import dataclass

import numpy as np

from smallscale.core.validation import require
from smallscale.simulation.answers import replies_of
from smallscale.simulation.brains import Brain, Fault
from smallscale.simulation.memory import HEARD, SEEN
from smallscale.simulation.questions import Question
from smallscale.simulation.state import NEVER, NOBODY
from smallscale.simulation.town import Town
from smallscale.simulation.world import clock

MEMORIES_TOLD = 5  # that somebody who is asked tells of


@dataclass(frozen=True)
class Interview:
    """What somebody answers when asked about a fact after the run.

    says: "yes" or "no". minds: the memories that came to mind, in words. heard: whether
    they ever heard of the fact. hallucinated: whether they claim to know what they
    never heard. fault: why the brain's answer could not be used, so that they say no;
    empty where it was used.
    """

    person: str
    fact: str
    says: str
    minds: tuple[str, ...]
    heard: bool
    hallucinated: bool
    fault: str = ""


def interview(
    town: Town, person: str, fact: str, *, brain: Brain | None = None
) -> Interview:
    """Ask a person of the first town whether they have heard of a fact.

    The town does not notice: nothing in its state changes. An answer that cannot be
    used is counted in `town.faults`. brain: who answers; by default the one that the
    town lived by.
    """
    f = town.world.fact_number(fact)
    row = _row_of(town, person)
    slots = _memories_in_mind(town, row, f)
    comes_to_mind = (town.memory.topic[slots, row] == f).any()
    detail = (f, f if comes_to_mind else 0)
    question = Question(town.world, "know", int(town.who[row]), detail)
    (weights,) = replies_of(brain or town.brain, [question])
    fault = str(weights) if isinstance(weights, Fault) else ""
    if fault:
        town.answers.interview_faults[fault] += 1
    option = question.fallback if fault else int(np.argmax(weights))
    says = question.options[option]
    heard = bool(town.heard[row, f] != NEVER)
    return Interview(
        person=person,
        fact=fact,
        says=says,
        minds=tuple(memory_in_words(town, row, slot) for slot in slots),
        heard=heard,
        hallucinated=says == "yes" and not heard,
        fault=fault,
    )


def _memories_in_mind(town: Town, row: int, f: int) -> np.ndarray:
    """Return the slots of the memories that a fact brings to mind, best first."""
    slots = town.memory.retrieve(
        np.array([row]), f, NOBODY, town.step, MEMORIES_TOLD, town.rule, touch=False
    )[:, 0]
    found: np.ndarray = slots[slots >= 0]
    return found


def diary(town: Town, person: str) -> list[str]:
    """Return all that a person of the first town remembers, the oldest memory first."""
    row = _row_of(town, person)
    kept = min(town.memory.slots, int(town.memory.count[row]))
    newest_first = town.memory.latest(np.array([row]), kept)[:, 0]
    return [memory_in_words(town, row, slot) for slot in newest_first[::-1]]


def memory_in_words(town: Town, row: int, slot: int) -> str:
    """Return one memory as a sentence."""
    memory = town.memory
    kind = int(memory.kind[slot, row])
    topic = int(memory.topic[slot, row])
    subject = int(memory.subject[slot, row])
    when = clock(int(memory.created[slot, row]))
    who = town.world.name_of(subject)
    is_news = topic <= len(town.world.facts)
    about = town.world.facts[topic - 1].words if is_news else town.world.topics[topic]
    if kind == SEEN:
        return f"{when}: saw {who}, at {about}"
    if kind != HEARD:
        return f"{when}: thought about {who} and this: {about}"
    if subject == town.ids[row]:
        return f"{when}: knew that {about}"
    return f"{when}: {who} {'said that' if is_news else 'talked of'} {about}"


def _row_of(town: Town, person: str) -> int:
    """Return the row of a person of the first town."""
    position = town.world.person_number(person)
    rows = np.flatnonzero(town.ids == position)
    require(
        len(rows),
        f"{person} is not among the {len(town.ids)} people of this run; "
        "run with more people",
    )
    return int(rows[0])
