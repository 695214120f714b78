"""Who is where, and who talks to whom? The town as a film that one can scrub through, and read.

The film is made by letting the town run; the widget only shows it, so its slider answers without a kernel.
"""

from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from smallscale.simulation.checks import require
from smallscale.simulation.measures import clock
from smallscale.simulation.town import Town
from smallscale.simulation.world import DAY, PUBLIC

MOST = 100  # people that a map can hold


def film(town: Town, steps: int) -> dict[str, Any]:
    """Run the town so many hours on, and record each: plain values, for the map.

    Raises ValueError for more than 100 people: the map shows one town, not a country.
    """
    n, towns, world = len(town.ids), town.towns, town.world
    if n > MOST or towns > 1:
        raise ValueError(
            f"people must be those of one town, at most {MOST}, to be drawn; got {n} in {towns} towns"
        )
    names, facts = (
        [world.names[i] for i in town.ids],
        world.topics[1 : len(world.facts) + 1],
    )
    frames = [_next_hour(town, names) for _ in range(steps)]
    return {
        "places": world.places,
        "public": len(PUBLIC),
        "names": names,
        "facts": facts,
        "frames": frames,
    }


def _next_hour(town: Town, names: list[str]) -> dict[str, Any]:
    """Let an hour pass, and tell of it: by number for the drawing, in words for the text below it."""
    world, topics, hour, before = (
        town.world,
        town.world.topics,
        town.step,
        len(town.log),
    )
    talks, facts = town.run(1).log[before:].tolist(), range(1, len(world.facts) + 1)
    awake = world.awake[town.ids, hour % DAY]
    spoken = [
        (who, to, topic)
        for _, a, b, x, y in talks
        for who, to, topic in ((a, b, x), (b, a, y))
    ]
    told = "; ".join(
        f"{world.names[a]} tells {world.names[b]} of {topics[f]}"
        for a, b, f in spoken
        if f in facts
    )
    knows = [np.flatnonzero(town.heard[:, f] >= 0).tolist() for f in facts]
    count = " and ".join(
        f"{len(k)} know of {topics[f]}" for f, k in zip(facts, knows, strict=True)
    )
    sentence = f"{clock(hour)}. {awake.sum()} of {len(names)} are awake, {len(talks)} pairs talk."
    people = [
        f"{name}{'' if up else ' (asleep)'}"
        for name, up in zip(names, awake, strict=True)
    ]
    here = [
        [people[i] for i in np.flatnonzero(town.place == slot)]
        for slot in range(len(world.places))
    ]
    return {
        "clock": clock(hour),
        "at": town.place.tolist(),
        "asleep": np.flatnonzero(~awake).tolist(),
        "talks": [[a, b, int(x in facts or y in facts)] for _, a, b, x, y in talks],
        "knows": knows,
        "sentence": sentence + f" {told}." * bool(told) + f" {count}." * bool(count),
        "where": [
            f"{place}: {', '.join(who)}"
            for place, who in zip(world.places, here, strict=True)
            if who
        ],
    }


class TownMap(anywidget.AnyWidget):
    """The map of a film: `film` as `film()` gives it, `hour` the frame shown first and last chosen."""

    _esm = Path(__file__).with_name("townmap.js")
    film = traitlets.Dict().tag(sync=True)
    hour = traitlets.Int(0).tag(sync=True)

    def __repr__(self) -> str:
        return f"TownMap: {self.film['frames'][self.hour]['sentence']}"


def town_map(recorded: dict[str, Any], hour: int | None = None) -> TownMap:
    """A widget that shows a film, opened at an hour of it; by default the one with the most news told."""
    frames = recorded["frames"]
    require(frames, "a film must have at least one hour")
    if hour is None:
        news = [
            (sum(told for *_, told in frame["talks"]), len(frame["talks"]))
            for frame in frames
        ]
        hour = news.index(max(news))
    require(
        0 <= hour < len(frames), f"hour must lie in 0..{len(frames) - 1}; got {hour}"
    )
    return TownMap(film=recorded, hour=hour)
