"""Who is where, and who talks to whom? The town as a film that one can scrub through, and read.

The film is made by letting the town run; the widget only shows it, so its slider answers without a kernel.
"""

from pathlib import Path
from typing import Any

import anywidget
import traitlets

from smallscale.simulation.measures import clock
from smallscale.simulation.town import Town
from smallscale.simulation.world import DAY, PUBLIC, World

MOST = 100  # people that a map can hold


def film(town: Town, steps: int) -> dict[str, Any]:
    """Run the town so many hours on, and record each: plain values, for the map.

    Raises ValueError for more than 100 people: the map shows one town, not a country.
    """
    n, world = len(town.ids), town.world
    if n > MOST or town.towns > 1:
        raise ValueError(
            f"people must be those of one town, at most {MOST}, to be drawn; got {n} in {town.towns} towns"
        )
    frames = []
    for _ in range(steps):
        hour, before = town.step, len(town.log)
        town.run(1)
        frames.append(_frame(town, hour, town.log[before:].tolist()))
    names = [world.names[i] for i in town.ids]
    initials = ["".join(part[0] for part in name.split()) for name in names]
    key = "A blue ring" + f" knows of {world.topics[1]}" if world.facts else ""
    if len(world.facts) > 1:
        key += f", an orange disc of {world.topics[2]}"
    key = f"{key}. A line is a talk, a thick orange one told news. Pale: asleep." if key else "A line is a talk."
    return {
        "places": _places(world),
        "public": len(PUBLIC),
        "names": names,
        "initials": initials,
        "frames": frames,
        "key": key,
    }


def _frame(town: Town, hour: int, talks: list[list[int]]) -> dict[str, Any]:
    world, facts = town.world, len(town.world.facts)
    awake = world.awake[town.ids, hour % DAY]
    names = [world.names[i] for i in town.ids]
    told = [
        f"{world.names[who]} tells {world.names[to]} of {world.topics[topic]}"
        for _, a, b, x, y in talks
        for who, to, topic in ((a, b, x), (b, a, y))
        if 0 < topic <= facts
    ]
    knows = [(town.heard[:, f] >= 0).nonzero()[0].tolist() for f in range(1, facts + 1)]
    count = " and ".join(f"{len(k)} know of {world.topics[f]}" for f, k in enumerate(knows, 1))
    sentence = f"{clock(hour)}. {int(awake.sum())} of {len(names)} are awake, {len(talks)} pairs talk."
    sentence += f" {'; '.join(told)}." * bool(told) + f" {count}." * bool(count)
    where = []
    for slot, place in enumerate(_places(world)):
        here = [names[i] + ("" if awake[i] else " (asleep)") for i in (town.place == slot).nonzero()[0]]
        if here:
            where.append(f"{place}: {', '.join(here)}")
    return {
        "clock": clock(hour),
        "at": town.place.tolist(),
        "asleep": (~awake).nonzero()[0].tolist(),
        "talks": [[a, b, int(0 < x <= facts or 0 < y <= facts)] for _, a, b, x, y in talks],
        "knows": knows,
        "sentence": sentence,
        "where": where,
    }


def _places(world: World) -> list[str]:
    return [*PUBLIC, *world.homes]


class TownMap(anywidget.AnyWidget):
    """The map of a film: `film` as `film()` gives it, `hour` the frame shown first and last chosen."""

    _esm = Path(__file__).with_name("townmap.js")
    film = traitlets.Dict().tag(sync=True)
    hour = traitlets.Int(0).tag(sync=True)

    def __repr__(self) -> str:
        frame = self.film["frames"][self.hour]
        return f"TownMap: {frame['sentence']}"


def town_map(recorded: dict[str, Any], hour: int | None = None) -> TownMap:
    """A widget that shows a film, opened at an hour of it; by default the one with the most news told."""
    frames = recorded["frames"]
    if not frames:
        raise ValueError("a film must have at least one hour")
    if hour is None:
        hour = max(range(len(frames)), key=lambda i: (sum(t[2] for t in frames[i]["talks"]), len(frames[i]["talks"])))
    if not 0 <= hour < len(frames):
        raise ValueError(f"hour must lie in 0..{len(frames) - 1}; got {hour}")
    return TownMap(film=recorded, hour=hour)
