"""What do people make of it? Whoever has gathered enough thinks it over.

After Park et al. 2023, section 4.2: the most important topics of the latest memories
are thought about, each with the memories that come to mind as evidence.
"""

from typing import NamedTuple

import numpy as np

from smallscale.simulation.memory import EVIDENCE, THOUGHT
from smallscale.simulation.state import REFLECTION_THRESHOLD, TownState

TOPICS_TO_REFLECT_ON = 3
RECENT = 30  # the latest memories among which these topics are looked for
GREATEST_IMPORTANCE = 10


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
    thoughts = []
    for _ in range(TOPICS_TO_REFLECT_ON):
        best = weight.argmax(0)  # of equals, the latest
        there = weight.max(0) > 0
        slots = latest[best, np.arange(len(rows))]
        focus = memory.at("topic", slots, rows)
        weight[topics == focus] = -1
        thoughts.append(_thoughts_about(town, rows[there], slots[there]))
    return thoughts


def _thoughts_about(town: TownState, rows: np.ndarray, slots: np.ndarray) -> Thoughts:
    """Return a thought of each person about one of their memories."""
    memory = town.memory
    topic = memory.at("topic", slots, rows)
    subject = memory.at("subject", slots, rows)
    importance = memory.at("importance", slots, rows)
    evidence = memory.retrieve(rows, topic, subject, town.step, EVIDENCE, town.rule)
    return Thoughts(
        rows=rows,
        topic=topic,
        subject=subject,
        importance=np.minimum(GREATEST_IMPORTANCE, importance + 1),
        evidence=memory.serials(evidence, rows).T,
    )
