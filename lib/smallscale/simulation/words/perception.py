"""What do people see, in words? Others and objects, but nothing twice in a row.

After Park et al. 2023, section 4.1 and their program: at most three others in an hour
(attention bandwidth), and nothing that is among the latest five sights (retention).
"""

from typing import TYPE_CHECKING

import numpy as np

from smallscale.simulation.conversations import Circles
from smallscale.simulation.perception import IMPORTANCE_OF_SEEING, RETENTION
from smallscale.simulation.words.objects import seen_in
from smallscale.simulation.words.stream import Memory
from smallscale.simulation.world import PUBLIC_PLACES

if TYPE_CHECKING:
    from smallscale.simulation.words.town import WordTown


def notice(town: "WordTown", circles: Circles) -> None:
    """Let everybody who is awake remember whom and what they see."""
    memories = []
    for row in town.awake():
        sights = [*_objects(town, row), *_people(town, row, circles)]
        stream = town.streams[row]
        seen = [i for i in stream.latest(len(stream)) if _is_sight(stream.memories[i])]
        latest = {stream.memories[i].text for i in seen[:RETENTION]}
        memories += [(int(row), sight) for sight in sights if sight.text not in latest]
    town.remember(memories)


def _is_sight(memory: Memory) -> bool:
    return memory.kind == "saw"


def _objects(town: "WordTown", row: int) -> list[Memory]:
    """Return what somebody sees of the objects around, in their states."""
    place = int(town.place[row])
    if place >= len(PUBLIC_PLACES):
        return []
    return [
        Memory(text, "saw", town.step, importance)
        for text, importance in seen_in(PUBLIC_PLACES[place], town.step)
    ]


def _people(town: "WordTown", row: int, circles: Circles) -> list[Memory]:
    """Return whom somebody sees: the next few in their circle."""
    others = circles.following[:, row]
    sights = []
    for other in others[others >= 0]:
        name = town.name(int(other))
        text = f"I saw {name} {_here(town, row, int(other))}."
        sights.append(Memory(text, "saw", town.step, IMPORTANCE_OF_SEEING, about=name))
    return sights


def _here(town: "WordTown", row: int, other: int) -> str:
    """Return where the two are, in words that do not depend on who says them."""
    place = int(town.place[row])
    if place < len(PUBLIC_PLACES):
        return f"in the {PUBLIC_PLACES[place]}"
    assert np.equal(town.place[other], place)
    return "at home"
