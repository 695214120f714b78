"""Do the gallery and a run's page, opened as files, reach readers on any screen?"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from smallscale.runs.catalogue import find_all
from smallscale.runs.gallery import gallery
from smallscale.runs.pages import notebook_page
from tests.browser.watched import PATIENCE, Watched, watch
from tests.conftest import ROOT, command, environment
from tests.runs.samples import claim, record

NOTEBOOKS = find_all(ROOT)
PHONE = 360  # pixels wide
READABLE = 4.5  # WCAG 2.2, level AA
LOOKS = [(1100, False), (1100, True), (400, False), (400, True)]  # width, and dark?

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
# All rules, best practices too. What is only counted is not looked for, to be quick.
VIOLATIONS = """async () => {
    const found = await axe.run(document, { resultTypes: ['violations'] });
    return found.violations.map(rule => [
        rule.id, rule.nodes.map(node => node.html.slice(0, 200))]);
}"""

LOADED = """async images => Promise.all(images.map(async image => {
    image.loading = 'eager';
    await image.decode();
    return [image.alt, image.naturalWidth];
}))"""
# Each visible element with text of its own: the text's start, its colour, the colours
# behind it, the nearest first, down to one that lets nothing through.
COLOURS = """() => [...document.body.querySelectorAll('*')]
    .filter(e => e.checkVisibility() && [...e.childNodes].some(
        n => n.nodeType === Node.TEXT_NODE && n.data.trim()))
    .map(e => {
        const behind = [];
        for (let at = e; at; at = at.parentElement) {
            behind.push(getComputedStyle(at).backgroundColor);
            if (behind.at(-1).startsWith('rgb(')) break;
        }
        return [e.textContent.trim().slice(0, 40), getComputedStyle(e).color, behind];
    })"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Path:
    """The results folder after every notebook ran at tiny.

    It asks for `browser`, so as not to run them for nothing.
    """
    out = tmp_path_factory.mktemp("results")
    done = subprocess.run(
        command("run", "all", "--scale", "tiny", "--out", str(out)),
        cwd=ROOT,
        env=environment(
            SMALLSCALE_CACHE=str(tmp_path_factory.mktemp("cache")),
            OMP_WAIT_POLICY="PASSIVE",
        ),
        capture_output=True,
        text=True,
        timeout=560,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def pages(results: Path) -> dict[str, Path]:
    """The gallery and each notebook's page, by name."""
    runs = {
        json.loads(record.read_text())["notebook"]: record.parent
        for record in results.glob("runs/*/run.json")
    }
    return {"gallery": results / "index.html"} | {
        name: run / "notebook.html" for name, run in runs.items()
    }


@pytest.fixture(params=["gallery", *NOTEBOOKS])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def visit(browser: Browser, pages: dict[str, Path]) -> Iterator[Callable[..., Watched]]:
    """visit(name, width=…, dark=…) opens a page from its file."""
    opened = []

    def open_page(name: str, **look: Any) -> Watched:
        watched = watch(browser, **look)
        opened.append(watched)
        watched.page.goto(pages[name].as_uri())
        return watched

    yield open_page
    for watched in opened:
        watched.page.context.close()


def images(page: Page, which: str = "img") -> list[tuple[str, int]]:
    """Alt text and width in pixels of each image, once all of them are loaded."""
    return [(alt, width) for alt, width in page.locator(which).evaluate_all(LOADED)]


def test_every_notebook_has_a_page(pages: dict[str, Path]) -> None:
    assert set(pages) == {"gallery", *NOTEBOOKS}


def test_images_load_and_have_alt_text_and_nothing_is_printed_or_fetched(
    name: str, visit: Callable[..., Watched]
) -> None:
    watched = visit(name)
    shown = images(watched.page)
    assert shown
    assert all(alt.strip() and width > 0 for alt, width in shown)
    assert watched.console == []
    assert watched.exceptions == []
    assert [
        url for url in watched.requests if not url.startswith(("file:", "data:"))
    ] == []


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_the_alt_text_is_what_the_notebook_says(
    notebook: str, visit: Callable[..., Watched], pages: dict[str, Path]
) -> None:
    node = nbformat.read(pages[notebook].with_name("notebook.ipynb"), as_version=4)
    outputs = [output for cell in node.cells for output in cell.get("outputs", [])]
    said = [
        output.metadata["image/png"]["alt"]
        for output in outputs
        if "image/png" in output.get("data", {})
    ]
    assert said
    assert [alt for alt, _ in images(visit(notebook).page, ".figure img")] == said
    record = json.loads(pages[notebook].with_name("run.json").read_text())
    assert [figure["alt"] for figure in record["figures"]] == said
    assert set(said) <= {alt for alt, _ in images(visit("gallery").page)}


def test_a_screen_reader_finds_one_main_part_and_one_title(
    name: str, visit: Callable[..., Watched]
) -> None:
    page = visit(name).page
    assert page.get_by_role("main").count() == 1
    contents = "Themes" if name == "gallery" else "Contents"
    assert page.get_by_role("navigation", name=contents).count() == 1
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.title().strip()
    assert page.locator("html").get_attribute("lang") == "en"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#main", (
        "the content is one key away"
    )


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_from_the_gallery_to_a_run_and_back(
    notebook: str, visit: Callable[..., Watched], pages: dict[str, Path]
) -> None:
    page = visit("gallery").page
    there = pages[notebook].relative_to(pages["gallery"].parent).as_posix()
    page.locator(f'a[href="{there}"]').press("Enter")
    page.wait_for_url(pages[notebook].as_uri())
    page.get_by_role("navigation", name="Gallery").get_by_role("link").press("Enter")
    page.wait_for_url(pages["gallery"].as_uri())


