"""Does a page of a notebook show every line, on a wide screen and on a phone?"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Browser, Page

from smallscale.runs.catalogue import find_all
from smallscale.runs.pages import notebook_page
from tests.browser.watched import watch
from tests.conftest import ROOT
from tests.runs.test_pages import record

NOTEBOOKS = find_all(ROOT)
DESK = 1100  # pixels wide: lines of 88 columns fit
PHONE = 400

UNFOLD = "() => document.querySelectorAll('details').forEach(e => { e.open = true; })"
# The blocks of code and output that are narrower than what they hold.
CUT = """() => [...document.querySelectorAll('main pre')]
    .filter(e => e.scrollWidth > e.clientWidth)
    .map(e => e.textContent.split('\\n').sort((a, b) => b.length - a.length)[0])"""
# Everything that is wider than its own box, and whether the keyboard reaches it.
SCROLLING = """() => [...document.querySelectorAll('main *')]
    .filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0)
    .filter(e => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX))
    .map(e => [e.tabIndex, e.getAttribute('aria-label'), e.textContent.slice(0, 60)])"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each notebook's page, made of its committed outputs."""
    folder = tmp_path_factory.mktemp("pages")
    made = {}
    for name, notebook in NOTEBOOKS.items():
        made[name] = folder / f"{name.replace('/', '-')}.html"
        node = nbformat.read(notebook.path, as_version=4)
        made[name].write_text(notebook_page(node, record()), encoding="utf-8")
    return made


@pytest.fixture
def visit(browser: Browser, pages: dict[str, Path]) -> Iterator[Callable[..., Page]]:
    """visit(name, width=…) opens a notebook's page, everything in it unfolded."""
    opened = []

    def open_page(name: str, **look: Any) -> Page:
        page = watch(browser, **look).page
        opened.append(page)
        page.goto(pages[name].as_uri())
        page.evaluate(UNFOLD)
        return page

    yield open_page
    for page in opened:
        page.context.close()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_line_of_code_or_output_is_cut(
    name: str, visit: Callable[..., Page]
) -> None:
    page = visit(name, width=DESK)
    assert page.locator("main pre").count() > 10
    assert page.evaluate(CUT) == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_what_is_too_wide_for_a_phone_scrolls_where_the_keyboard_reaches_it(
    name: str, visit: Callable[..., Page]
) -> None:
    page = visit(name, width=PHONE, height=740)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
    blocks = page.evaluate(SCROLLING)
    assert blocks, "lines of 88 columns are wider than a phone"
    assert [block for block in blocks if block[0] != 0 or not block[1]] == []
    wide = page.locator(".highlight pre").evaluate_all(
        "all => all.findIndex(e => e.scrollWidth > e.clientWidth + 60)"
    )
    block = page.locator(".highlight pre").nth(wide)
    block.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("e => e.scrollLeft > 0", arg=block.element_handle())


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_folded_code_opens_by_keyboard(name: str, visit: Callable[..., Page]) -> None:
    page = visit(name)
    page.reload()
    fold = page.locator("details.code").first
    assert not fold.locator("pre").is_visible()
    fold.locator("summary").press("Enter")
    assert fold.locator("pre").is_visible()
