"""Does the map of the town in words answer to pointer and to keyboard, kernel or no?"""

from pathlib import Path

from playwright.sync_api import Browser, expect

from smallscale.simulation.words.wordmap import lay_out, standing, word_map
from smallscale.simulation.world import World
from tests.browser.watched import watch

BAD = "<img src=x onerror=\"document.title = 'run'\"><b>party</b>"
APART = """() => {
    const all = [...document.querySelectorAll('.bubble:not([hidden]), .person')]
        .map(e => e.getBoundingClientRect());
    const meet = (a, b) => a.left < b.right && b.left < a.right
        && a.top < b.bottom && b.top < a.bottom;
    return all.every((a, i) => all.slice(0, i).every(b => !meet(a, b)));
}"""


def a_page() -> str:
    world = World()
    boxes = lay_out(world.homes, {"café": 7})
    frames = []
    for hour in (40, 41):
        at = {p.name: ("café" if i < 7 else p.home) for i, p in enumerate(world.people)}
        spots = standing(boxes, at)
        speak = {
            world.names[0]: BAD,
            world.names[1]: f"It is {hour}.",
            "Bo Lindqvist": "Hi",
        }
        people = [
            {
                "name": name,
                "x": spots[name][0],
                "y": spots[name][1],
                "says": speak.get(name, ""),
                "stream": ["I woke up.", BAD, f"It is {hour}."],
            }
            for name in world.names
        ]
        frames.append({"hour": hour, "people": people})
    return word_map(frames, places=boxes)


def test_the_map_speaks_shows_names_and_tells_streams(
    browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "map.html"
    path.write_text(a_page(), encoding="utf-8")
    watched = watch(browser)
    page = watched.page
    page.goto(path.as_uri())
    expect(page.locator(".bubble:visible")).to_have_count(3)
    assert page.evaluate(APART)  # no bubble hides a person or another bubble
    expect(page.locator("#map line")).to_have_count(3)
    assert page.locator(".bubble").first.text_content() == BAD
    first, second = page.locator(".person").nth(0), page.locator(".person").nth(1)
    # names: by pointer, and by keyboard
    expect(first.locator(".name")).to_be_hidden()
    first.hover()
    expect(first.locator(".name")).to_be_visible()
    page.locator(".scroll").focus()
    page.keyboard.press("Tab")
    expect(first).to_be_focused()
    page.keyboard.press("Tab")
    expect(second.locator(".name")).to_be_visible()
    # a stream, the newest first, as text
    page.keyboard.press("Enter")
    expect(second).to_have_attribute("aria-pressed", "true")
    stream = page.locator("#stream li")
    assert stream.all_text_contents() == ["It is 40.", BAD, "I woke up."]
    # the next hour, by the keyboard
    page.locator("#hour").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#clock")).to_have_text("Tuesday 17:00")
    expect(stream.first).to_have_text("It is 41.")
    expect(page.locator("#said")).to_contain_text("It is 41.")
    assert page.locator("img, b").count() == 0
    assert page.title() == "The town in words"
    assert watched.complaints() == []
    assert watched.requests == [path.as_uri()]
    page.context.close()
