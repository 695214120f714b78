"""Who is where, and who talks to whom? The town as a film to scrub through and read.

The film is made by letting the town run; the widget only shows it, so its slider
answers without a kernel. `townmap.js` draws it; where it cannot run, a still picture
stands.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from smallscale.core.validation import require, whole_number
from smallscale.simulation.state import NEVER, LogColumn
from smallscale.simulation.still import still_picture
from smallscale.simulation.town import Town, warn_of_faults
from smallscale.simulation.world import HOURS_IN_DAY, PUBLIC_PLACES, clock

MOST_PEOPLE_DRAWN = 100


def film(town: Town, steps: int) -> dict[str, Any]:
    """Run the town for `steps` hours and record each of them, as plain values.

    Returns, for `town_map`: places, names, facts; public, how many of the places are
    public ones; frames, one for each hour.
    Raises ValueError for more than 100 people: the map shows one town, not a country.
    """
    n = len(town.ids)
    require(
        n <= MOST_PEOPLE_DRAWN and town.towns == 1,
        f"people must be those of one town, at most {MOST_PEOPLE_DRAWN}, to be drawn; "
        f"got {n} in {town.towns} towns",
    )
    world = town.world
    earlier = Counter(town.faults)
    frames = [_next_frame(town) for _ in range(whole_number("steps", steps, least=0))]
    warn_of_faults(town.brain, Counter(town.faults) - earlier)
    return {
        "places": world.places,
        "public": len(PUBLIC_PLACES),
        "names": [world.names[i] for i in town.ids],
        "facts": world.topics[1 : len(world.facts) + 1],
        "frames": frames,
    }


def _next_frame(town: Town) -> dict[str, Any]:
    """Let an hour pass, and record it: numbers for the drawing, words to be read."""
    hour = town.step
    earlier = len(town.log)
    town.pass_hour()
    talks = town.log[earlier:]
    facts = range(1, len(town.world.facts) + 1)
    awake = town.world.awake[town.who, hour % HOURS_IN_DAY]
    knows = [np.flatnonzero(town.heard[:, f] != NEVER).tolist() for f in facts]
    return {
        "clock": clock(hour),
        "at": town.place.tolist(),
        "asleep": np.flatnonzero(~awake).tolist(),
        "talks": _lines_to_draw(talks, len(facts)),
        "knows": knows,
        "sentence": _sentence(town, hour, awake, talks, knows),
        "where": _who_is_where(town, awake),
    }


def _lines_to_draw(talks: np.ndarray, facts: int) -> list[list[int]]:
    """Return [id, id, 1 if news was told else 0] for each talk."""
    topics = talks[:, [LogColumn.FIRST_TOPIC, LogColumn.SECOND_TOPIC]]
    news = ((topics > 0) & (topics <= facts)).any(1).astype(int)
    ids = talks[:, [LogColumn.FIRST, LogColumn.SECOND]]
    lines: list[list[int]] = np.column_stack([ids, news]).tolist()
    return lines


def _sentence(
    town: Town,
    hour: int,
    awake: np.ndarray,
    talks: np.ndarray,
    knows: list[list[int]],
) -> str:
    """Return what the map shows in this hour, in words."""
    topics = town.world.topics
    sentences = [
        clock(hour),
        f"{awake.sum()} of {len(awake)} are awake, {len(talks)} pairs talk",
    ]
    told = _news_told(town, talks)
    if told:
        sentences.append("; ".join(told))
    counts = [f"{len(people)} know of {topics[f]}" for f, people in enumerate(knows, 1)]
    if counts:
        sentences.append(" and ".join(counts))
    return " ".join(f"{sentence}." for sentence in sentences)


def _news_told(town: Town, talks: np.ndarray) -> list[str]:
    """Return who told whom of which fact, in the order of the talks."""
    names = town.world.names
    told = []
    for _, first, second, first_topic, second_topic in talks.tolist():
        for teller, hearer, topic in (
            (first, second, first_topic),
            (second, first, second_topic),
        ):
            if 0 < topic <= len(town.world.facts):
                what = town.world.topics[topic]
                told.append(f"{names[teller]} tells {names[hearer]} of {what}")
    return told


def _who_is_where(town: Town, awake: np.ndarray) -> list[str]:
    """Return a line for each place where somebody is: the place, and who is there."""
    lines = []
    for slot, place in enumerate(town.world.places):
        people = []
        for row in np.flatnonzero(town.place == slot):
            name = town.world.names[town.who[row]]
            people.append(name if awake[row] else f"{name} (asleep)")
        if people:
            lines.append(f"{place}: {', '.join(people)}")
    return lines


class TownMap(anywidget.AnyWidget):
    """The map of a film. hour: the frame shown first, and then the one last chosen."""

    _esm = Path(__file__).with_name("townmap.js")
    film = traitlets.Dict().tag(sync=True)
    hour = traitlets.Int(0).tag(sync=True)

    def __repr__(self) -> str:
        return f"TownMap: {self.film['frames'][self.hour]['sentence']}"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Add a still picture to what Jupyter shows, for where no kernel runs."""
        shown = super()._repr_mimebundle_(**options)
        bundle, *metadata = shown if isinstance(shown, tuple) else (shown,)
        bundle = {**(bundle or {}), "text/html": still_picture(self.film, self.hour)}
        bundle.setdefault("text/plain", repr(self))
        return (bundle, *metadata) if metadata else bundle


def town_map(recorded: dict[str, Any], hour: int | None = None) -> TownMap:
    """Return a widget that shows a film, opened at an hour of it.

    recorded: what `film` returned. hour: by default the one in which most news is told.
    Raises ValueError for a film without an hour, and an hour that is not in it.
    """
    frames = recorded["frames"]
    require(frames, "a film must have at least one hour")
    if hour is None:
        liveliness = [_liveliness(frame) for frame in frames]
        hour = liveliness.index(max(liveliness))
    hour = whole_number("hour", hour, least=0, most=len(frames) - 1)
    return TownMap(film=recorded, hour=hour)


def _liveliness(frame: dict[str, Any]) -> tuple[int, int]:
    """Return how many talks told news, then how many there were."""
    talks = frame["talks"]
    return sum(is_news for _, _, is_news in talks), len(talks)
