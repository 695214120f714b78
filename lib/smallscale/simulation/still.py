"""What stands where no kernel runs? One hour of the film as a picture and a sentence.

Places stand in a grid, and in each of them a disc with their initials for everybody.
"""

import math
from base64 import b64encode
from html import escape
from typing import Any

COLUMNS = 4
BOX_WIDTH = 185  # pixels, as is all below
STEP = 32  # from one person to the next
ABREAST = 5  # people side by side in a box
HEAD = 24  # of a box, for the place's name
GAP = 6
PICTURE_WIDTH = COLUMNS * (BOX_WIDTH + GAP) - GAP
BLUE = "#0072B2"  # as in townmap.js: knows the first piece of news
ORANGE = "#E69F00"  # knows the second
HOW_TO_MOVE = "This is where the film opens. Run the notebook to move it."


def still_picture(recorded: dict[str, Any], hour: int) -> str:
    """Return one hour of a film as HTML: a picture and the sentence that says it.

    The picture is an SVG in an image, since GitHub and JupyterLab remove an SVG that
    stands in a notebook by itself.
    """
    frame = recorded["frames"][hour]
    people: dict[int, list[int]] = {}
    for person, place in enumerate(frame["at"]):
        people.setdefault(place, []).append(person)
    places = sorted(people)
    shapes: list[str] = []
    top = 0
    for start in range(0, len(places), COLUMNS):
        row = places[start : start + COLUMNS]
        lines = max(math.ceil(len(people[place]) / ABREAST) for place in row)
        height = HEAD + STEP * lines + GAP
        for column, place in enumerate(row):
            left = column * (BOX_WIDTH + GAP)
            shapes.append(_box(recorded["places"][place], left, top, height))
            shapes += _discs(recorded, frame, people[place], left, top)
        top += height + GAP
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {PICTURE_WIDTH} {top}" '
        'style="background: white" font-family="sans-serif">'
        f"{''.join(shapes)}</svg>"
    )
    data = b64encode(svg.encode()).decode()
    sentence = escape(frame["sentence"])
    return (
        f'<div class="still"><img alt="{sentence}" width="{PICTURE_WIDTH}" '
        f'src="data:image/svg+xml;base64,{data}">'
        f"<p>{sentence}</p><p><em>{_legend(recorded)} {HOW_TO_MOVE}</em></p></div>"
    )


def _legend(recorded: dict[str, Any]) -> str:
    """Return what the marks of a person mean, in words."""
    marks = ("A blue ring: knows of", "An orange disc: knows of")
    meanings = [
        f"{m} {fact}." for m, fact in zip(marks, recorded["facts"], strict=False)
    ]
    return escape(" ".join([*meanings, "Pale: asleep."]))


def _box(name: str, left: int, top: int, height: int) -> str:
    return (
        f'<rect x="{left}" y="{top}" width="{BOX_WIDTH}" height="{height}" rx="6" '
        'fill="#eee"/>'
        f'<text x="{left + GAP}" y="{top + 17}" font-size="13">{escape(name)}</text>'
    )


def _discs(
    recorded: dict[str, Any],
    frame: dict[str, Any],
    people: list[int],
    left: int,
    top: int,
) -> list[str]:
    """Return the people of one place, in rows inside its box."""
    discs = []
    for n, person in enumerate(people):
        line, column = divmod(n, ABREAST)
        x = left + GAP + STEP // 2 + column * STEP
        y = top + HEAD + STEP // 2 + line * STEP
        discs.append(_disc(recorded, frame, person, x, y))
    return discs


def _disc(
    recorded: dict[str, Any], frame: dict[str, Any], person: int, x: int, y: int
) -> str:
    """Return a person: a blue ring knows the first fact, an orange disc the second."""
    knows = [person in people for people in frame["knows"]]
    ring = BLUE if knows[:1] == [True] else "#222"
    width = 4 if knows[:1] == [True] else 1
    fill = ORANGE if knows[1:2] == [True] else "white"
    opacity = 0.45 if person in frame["asleep"] else 1
    name = recorded["names"][person]
    initials = escape("".join(part[0] for part in name.split()))
    return (
        f'<g opacity="{opacity}"><circle cx="{x}" cy="{y}" r="13" fill="{fill}" '
        f'stroke="{ring}" stroke-width="{width}"/><text x="{x}" y="{y + 4}" '
        f'font-size="11" text-anchor="middle">{initials}</text></g>'
    )
