"""The map's film says what happened; its script draws and says it in a browser."""

import json
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from playwright.sync_api import sync_playwright

from smallscale.simulation import Town
from smallscale.simulation.brains import Fault, Scripted
from smallscale.simulation.explorer import film, town_map
from smallscale.simulation.questions import Question
from tests.browser.watched import CHROMIUM, QUIET

SCRIPT = Path(__file__).parents[2] / "lib" / "smallscale" / "simulation" / "townmap.js"


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    return film(Town(seed=2), 48)


class Late(Scripted):
    """Never answers in time."""

    name = "late"

    def answer(self, questions: Sequence[Question]) -> list[Any]:
        return [Fault("late")] * len(questions)


def test_a_film_warns_once_of_all_faults() -> None:
    town = Town(seed=2, brain=Late())
    with pytest.warns(UserWarning, match="could not be used") as caught:
        film(town, 12)
    (warning,) = caught
    assert f"{town.faults['late']} answers of the brain 'late'" in str(warning.message)
    assert warning.filename == __file__


@pytest.mark.parametrize("steps", [-1, 2.0, "3"])
def test_a_film_of_hours_that_cannot_be_says_why(steps: Any) -> None:
    with pytest.raises(ValueError, match="steps must be a whole number, at least 0"):
        film(Town(), steps)


def test_a_film_is_what_happened(recorded: dict[str, Any]) -> None:
    town = Town(seed=2)
    names = recorded["names"]
    topics = town.world.topics
    for frame in recorded["frames"]:
        before = len(town.log)
        town.run(1)
        assert frame["at"] == town.place.tolist()
        talks = town.log[before:].tolist()
        assert [talk[:2] for talk in frame["talks"]] == [
            [a, b] for _, a, b, _, _ in talks
        ]
        for f in (1, 2):
            assert (
                frame["knows"][f - 1] == (town.heard[:, f] >= 0).nonzero()[0].tolist()
            )
            assert (
                f"{len(frame['knows'][f - 1])} know of {town.world.topics[f]}"
                in frame["sentence"]
            )
        for _, a, b, said, answered in talks:
            for who, to, topic in ((a, b, said), (b, a, answered)):
                if topic in (1, 2):
                    told = f"{names[who]} tells {names[to]} of {topics[topic]}"
                    assert told in frame["sentence"]
        assert sum(line.count(",") + 1 for line in frame["where"]) == 25
        assert all(0 <= place < len(recorded["places"]) for place in frame["at"])
    json.dumps(recorded)


def test_it_opens_where_most_news_is_told(recorded: dict[str, Any]) -> None:
    opened = town_map(recorded)
    told = [sum(talk[2] for talk in frame["talks"]) for frame in recorded["frames"]]
    assert told[opened.hour] == max(told) > 0
    assert repr(opened) == f"TownMap: {recorded['frames'][opened.hour]['sentence']}"
    assert town_map(recorded, 3).hour == 3


def test_a_still_picture_says_and_draws_who_is_where(recorded: dict[str, Any]) -> None:
    opened = town_map(recorded, 3)
    frame = recorded["frames"][3]
    bundle = opened._repr_mimebundle_()
    bundle = bundle[0] if isinstance(bundle, tuple) else bundle
    assert bundle["text/plain"] == f"TownMap: {frame['sentence']}"
    assert "application/vnd.jupyter.widget-view+json" in bundle
    html = bundle["text/html"]
    assert f'alt="{frame["sentence"]}"' in html
    assert f"<p>{frame['sentence']}</p>" in html
    assert "A blue ring: knows of the candidacy." in html
    assert "An orange disc: knows of the party." in html
    data = html.split("base64,")[1].split('"')[0]
    picture = ElementTree.fromstring(b64decode(data))
    svg = "{http://www.w3.org/2000/svg}"
    circles = list(picture.iter(f"{svg}circle"))
    assert len(circles) == 25
    centres = {(circle.get("cx"), circle.get("cy")) for circle in circles}
    assert len(centres) == 25
    orange = [circle for circle in circles if circle.get("fill") == "#E69F00"]
    assert len(orange) == len(frame["knows"][1])
    blue = [circle for circle in circles if circle.get("stroke") == "#0072B2"]
    assert len(blue) == len(frame["knows"][0])
    texts = [text.text for text in picture.iter(f"{svg}text")]
    places = [line.partition(":")[0] for line in frame["where"]]
    assert [text for text in texts if text in recorded["places"]] == places
    pale = [group for group in picture.iter(f"{svg}g") if group.get("opacity") != "1"]
    assert len(pale) == len(frame["asleep"])


