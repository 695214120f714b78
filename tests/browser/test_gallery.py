"""Are the gallery and a run's page what they should be in a browser, from a file, without a network?"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser

from tests.browser.watched import Watched, watch
from tests.conftest import ROOT, command

NOTEBOOK = ROOT / "notebooks" / "robustness" / "adversarial-images.ipynb"
CONTRAST = """() => {
    const numbers = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
    const light = colour => numbers(colour).map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = [document.body, document.documentElement].map(e => getComputedStyle(e).backgroundColor)
        .find(colour => !/, 0\\)$/.test(colour)) ?? 'rgb(255, 255, 255)';
    const [a, b] = [light(getComputedStyle(document.querySelector('p')).color), light(ground)];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), ground];
}"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One notebook run at tiny by the command."""
    folder = tmp_path_factory.mktemp("results")
    subprocess.run(
        command("run", str(NOTEBOOK), "--scale", "tiny", "--out", str(folder)), check=True, capture_output=True
    )
    return folder


@pytest.fixture(params=["gallery", "page"])
def opened(request: pytest.FixtureRequest, browser: Browser, results: Path) -> Iterator[tuple[Watched, Path]]:
    """Each of the two, opened from its file."""
    page = results / "index.html" if request.param == "gallery" else next(results.glob("runs/*/notebook.html"))
    watched = watch(browser)
    watched.page.goto(page.as_uri())
    yield watched, page
    watched.page.context.close()


def test_every_picture_has_loaded_and_has_alt_text(opened: tuple[Watched, Path]) -> None:
    pictures = opened[0].page.locator("img").all()
    assert len(pictures) >= 5
    for picture in pictures:
        picture.scroll_into_view_if_needed()
        opened[0].page.wait_for_function("e => e.complete && e.naturalWidth > 0", arg=picture.element_handle())
        assert len(picture.get_attribute("alt") or "") > 20


def test_the_alt_text_is_the_notebooks_own(results: Path, browser: Browser) -> None:
    notebook = nbformat.read(next(results.glob("runs/*/notebook.ipynb")), as_version=4)
    told = [
        output.metadata["image/png"]["alt"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    for page in (results / "index.html", next(results.glob("runs/*/notebook.html"))):
        watched = watch(browser)
        watched.page.goto(page.as_uri())
        assert [picture.get_attribute("alt") for picture in watched.page.locator("img").all()] == told
        watched.page.context.close()


def test_nothing_is_fetched_and_nothing_complained_about(opened: tuple[Watched, Path]) -> None:
    watched, _ = opened
    watched.page.wait_for_load_state("networkidle")
    assert watched.console == []
    assert watched.exceptions == []
    assert all(url.startswith(("file:", "data:")) for url in watched.requests)
    assert watched.page.locator("script").count() == 0


def test_one_h1_and_a_main_part(opened: tuple[Watched, Path]) -> None:
    page = opened[0].page
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("main").count() == 1
    assert page.locator("html").get_attribute("lang") == "en"


def test_from_the_gallery_to_the_notebook_and_back(results: Path, browser: Browser) -> None:
    watched = watch(browser)
    watched.page.goto((results / "index.html").as_uri())
    watched.page.get_by_role("link", name=re.compile("executed notebook", re.I)).first.click()
    assert watched.page.get_by_role("heading", level=1).inner_text() == "Adversarial images"
    watched.page.get_by_role("link", name=re.compile("all runs", re.I)).first.click()
    assert watched.page.url == (results / "index.html").as_uri()
    watched.page.context.close()


def test_it_fits_a_phone(results: Path, browser: Browser) -> None:
    for page in (results / "index.html", next(results.glob("runs/*/notebook.html"))):
        watched = watch(browser, width=360, height=700)
        watched.page.goto(page.as_uri())
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= 360
        watched.page.context.close()


def test_it_is_readable_by_day_and_by_night(results: Path, browser: Browser) -> None:
    for page in (results / "index.html", next(results.glob("runs/*/notebook.html"))):
        grounds = []
        for dark in (False, True):
            watched = watch(browser, dark=dark)
            watched.page.goto(page.as_uri())
            contrast, ground = watched.page.evaluate(CONTRAST)
            assert contrast >= 4.5
            grounds.append(ground)
            watched.page.context.close()
        assert grounds[0] != grounds[1]
