"""Does the map of the town in words stand in order, and hold words as text only?"""

import json
import re
from typing import Any

import pytest

from smallscale.simulation.words.wordmap import (
    in_order,
    lay_out,
    standing,
    word_map,
)
from smallscale.simulation.world import PUBLIC_PLACES, World

HOMES = World().homes


def person(name: str, **changed: Any) -> dict[str, Any]:
    return {"name": name, "x": 0.5, "y": 0.5, "says": "", "stream": []} | changed


def film_of(page: str) -> Any:
    (data,) = re.findall(
        r'<script type="application/json" id="film">(.*)</script>', page
    )
    return json.loads(data)


def test_homes_stand_in_the_order_of_their_numbers() -> None:
    numbers = [int(home.split()[0]) for home in in_order(HOMES)]
    assert numbers == list(range(1, 13))
    assert in_order(["Inn", "2 A", "", "10 A"]) == ["2 A", "10 A", "", "Inn"]
    boxes = lay_out(HOMES, {})
    assert [box.name for box in boxes] == [*PUBLIC_PLACES, *in_order(HOMES)]
    corners = [(round(box.y, 6), box.x) for box in boxes]
    assert corners == sorted(corners)


def test_boxes_fill_the_map_and_do_not_meet() -> None:
    boxes = lay_out(HOMES, {"café": 12})
    assert max(box.x + box.width for box in boxes) == pytest.approx(1)
    assert max(box.y + box.height for box in boxes) == pytest.approx(1)
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            beside = a.x >= b.x + b.width or b.x >= a.x + a.width
            assert beside or a.y >= b.y + b.height
    by_name = {box.name: box for box in boxes}
    assert by_name["café"].height > 1.5 * by_name["school"].height


def test_people_stand_inside_their_places_each_on_a_spot_of_their_own() -> None:
    world = World()
    at = {p.name: ("café" if i < 12 else p.home) for i, p in enumerate(world.people)}
    boxes = lay_out(world.homes, {"café": 12})
    spots = standing(boxes, at)
    assert spots.keys() == at.keys()
    assert len(set(spots.values())) == len(at)
    by_name = {box.name: box for box in boxes}
    for name, (x, y) in spots.items():
        box = by_name[at[name]]
        assert box.x < x < box.x + box.width
        assert box.y + 0.2 * box.height < y < box.y + box.height
    with pytest.raises(ValueError, match="places of the map; got 'moon'"):
        standing(boxes, {"Bo": "moon"})


def test_the_page_holds_each_text_once_and_the_hour_in_words() -> None:
    stream = ["It rained.", "Bo gives a party."]
    people = [person("Ada", stream=stream), person("Bo", stream=stream[1:])]
    frames = [{"hour": 41, "people": people}, {"hour": "later", "people": people}]
    film = film_of(word_map(frames, places=lay_out(HOMES, {})))
    assert film["texts"] == stream
    assert film["frames"][0]["people"][1]["stream"] == [1]
    assert [frame["hour"] for frame in film["frames"]] == ["Tuesday 17:00", "later"]
    assert film["places"][0]["name"] == "café"


def test_what_a_model_wrote_ends_no_script() -> None:
    bad = '</script><img src=x onerror="alert(1)"><!--'
    page = word_map(
        [{"hour": 1, "people": [person(bad, says=bad, stream=[bad])]}], title=bad
    )
    assert bad not in page
    assert "<img" not in page
    film = film_of(page)
    assert film["texts"] == film["names"] == [bad]
    assert film["frames"][0]["people"][0]["says"] == bad


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "frames must be at least one"),
        ([{"hour": 1, "people": [{"name": "Bo"}]}], "lacks says, stream, x, y"),
        ([{"hour": 1, "people": [person("Bo", x=2)]}], "x must be .* at most 1"),
        ([{"hour": 1, "people": [person("Bo", stream="ab")]}], "a list of texts"),
        ([{"hour": 1, "people": [person("Bo"), person("Bo")]}], "each person once"),
        (
            [
                {"hour": 1, "people": [person("Bo")]},
                {"hour": 2, "people": [person("Ada")]},
            ],
            "frame 1 must have 'Bo'",
        ),
    ],
)
def test_what_is_no_film_is_refused(frames: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        word_map(frames)