def test_a_thumbnail_leads_to_its_figure(visit: Callable[..., Watched]) -> None:
    page = visit("gallery").page
    thumbnail = page.locator(".thumbnails a").last
    alt = thumbnail.locator("img").get_attribute("alt")
    thumbnail.press("Enter")
    page.wait_for_url("**/notebook.html#figure-*")
    assert page.locator(":target").get_attribute("alt") == alt
    page.wait_for_function(
        "() => document.querySelector(':target').getBoundingClientRect().top"
        " < innerHeight"
    )


def test_nothing_sticks_out_on_a_phone(
    name: str, visit: Callable[..., Watched]
) -> None:
    page = visit(name, width=PHONE, height=740).page
    images(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE


def violations(page: Page) -> list[tuple[str, list[str]]]:
    """What axe-core objects to: the rule, and each element that breaks it."""
    page.evaluate(AXE)
    return [(rule, elements) for rule, elements in page.evaluate(VIOLATIONS)]


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_axe_finds_no_violation(
    name: str, width: int, dark: bool, visit: Callable[..., Watched]
) -> None:
    assert violations(visit(name, width=width, dark=dark).page) == []


UNFOLD = "() => document.querySelectorAll('details').forEach(e => { e.open = true; })"


def odd_notebook() -> Any:
    """What notebooks of other people show, without words or with colours of its own."""
    frame = pd.DataFrame([[1, 2], [3, 4]], columns=["a", "b"]).rename_axis("name")
    style = frame.style.highlight_max(color="yellow").background_gradient()
    several = pd.concat({"x": frame, "y": frame}, axis=1)
    shown = [
        {"text/html": style.to_html()},
        {"text/html": several.T.to_html()},
        {"text/html": several.describe().to_html()},
        {"text/html": "<p style='background: lightyellow'>A note of its own</p>"},
        {"text/html": "<img src='data:,'><h6>A heading</h6><h2></h2>"},
        {"text/html": f"<pre>{'wide ' * 99}</pre>"},
        {"text/html": f"<div style='overflow: auto'><p>{'x' * 999}</p></div>"},
        {"text/markdown": f"<pre>{'wide ' * 99}</pre>"},
        {"text/markdown": f"| | |\n|---|---|\n| {'long ' * 9} | {'x' * 200} |"},
        {"text/latex": "$" + " + ".join(f"x_{{{i}}}" for i in range(99)) + "$"},
        {"text/plain": "plain " * 99},
        {"image/png": PIXEL},
    ]
    outputs = [nbformat.v4.new_output("display_data", data) for data in shown]
    outputs.append(nbformat.v4.new_output("stream", name="stderr", text="z" * 300))
    trace = ["\x1b[31mValueError\x1b[0m: " + "y" * 300]
    outputs.append(
        nbformat.v4.new_output("error", ename="E", evalue="e", traceback=trace)
    )
    words = f"#### Deep\n\n`{'code' * 99}`\n\n## Why *so*?\n\n## Why *so*?\n\n# More"
    folded = {"tags": ["hide-input"]}
    return nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(words),
            nbformat.v4.new_code_cell("x = " + "1 + " * 99 + "1", outputs=outputs),
            nbformat.v4.new_code_cell("y = 1", metadata=folded),
            nbformat.v4.new_raw_cell("raw " * 99),
        ]
    )


PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA"
    "AABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def odd_pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of what is odd, and the gallery of runs that failed or are many."""
    folder = tmp_path_factory.mktemp("odd")
    page = folder / "page.html"
    page.write_text(notebook_page(odd_notebook(), record(error="w" * 300)), "utf-8")
    runs = [
        record(run=f"run-{seed}", parameters={"seed": seed}, error="w " * 200)
        for seed in range(26)
    ]
    others = [
        record(notebook=name, status="timed-out", claims=[claim(holds=False)])
        for name in ("a b/c d", "alone", "dpo/x")
    ]
    overview = folder / "index.html"
    overview.write_text(gallery([*runs, *others]), "utf-8")
    return {"page": page, "gallery": overview}


