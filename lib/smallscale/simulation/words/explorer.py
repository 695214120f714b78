"""What does this person remember? Step through one memory stream."""

from collections.abc import Sequence
from html import escape

import ipywidgets as widgets

from smallscale.notebook.explorer import Explorer
from smallscale.simulation.words.measures import chain_of
from smallscale.simulation.words.town import WordTown
from smallscale.simulation.world import clock


def stream_explorer(
    town: WordTown, people: Sequence[str], *, position: int = 0
) -> Explorer:
    """Return a scene and its sliders, for `explore`: a person, and a memory of theirs.

    people: whose streams are shown; it opens with the first, at this position.
    """
    longest = max(len(town.streams[town.row_of(person)]) for person in people)

    def scene(person: str, memory: int) -> str:
        return memory_scene(town, person, memory - 1)

    return scene, {
        "person": widgets.SelectionSlider(options=list(people), value=people[0]),
        "memory": widgets.IntSlider(value=position + 1, min=1, max=longest),
    }


def memory_scene(town: WordTown, person: str, position: int) -> str:
    """Return one memory as HTML; past the last memory, the last one."""
    row = town.row_of(person)
    stream = town.streams[row]
    position = min(position, len(stream) - 1)
    memory = stream.memories[position]
    sentence = (
        f"Memory {position + 1} of {len(stream)}, {clock(memory.created)}, "
        f"{memory.kind}, importance {memory.importance}, last in mind "
        f"{clock(stream.accessed[position])}."
    )
    parts = [f"<p>{escape(sentence)}</p>", f"<p><b>{escape(memory.text)}</b></p>"]
    if memory.evidence:
        rests = [stream.memories[i].text for i in memory.evidence]
        parts.append(_lines("It rests on:", rests))
    words = [
        f"{clock(each.hour)} {town.world.name_of(each.speaker)} to "
        f"{town.world.name_of(each.listener)}: “{each.text}”"
        for each in chain_of(town, row, position).utterances
    ]
    if words:
        parts.append(_lines("How it came here:", words))
    entry = town.plans[row].get(memory.created)
    if entry:
        parts.append(_lines("Planned for that hour:", [entry.text]))
    return "".join(parts)


def _lines(title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<p><em>{escape(title)}</em></p><ul>{items}</ul>"
