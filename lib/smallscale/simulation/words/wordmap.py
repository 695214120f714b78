"""Who says what, and where? The town on a page of its own, which needs no kernel.

People stand in their places and speak in bubbles. A name shows where the pointer or
the keyboard is, and who is chosen shows all that they remember.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from smallscale.core.templates import template
from smallscale.core.validation import finite_number, require, same_length
from smallscale.simulation.world import PUBLIC_PLACES, clock

COLUMNS = 4
PEOPLE_ABREAST = 5  # in a place
LEAST_LINES = 1  # of people in a place
HEAD = 1.2  # of a place, in lines of people, for its name
GAP = 0.02  # between places, of the map's width
PERSON_KEYS = {"name", "x", "y", "says", "stream"}
PAGE_TEMPLATE = template("simulation/words/wordmap.html.j2")
_SCRIPT = Path(__file__).with_name("wordmap.js").read_text("utf-8")


class Box(NamedTuple):
    """A place on the map. x, y, width and height are shares of the map's own."""

    name: str
    x: float
    y: float
    width: float
    height: float


def in_order(homes: Sequence[str]) -> list[str]:
    """Return addresses by their numbers, and by the alphabet where these are equal.

    >>> in_order(["10 Quay Street", "9 Church Row", "1 Mill Lane"])
    ['1 Mill Lane', '9 Church Row', '10 Quay Street']
    """

    def number(address: str) -> tuple[float, str]:
        first = address.split()[0] if address.split() else ""
        return (int(first) if first.isdecimal() else math.inf, address)

    return sorted(homes, key=number)


def lay_out(homes: Sequence[str], most: Mapping[str, int]) -> list[Box]:
    """Return a box for each public place, and below them one for each home, in order.

    most: how many people each place ever holds; a row of boxes is as high as its
    fullest needs. Places that `most` does not name hold nobody.
    """
    names = [*PUBLIC_PLACES, *in_order(homes)]
    rows = [names[i : i + COLUMNS] for i in range(0, len(names), COLUMNS)]
    lines = [
        max(LEAST_LINES, *(math.ceil(most.get(n, 0) / PEOPLE_ABREAST) for n in row))
        for row in rows
    ]
    total = sum(line + HEAD for line in lines)
    free = 1 - GAP * (len(rows) - 1)
    width = (1 - GAP * (COLUMNS - 1)) / COLUMNS
    boxes = []
    top = 0.0
    for row, line in zip(rows, lines, strict=True):
        height = free * (line + HEAD) / total
        for column, name in enumerate(row):
            boxes.append(Box(name, column * (width + GAP), top, width, height))
        top += height + GAP
    return boxes


def standing(boxes: Sequence[Box], at: Mapping[str, str]) -> dict[str, Any]:
    """Return where each person stands, (x, y) by name, in rows inside their place.

    at: the name of the place that each person is in. Raises ValueError for a place
    without a box.
    """
    by_name = {box.name: box for box in boxes}
    inside: dict[str, list[str]] = {}
    for person, place in at.items():
        require(place in by_name, f"at must name places of the map; got {place!r}")
        inside.setdefault(place, []).append(person)
    spots = {}
    for place, people in inside.items():
        box = by_name[place]
        lines = math.ceil(len(people) / PEOPLE_ABREAST)
        line_height = box.height / (lines + HEAD)
        for n, person in enumerate(people):
            line, column = divmod(n, PEOPLE_ABREAST)
            abreast = min(PEOPLE_ABREAST, len(people) - line * PEOPLE_ABREAST)
            middle = box.x + box.width / 2
            x = middle + box.width * (column - (abreast - 1) / 2) / PEOPLE_ABREAST
            spots[person] = (x, box.y + line_height * (HEAD + line + 0.5))
    return spots


def word_map(
    frames: Sequence[Mapping[str, Any]],
    *,
    title: str = "The town in words",
    places: Sequence[Box] = (),
) -> str:
    """Return a whole page of HTML that shows the frames, one an hour.

    frames: each {"hour": ..., "people": [{"name", "x", "y", "says", "stream"}]}.
    hour: a number, counted from the first midnight, or what to call it. x, y: shares
    of the map's width and height, see `standing`. says: what they say then, or empty.
    stream: texts, the oldest first: what they remember by then.
    places: what is drawn behind the people, see `lay_out`.
    All words appear as text, whatever a model wrote. Raises ValueError for no frames,
    for people who lack a key or stand off the map, and where frames differ in who
    there is.
    """
    film = {
        **_checked_film(frames),
        "places": [box._asdict() for box in places],
    }
    # What ends a script or opens a comment stands nowhere in it.
    data = json.dumps(film, ensure_ascii=False).replace("<", "\\u003c")
    page: str = PAGE_TEMPLATE.render(title=title, film=data, script=_SCRIPT)
    return page


def _checked_film(frames: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return names, texts (each once) and frames with numbers in place of texts."""
    require(len(frames) > 0, "frames must be at least one; got none")
    names = [person.get("name") for person in frames[0]["people"]]
    require(len(set(names)) == len(names), "frames must name each person once")
    texts: dict[str, int] = {}
    made = []
    for number, frame in enumerate(frames):
        people = frame["people"]
        same_length(people=people, names=names)
        made.append(
            {
                "hour": _hour(frame["hour"]),
                "people": [
                    _person(person, name, number, texts)
                    for person, name in zip(people, names, strict=True)
                ],
            }
        )
    return {"names": names, "texts": list(texts), "frames": made}


def _hour(hour: Any) -> str:
    return hour if isinstance(hour, str) else clock(int(hour))


def _person(
    person: Mapping[str, Any], name: Any, number: int, texts: dict[str, int]
) -> dict[str, Any]:
    where = f"frame {number}"
    missing = ", ".join(sorted(PERSON_KEYS - person.keys()))
    require(not missing, f"{where} lacks {missing} of a person")
    others = f"{where} must have {name!r} where the first has; got {person['name']!r}"
    require(person["name"] == name, others)
    stream = person["stream"]
    require(
        not isinstance(stream, str) and all(isinstance(text, str) for text in stream),
        f"{where}: {name}'s stream must be a list of texts",
    )
    return {
        "x": round(finite_number("x", person["x"], least=0, most=1), 4),
        "y": round(finite_number("y", person["y"], least=0, most=1), 4),
        "says": str(person["says"] or ""),
        "stream": [texts.setdefault(text, len(texts)) for text in stream],
    }
