"""What do people make of it, in words? Questions, and insights with their evidence.

After Park et al. 2023, section 4.2: when the importance of what happened adds up to a
threshold, one asks what the latest memories are about, retrieves memories for each
question, and keeps an insight that points to them. The paper asks three questions,
retrieves thirty memories for each and draws five insights; here it is one question,
three memories and one insight, for a small model loses its way among more.
"""

from typing import TYPE_CHECKING

import numpy as np

from smallscale.simulation.brains import Fault
from smallscale.simulation.state import REFLECTION_THRESHOLD
from smallscale.simulation.words import prompts
from smallscale.simulation.words.stream import Memory

if TYPE_CHECKING:
    from smallscale.simulation.words.town import WordTown

RECENT = 30  # the latest memories, of which the most important are thought about
SALIENT = 3  # of these
EVIDENCE = 3  # memories that a question brings to mind
LEAST = 2  # memories that one can conclude from


def reflect(town: "WordTown") -> None:
    """Let whoever has gathered enough importance ask a question and answer it.

    All questions are asked in one batch, then all insights.
    """
    rows = [int(row) for row in np.flatnonzero(town.trigger <= 0)]
    rows = [row for row in rows if len(town.streams[row]) >= LEAST]
    town.trigger[rows] = REFLECTION_THRESHOLD
    questions = focal_questions(town, rows)
    evidence = {
        row: town.streams[row].retrieve(question, town.step, EVIDENCE, rule=town.rule)
        for row, question in questions.items()
    }
    asked = [
        prompts.insight_prompt(town.name(row), questions[row], _texts(town, row, found))
        for row, found in evidence.items()
    ]
    replies = town.ask(asked)
    thoughts = []
    for (row, found), insight in zip(evidence.items(), replies, strict=True):
        if not isinstance(insight, Fault):
            thoughts.append((row, _thought(town, row, found, insight)))
    town.remember(thoughts)


def focal_questions(town: "WordTown", rows: list[int]) -> dict[int, str]:
    """Return the question that each of these people asks; a fault leaves one out."""
    asked = [
        prompts.focus_prompt(town.name(row), _texts(town, row, salient(town, row)))
        for row in rows
    ]
    replies = town.ask(asked)
    return {
        row: reply
        for row, reply in zip(rows, replies, strict=True)
        if not isinstance(reply, Fault)
    }


def salient(town: "WordTown", row: int) -> list[int]:
    """Return the most important of somebody's latest memories, the newest first."""
    stream = town.streams[row]
    latest = stream.latest(RECENT)
    ranked = sorted(latest, key=lambda i: -stream.memories[i].importance)
    return sorted(ranked[:SALIENT], reverse=True)


def _texts(town: "WordTown", row: int, positions: list[int]) -> list[str]:
    return [town.streams[row].memories[i].text for i in positions]


def _thought(town: "WordTown", row: int, found: list[int], insight: str) -> Memory:
    """Return an insight as a memory; it goes back to a fact if its evidence does."""
    memories = [town.streams[row].memories[i] for i in found]
    news = [memory for memory in memories if memory.fact]
    about = next((memory.about for memory in memories if memory.about), "")
    return Memory(
        insight,
        "thought",
        town.step,
        min(prompts.MOST_IMPORTANT, max(memory.importance for memory in memories)),
        evidence=tuple(found),
        about=about,
        fact=news[0].fact if news else 0,
        retellings=news[0].retellings if news else 0,
    )
