"""What do they say when asked? Free questions after the run, answered from memory."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from smallscale.simulation.brains import Fault
from smallscale.simulation.words import prompts
from smallscale.simulation.words.facts import still_says
from smallscale.simulation.words.speakers import Speaker, words_from

if TYPE_CHECKING:
    from smallscale.simulation.words.town import WordTown

MINDS = 3  # memories that a question brings to mind


@dataclass(frozen=True)
class Interview:
    """What somebody answered.

    minds: the memories that came to mind, in words. claims: the names of the facts
    whose what the answer says. hallucinated: those of them of which the person never
    heard. fault: why there is no answer; empty where there is one.
    """

    person: str
    question: str
    answer: str
    minds: tuple[str, ...]
    claims: tuple[str, ...]
    hallucinated: tuple[str, ...]
    fault: str = ""


def interview(
    town: "WordTown", person: str, question: str, *, speaker: Speaker | None = None
) -> Interview:
    """Ask one person anything. The town does not notice: its state does not change."""
    (answer,) = interviews(town, [person], question, speaker=speaker)
    return answer


def interviews(
    town: "WordTown",
    people: list[str],
    question: str,
    *,
    speaker: Speaker | None = None,
) -> list[Interview]:
    """Ask several people the same question, in one batch.

    speaker: who finds the words; by default the one that the town lived by.
    """
    (quoted,) = [question.replace('"', "'").replace("\n", " ")]
    rows = [town.row_of(person) for person in people]
    minds = [minds_of(town, row, quoted) for row in rows]
    asked = [
        prompts.interview_prompt(town.name(row), quoted, found)
        for row, found in zip(rows, minds, strict=True)
    ]
    replies = words_from(speaker or town.speaker, asked)
    return [
        _judged(town, row, quoted, found, reply)
        for row, found, reply in zip(rows, minds, replies, strict=True)
    ]


def minds_of(town: "WordTown", row: int, question: str) -> list[str]:
    """Return the memories that a question brings to somebody's mind, best first."""
    stream = town.streams[row]
    found = stream.retrieve(question, town.step, MINDS, rule=town.rule, touch=False)
    return [stream.memories[i].text for i in found]


def _judged(
    town: "WordTown", row: int, question: str, minds: list[str], reply: str | Fault
) -> Interview:
    name = town.name(row)
    fault = str(reply) if isinstance(reply, Fault) else ""
    answer = "" if fault else str(reply)
    claimed = [
        f
        for f, fact in enumerate(town.news)
        if f and still_says(fact, answer, speaker=name)["what"]
    ]
    facts = town.world.facts
    return Interview(
        person=name,
        question=question,
        answer=answer,
        minds=tuple(minds),
        claims=tuple(facts[f - 1].name for f in claimed),
        hallucinated=tuple(
            facts[f - 1].name for f in claimed if town.heard[row, f] < 0
        ),
        fault=fault,
    )