@pytest.mark.parametrize("which", ["page", "gallery"])
@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_axe_finds_no_violation_in_what_is_odd(
    browser: Browser, odd_pages: dict[str, Path], which: str, width: int, dark: bool
) -> None:
    page = watch(browser, width=width, dark=dark).page
    page.goto(odd_pages[which].as_uri())
    page.evaluate(UNFOLD)
    found = violations(page)
    page.context.close()
    assert found == []


def test_axe_finds_what_is_wrong(browser: Browser) -> None:
    """The test of the test: it would see what it is there to see."""
    page = watch(browser, width=400).page
    page.set_content(
        f"<main><h1>x</h1><pre style='overflow: auto'>{'wide ' * 99}</pre>"
        "<table><tr><th></th><td>1</td></tr></table></main>"
    )
    found = [rule for rule, _ in violations(page)]
    page.context.close()
    assert {"scrollable-region-focusable", "empty-table-header"} <= set(found)


def test_a_button_copies_the_code_and_a_box_hides_it(
    browser: Browser, odd_pages: dict[str, Path]
) -> None:
    watched = watch(browser)
    page = watched.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(odd_pages["page"].as_uri())
    button = page.get_by_role("button", name="Copy").first
    button.focus()
    button.press("Enter")
    page.get_by_role("status").get_by_text("The code is copied.").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "x = " + "1 + " * 99 + "1"
    code = page.locator(".highlight pre").first
    assert code.is_visible()
    page.get_by_label("Hide the code").check()
    assert not code.is_visible()
    assert page.locator(".output").first.is_visible()
    assert watched.complaints() == []
    page.context.close()


def test_without_scripts_no_button_shows_and_all_else_is_there(
    browser: Browser, odd_pages: dict[str, Path]
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(odd_pages["page"].as_uri())
    assert page.locator("button:visible").count() == 0
    links = page.get_by_role("navigation", name="Contents").get_by_role("link")
    assert links.all_text_contents() == [
        "Deep",
        "Why so?",
        "Why so?",
        "More",
        "A heading",
    ]
    links.nth(2).click()
    assert page.locator(":target").text_content() == "# Why so?"
    assert page.locator(":target .anchor").is_visible()
    context.close()


def test_text_is_readable_by_day_and_by_night(
    name: str, visit: Callable[..., Watched]
) -> None:
    looks = []
    for dark in (False, True):
        page = visit(name, dark=dark).page
        page.wait_for_function("document.readyState === 'complete'", timeout=PATIENCE)
        faint = [
            (text, ink, behind)
            for text, ink, behind in page.evaluate(COLOURS)
            if contrast(channels(ink)[:3], seen_through(behind)) < READABLE
        ]
        assert faint == []
        looks.append(
            page.evaluate(
                "() => { const { color, backgroundColor } = "
                "getComputedStyle(document.body); return [color, backgroundColor]; }"
            )
        )
    (ink, paper), (night_ink, night_paper) = (
        [luminance(channels(colour)[:3]) for colour in look] for look in looks
    )
    assert paper > ink
    assert night_paper < night_ink


def channels(colour: str) -> list[float]:
    """Red, green, blue (0 to 255) and opacity (0 to 1) of rgb(…) or rgba(…)."""
    numbers = [float(part) for part in re.findall(r"[\d.]+", colour)]
    return numbers if len(numbers) == 4 else [*numbers, 1.0]


def seen_through(behind: list[str]) -> list[float]:
    """Red, green and blue of colours that lie above one another, the nearest first."""
    seen = [255.0, 255.0, 255.0]
    for colour in reversed(behind):
        *upper, opacity = channels(colour)
        mixed = zip(upper, seen, strict=True)
        seen = [opacity * above + (1 - opacity) * below for above, below in mixed]
    return seen


def contrast(ink: list[float], paper: list[float]) -> float:
    """The ratio of two colours' luminances, from 1 to 21 (WCAG 2.2)."""
    dark, light = sorted((luminance(ink), luminance(paper)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: list[float]) -> float:
    """The relative luminance of red, green and blue (WCAG 2.2)."""
    shares = [part / 255 for part in colour]
    red, green, blue = (
        s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_black_on_white_is_the_most_contrast_there_is() -> None:
    white = [255.0] * 3
    assert contrast([0.0] * 3, white) == pytest.approx(21)
    assert contrast([118.0] * 3, white) == pytest.approx(4.54, abs=0.01)


def test_a_colour_that_lets_half_through_is_mixed_with_what_lies_behind() -> None:
    assert seen_through(["rgba(0, 0, 0, 0.5)", "rgb(200, 100, 0)"]) == [100, 50, 0]
