"""What do people make of it? Whoever has gathered enough thinks it over.

After Park et al. 2023, section 4.2, where a language model writes an insight from
several memories. Here a thought joins two of them: one of the most important topics of
the latest memories, and the person who stands in most of these. From then on the topic
comes to mind more readily in that person's company.
"""

from typing import NamedTuple

import numpy as np

from smallscale.simulation.memory import EVIDENCE, THOUGHT
from smallscale.simulation.state import NOBODY, REFLECTION_THRESHOLD, TownState

TOPICS_TO_REFLECT_ON = 3
RECENT = 30  # the latest memories among which these topics are looked for


class Thoughts(NamedTuple):
    """One thought of each of some people. evidence (rows, 3): serials, -1 for none."""

    rows: np.ndarray
    topic: np.ndarray
    subject: np.ndarray
    importance: np.ndarray
    evidence: np.ndarray


def reflect(town: TownState) -> None:
    """Let whoever has gathered enough importance write down three thoughts."""
    rows = np.flatnonzero(town.trigger <= 0)
    if len(rows) == 0:
        return
    for thoughts in _think(town, rows):
        town.memory.write(
            thoughts.rows,
            town.step,
            kind=THOUGHT,
            topic=thoughts.topic,
            subject=thoughts.subject,
            importance=thoughts.importance,
            evidence=thoughts.evidence,
        )
    town.trigger[rows] = REFLECTION_THRESHOLD


def _think(town: TownState, rows: np.ndarray) -> list[Thoughts]:
    """Return up to three thoughts of each of these people, before any is written."""
    memory = town.memory
    latest = memory.latest(rows, min(RECENT, memory.slots))
    topics = memory.at("topic", latest, rows)
    importance = memory.at("importance", latest, rows)
    weight = np.where(topics > 0, importance, -1)  # -1: a free slot, or thought about
    companion = _met_most(town, rows, latest)
    thoughts = []
    for _ in range(TOPICS_TO_REFLECT_ON):
        best = weight.argmax(0)  # of equals, the latest
        there = weight.max(0) > 0
        slots = latest[best, np.arange(len(rows))]
        focus = memory.at("topic", slots, rows)
        weight[topics == focus] = -1
        about = _thoughts_about(town, rows[there], slots[there], companion[there])
        thoughts.append(about)
    return thoughts


def _met_most(town: TownState, rows: np.ndarray, latest: np.ndarray) -> np.ndarray:
    """Return the id of the person in most of each one's latest memories, (rows,).

    Of equals, the one met latest; oneself where there is nobody else.
    latest (few, rows): the slots of these memories, newest first.
    """
    own = town.ids[rows]
    subjects = town.memory.at("subject", latest, rows)
    somebody = (subjects != NOBODY) & (subjects != own)
    times = np.stack([(subjects == each).sum(0) for each in subjects])
    times[~somebody] = 0
    most = subjects[times.argmax(0), np.arange(len(rows))]
    companion: np.ndarray = np.where(somebody.any(0), most, own)
    return companion


def _thoughts_about(
    town: TownState, rows: np.ndarray, slots: np.ndarray, companion: np.ndarray
) -> Thoughts:
    """Return a thought of each person about a memory of theirs and a companion."""
    memory = town.memory
    topic = memory.at("topic", slots, rows)
    importance = memory.at("importance", slots, rows)
    evidence = memory.retrieve(rows, topic, companion, town.step, EVIDENCE, town.rule)
    return Thoughts(
        rows=rows,
        topic=topic,
        subject=companion,
        importance=importance,
        evidence=memory.serials(evidence, rows).T,
    )