def test_maps_that_cannot_be_say_why(recorded: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError,
        match="must be those of one town, at most 100, to be drawn; got 26 in 2 towns",
    ):
        film(Town(26), 1)
    with pytest.raises(ValueError, match="at least one hour"):
        town_map(film(Town(), 0))
    with pytest.raises(
        ValueError,
        match="hour must be a whole number, at least 0 and at most 47; got 48",
    ):
        town_map(recorded, 48)


@pytest.mark.skipif(
    CHROMIUM is None,
    reason="no Chromium is installed here (Debian: apt install chromium)",
)
def test_the_script_draws_and_says_each_hour(
    recorded: dict[str, Any], tmp_path: Path
) -> None:
    page_file = tmp_path / "map.html"
    script = SCRIPT.read_text(encoding="utf-8").replace(
        "export default", "const widget ="
    )
    state = json.dumps({"film": recorded, "hour": 10})
    page_file.write_text(
        f"<meta charset=utf-8><body style='background: white'><div id=map></div>"
        f"<script type=module>{script}"
        f"const state = {state}; const model = {{get: key => state[key], "
        "set(key, value) { state[key] = value; }, save_changes() {}}; "
        "Object.assign(window, {state, layout, positions});"
        "widget.render({model, el: document.getElementById('map')});</script>",
        encoding="utf-8",
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(reduced_motion="reduce")
        broken: list[str] = []
        page.on("pageerror", lambda error: broken.append(str(error)))
        page.goto(page_file.as_uri())
        slider = page.locator("input[type=range]")
        drawn = set()
        slider.focus()
        for key, hour in (
            ("Home", 0),
            ("ArrowRight", 1),
            ("End", 47),
            ("ArrowLeft", 46),
            ("PageDown", None),
        ):
            page.keyboard.press(key)
            hour = int(slider.input_value()) if hour is None else hour
            frame = recorded["frames"][hour]
            assert slider.input_value() == str(hour)
            assert slider.get_attribute("aria-valuetext") == frame["clock"]
            assert page.locator("strong").inner_text() == frame["sentence"]
            assert (
                page.locator("canvas").get_attribute("aria-label") == frame["sentence"]
            )
            assert page.locator("li").all_text_contents() == frame["where"]
            assert page.evaluate("window.state.hour") == hour
            drawn.add(page.locator("canvas").evaluate("canvas => canvas.toDataURL()"))
        assert len(drawn) == 5 - (
            recorded["frames"][0]["at"] == recorded["frames"][1]["at"]
        )
        page.keyboard.press("Home")
        page.get_by_role("button", name="Play").press("Enter")
        assert page.locator("output").inner_text() == recorded["frames"][1]["clock"]
        page.get_by_role("button", name="Pause").click()
        key = page.locator("p").nth(1).inner_text()
        assert key.startswith(
            "A blue ring knows of the candidacy, an orange disc of the party. "
            "A line is a talk"
        )
        assert broken == []
        for width in (320, 400, 700, 1000):
            boxes = page.evaluate(f"layout(state.film, {width}).boxes")
            spots = page.evaluate(
                "state.film.frames.map((_, hour) => positions(state.film, "
                f"layout(state.film, {width}).boxes, hour))"
            )
            lie_inside(recorded, boxes, spots, width)
        for width in (400, 1000):
            page.set_viewport_size({"width": width, "height": 800})
            page.wait_for_function(
                "canvas => canvas.width === 2 * canvas.clientWidth",
                arg=page.locator("canvas").element_handle(),
            )
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        browser.close()


def lie_inside(
    recorded: dict[str, Any], boxes: list[Any], spots: list[Any], width: int
) -> None:
    """Boxes do not overlap, people stand in their place's box, nobody on another."""
    assert len(boxes) == len(recorded["places"])
    for i, a in enumerate(boxes):
        assert a["x"] >= 0
        assert a["x"] + a["width"] <= width + 1e-6
        for b in boxes[:i]:
            apart = (
                a["x"] >= b["x"] + b["width"],
                b["x"] >= a["x"] + a["width"],
                a["y"] >= b["y"] + b["height"],
            )
            assert any(apart)
    for frame, each in zip(recorded["frames"], spots, strict=True):
        for place, (x, y) in zip(frame["at"], each, strict=True):
            box = boxes[place]
            assert box["x"] + 13 <= x <= box["x"] + box["width"] - 13
            assert box["y"] + 13 <= y <= box["y"] + box["height"] - 13
        assert all(
            abs(x - u) + abs(y - v) > 26
            for i, (x, y) in enumerate(each)
            for u, v in each[:i]
        )
