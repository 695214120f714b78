"""How does one person's day read? Plan, talks, and the evening's reflection."""

import tempfile
from pathlib import Path
from typing import Any

from smallscale.core.folders import run_folder
from smallscale.simulation.words.interviews import Interview
from smallscale.simulation.words.town import WordTown
from smallscale.simulation.words.wordmap import Box, lay_out, standing
from smallscale.simulation.world import HOURS_IN_DAY, WEEKDAYS, clock


def film(town: WordTown, hours: int) -> list[dict[str, Any]]:
    """Let a town live for some hours; return a frame for each, for `word_map`."""
    frames = []
    for _ in range(hours):
        hour = town.step
        spoken = len(town.utterances)
        town.run(1)
        says: dict[int, str] = {}
        for utterance in town.utterances[spoken:]:
            says.setdefault(utterance.speaker, utterance.text)
        frames.append({"hour": hour, "people": _standing(town, says)})
    return frames


def boxes_of(town: WordTown) -> list[Box]:
    """Return the places of a town on its map."""
    everybody = dict.fromkeys(town.world.places, len(town.ids) // 2)
    return lay_out(town.world.homes, {**everybody, **_family_sizes(town)})


def _family_sizes(town: WordTown) -> dict[str, int]:
    homes = [person.home for person in town.world.people]
    return {home: homes.count(home) for home in homes}


def _standing(town: WordTown, says: dict[int, str]) -> list[dict[str, Any]]:
    places = town.world.places
    names = [town.name(row) for row in range(len(town.ids))]
    at = {name: places[p] for name, p in zip(names, town.place, strict=True)}
    spots = standing(boxes_of(town), at)
    return [
        {
            "name": name,
            "x": round(spots[name][0], 4),
            "y": round(spots[name][1], 4),
            "says": says.get(int(town.ids[row]), ""),
            "stream": [
                f"{clock(m.created)}: {m.text}" for m in town.streams[row].memories
            ],
        }
        for row, name in enumerate(names)
    ]


def keep(page: str, name: str = "town-in-words.html") -> str:
    """Write a page into the run's own folder, and return in words where it is.

    By hand there is no such folder: then into a new one for temporary files, which
    nobody else can have prepared.
    """
    kept = run_folder()
    place = kept or Path(tempfile.mkdtemp(prefix="smallscale-"))
    (place / name).write_text(page, encoding="utf-8")
    return f"`{name}` in the run's own folder" if kept else f"`{place / name}`"


def one_day(town: WordTown, person: str, day: int = 0) -> str:
    """Return one person's day as Markdown. day: 0 for Monday."""
    row = town.row_of(person)
    begin = day * HOURS_IN_DAY
    end = begin + HOURS_IN_DAY
    parts = [
        f"**{person}, {WEEKDAYS[day]}: the plan**",
        _list(_plan(town, row, begin, end)),
        "**Talk, turn by turn**",
        _list(_talks(town, row, begin, end)),
        "**Thoughts, and what they rest on**",
        _list(_thoughts(town, row, begin, end)),
    ]
    return "\n\n".join(parts)


def asked(answer: Interview) -> str:
    """Return an interview as Markdown."""
    minds = "".join(f"\n- came to mind: {plain(text)}" for text in answer.minds)
    said = (
        f"“{plain(answer.answer)}”" if answer.answer else f"(no words: {answer.fault})"
    )
    return f"**{answer.person}**, asked “{plain(answer.question)}”: {said}\n{minds}"


def plain(text: str) -> str:
    """Return what somebody said so that Markdown shows it as it is."""
    for mark in r"\`*_<>[]#|$":
        text = text.replace(mark, f"\\{mark}")
    return text


def _plan(town: WordTown, row: int, begin: int, end: int) -> list[str]:
    return [
        plain(memory.text)
        for memory in town.streams[row].memories
        if memory.kind == "planned" and begin <= memory.created < end
    ]


def _talks(town: WordTown, row: int, begin: int, end: int) -> list[str]:
    """Return what was said to and by a person, and the memory that it was about."""
    me = int(town.ids[row])
    lines = []
    for utterance in town.utterances:
        if begin <= utterance.hour < end and me in (
            utterance.speaker,
            utterance.listener,
        ):
            who = town.world.name_of(utterance.speaker)
            to = town.world.name_of(utterance.listener)
            _, time = clock(utterance.hour).split()
            line = f"{time} {who} to {to}: “{plain(utterance.text)}”"
            if utterance.speaker == me and utterance.memory >= 0:
                about = town.streams[row].memories[utterance.memory].text
                line += f" (in mind: {plain(about)})"
            lines.append(line)
    return lines


def _thoughts(town: WordTown, row: int, begin: int, end: int) -> list[str]:
    stream = town.streams[row].memories
    lines = []
    for memory in stream:
        if memory.kind == "thought" and begin <= memory.created < end:
            _, time = clock(memory.created).split()
            rests = "; ".join(plain(stream[i].text) for i in memory.evidence)
            why = f" (because of: {rests})" if rests else ""
            lines.append(f"{time} {plain(memory.text)}{why}")
    return lines


def _list(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines) or "- nothing"
