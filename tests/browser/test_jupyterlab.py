"""Does each notebook do in JupyterLab what a reader expects, without a mouse too?"""

import json
import operator
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import nbformat
import psutil
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from smallscale.notebook.explorer import WHERE_IT_STARTS
from smallscale.notebook.living_source import FOLDED
from smallscale.runs.catalogue import find_all
from tests.browser.watched import PATIENCE, Watched, watch
from tests.conftest import ROOT, environment
from tests.renew import METADATA

NOTEBOOKS = find_all(ROOT)
IMAGES = "robustness/adversarial-images"
TOWN = "simulation/generative-agents"
INFLUENCE = "attribution/influence"
LOOPBACK = {"127.0.0.1", "localhost"}
# Milliseconds: slower than this, an answer to a key is broken even on a busy machine.
SLOW = 2000
WANTED = 150

FOLDERS = (
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
    "IPYTHONDIR",
    "SMALLSCALE_CACHE",
)
# JupyterLab would ask its makers, or ask us whether to.
NO_NEWS = {"fetchNews": "false", "checkForUpdates": False}

# Run All Cells marks every cell with a star at once; each star becomes a number, or
# goes with the first error.
RESTING = """() => {
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]
        .map(e => e.textContent);
    const indicator = document.querySelector('.jp-Notebook-ExecutionIndicator');
    const idle = indicator?.dataset.status === 'idle';
    return idle && prompts[0] === '[1]:' && !prompts.includes('[*]:');
}"""
# Everything a widget shows, but for the control itself.
REST = """control => {
    const region = control.closest('.jp-OutputArea-output');
    const own = control.closest('.widget-inline-hbox') ?? control;
    const shown = '.widget-html, .widget-output, svg, img, canvas';
    return [...region.querySelectorAll(shown)].filter(e => !own.contains(e))
        .map(e => e.tagName === 'CANVAS' ? e.toDataURL() : e.outerHTML).join('');
}"""
# From each key press until the sentence in the page is another one.
CLOCK = """sentence => {
    const region = sentence.closest('.jp-OutputArea-output');
    let pressed = 0, before = '';
    const read = () => region.querySelector('p strong').textContent;
    window.latencies = [];
    region.addEventListener('keydown', () => {
        pressed = performance.now();
        before = read();
    }, true);
    new MutationObserver(() => {
        if (pressed && read() !== before) {
            window.latencies.push(performance.now() - pressed);
            pressed = 0;
        }
    }).observe(region, { subtree: true, childList: true, characterData: true });
}"""
# The longest line of each block of code or output that is wider than its box.
CUT = """cell => [...cell.querySelectorAll('.cm-scroller, .jp-OutputArea-output pre')]
    .filter(e => e.scrollWidth > e.clientWidth)
    .map(e => e.matches('pre') ? e.textContent.split('\\n')
        : [...e.querySelectorAll('.cm-line')].map(line => line.textContent))
    .map(lines => lines.sort((a, b) => b.length - a.length)[0])"""

# One of everything that the kit shows.
KIT = [
    """\
import time

from ipywidgets import IntSlider

from smallscale.core.progress import ProgressBar
from smallscale.notebook import Claims, at_scale, explore, source
""",
    """\
for _ in ProgressBar(range(3), desc="a bar", mininterval=0):
    time.sleep(0.1)
""",
    "source(at_scale)",
    "claims = Claims('small')\nclaims.add('One', measured=1, holds=True)",
    """\
def dot(radius):
    return (
        f'<svg aria-label="a dot" viewBox="0 0 90 90"><circle r="{radius}"/></svg>'
        f"<p><strong>a dot of radius {radius}</strong></p>"
    )


explore(dot, {"radius": IntSlider(value=7)})
""",
    "print('W' * 88)".ljust(86) + "# ",
    "print('W' * 140)".ljust(138) + "# ",
]


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address and token of a JupyterLab with settings of its own.

    It serves a copy of the notebooks, at tiny, and kit.ipynb with its outputs.
    """
    folder = tmp_path_factory.mktemp("jupyterlab")
    tiny_copies(folder / "notebooks")
    kit = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, KIT)))
    path = folder / "notebooks" / "kit.ipynb"
    nbformat.write(kit, path)
    # In a process of its own: Chromium's event loop runs in this one.
    subprocess.run([sys.executable, ROOT / "tests" / "renew.py", path], check=True)
    settings = folder / "JUPYTERLAB_SETTINGS_DIR" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(NO_NEWS))
    with serving(folder) as served:
        yield served


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, str]]:
    """Start JupyterLab in a folder, with its notebooks and settings of its own.

    It is started by the README's line.
    """
    token = secrets.token_hex(16)
    words = [
        "--no-browser",
        "--ip=127.0.0.1",
        "--port=0",
        f"--IdentityProvider.token={token}",
        "--allow-root",
        "--LabApp.extension_manager=readonly",
        f"--config={ROOT / 'jupyter_server_config.py'}",
        "--notebook-dir=notebooks",
    ]
    own = {name: str(folder / name) for name in FOLDERS}
    with (folder / "log").open("w") as log:
        server = psutil.Popen(
            [sys.executable, "-m", "jupyterlab", *words],
            cwd=folder,
            env=environment(OMP_WAIT_POLICY="PASSIVE", **own),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield address(folder / "log", server), token
    finally:
        stop(server)


def tiny_copies(folder: Path) -> None:
    """Copy the notebooks, their default scale tiny, without outputs.

    What is seen then was made here.
    """
    shutil.copytree(ROOT / "notebooks", folder)
    for notebook in NOTEBOOKS.values():
        copy = folder / f"{notebook.name}.ipynb"
        node = nbformat.read(copy, as_version=4)
        cell = node.cells[notebook.parameters_at]
        cell.source, changed = re.subn(
            r'^scale: str = "\w+"', 'scale: str = "tiny"', cell.source, flags=re.M
        )
        assert changed == 1
        for cell in node.cells:
            if cell.cell_type == "code":
                cell.update(outputs=[], execution_count=None)
        nbformat.write(node, copy)


def address(log: Path, server: psutil.Popen) -> str:
    """Where the server says it listens."""
    for _ in range(PATIENCE // 100):
        found = re.search(r"http://127\.0\.0\.1:[1-9]\d*/", log.read_text())
        if found:
            return found[0]
        assert server.poll() is None, log.read_text()
        time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")


def stop(server: psutil.Popen) -> None:
    """Stop the server and its kernels.

    The kernels have sessions of their own, outside the server's process group.
    """
    family = [server, *server.children(recursive=True)]
    server.terminate()
    for process in psutil.wait_procs(family, timeout=20)[1]:
        process.kill()
    psutil.wait_procs(family, timeout=20)


@pytest.fixture(scope="module", params=NOTEBOOKS)
def ran(
    request: pytest.FixtureRequest, browser: Browser, jupyterlab: tuple[str, str]
) -> Iterator[Watched]:
    """The notebook in JupyterLab after Run All Cells."""
    watched = opened(browser, jupyterlab, request.param)
    run_all(watched.page)
    yield watched
    stop_kernels(watched.page, jupyterlab)
    watched.page.context.close()


def opened(browser: Browser, jupyterlab: tuple[str, str], name: str) -> Watched:
    """The notebook in JupyterLab, with a kernel that is ready."""
    address, token = jupyterlab
    watched = watch(browser)
    page = watched.page
    page.goto(f"{address}lab/tree/{quote(name)}.ipynb?reset&token={token}")
    page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()
    return watched


def run_all(page: Page) -> None:
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function(RESTING)
    # Here, once: no test below need wait for what cannot come.
    assert errors(page) == []


def stop_kernels(page: Page, jupyterlab: tuple[str, str]) -> None:
    address, token = jupyterlab
    for kernel in page.request.get(f"{address}api/kernels?token={token}").json():
        page.request.delete(f"{address}api/kernels/{kernel['id']}?token={token}")


def errors(page: Page) -> list[str]:
    """The tracebacks that cells show."""
    return [
        text
        for text in outputs(page).all_text_contents()
        if "Traceback (most recent call last)" in text
    ]


def outputs(page: Page) -> Locator:
    return page.locator(".jp-CodeCell .jp-OutputArea-output")


def controls(page: Page) -> list[Locator]:
    """What can be operated in the notebook's widgets."""
    widgets = outputs(page).filter(has=page.locator(".jupyter-widgets"))
    return widgets.locator(
        "[role=slider], input[type=range], select, button:enabled"
    ).all()


def sentence(page: Page) -> Locator:
    """The visible sentence of the explorer of adversarial images."""
    return outputs(page).filter(has=page.get_by_role("slider").last).locator("p strong")


class State(NamedTuple):
    """What the explorer of adversarial images shows."""

    image: str  # what is said of its sliders' values
    eps: str
    drawing: str
    description: str  # what a screen reader is told of the drawing
    sentence: str


def state(page: Page) -> State:
    region = outputs(page).filter(has=page.get_by_role("slider").last)
    drawing = region.locator("svg[role=img]")
    label = drawing.get_attribute("aria-label") or ""
    return State(
        image=region.locator(".readout b").first.inner_text(),
        eps=region.locator(".readout b").last.inner_text(),
        drawing=drawing.locator("g").first.inner_html(),
        description=label,
        sentence=region.locator("p strong").inner_text(),
    )


def changed(page: Page, before: str) -> None:
    """Wait for another sentence than this one."""
    page.wait_for_function(
        "before => [...document.querySelectorAll('.jp-OutputArea-output p strong')]"
        ".every(e => e.textContent != before)",
        arg=before,
    )


def test_every_cell_ran_in_order(ran: Watched) -> None:
    """A folded cell, whose code JupyterLab hides, shows no number."""
    prompts = ran.page.locator(".jp-CodeCell .jp-InputPrompt").all_text_contents()
    numbers = [f"[{n}]:" for n in range(1, len(prompts) + 1)]
    pairs = zip(prompts, numbers, strict=True)
    assert [pair for pair in pairs if pair[0] not in ("", pair[1])] == []
    assert prompts.count("") == ran.page.locator(".jp-CodeCell .jp-Placeholder").count()


def test_every_figure_has_its_visible_sentence(ran: Watched) -> None:
    # A widget's own pictures change with its sliders: its sentence stands in its HTML.
    pictures = outputs(ran.page).locator("img:not(.jupyter-widgets img)").all()
    assert pictures
    for picture in pictures:
        below = picture.locator(
            "xpath=ancestor::*[contains(@class, 'jp-OutputArea-child')]"
            "/following-sibling::*[1]"
        )
        said = below.locator("p").first
        said.scroll_into_view_if_needed()
        expect(said).to_be_visible(timeout=PATIENCE)
        expect(said).to_have_text(re.compile("^Figure: .{20}"))
        assert picture.evaluate("e => e.complete && e.naturalWidth > 0")


def test_the_table_of_claims_is_there(ran: Watched) -> None:
    table = ran.page.locator("table.claims")
    table.scroll_into_view_if_needed()
    expect(table).to_be_visible(timeout=PATIENCE)
    assert table.locator("tbody tr").count() >= 3


def test_each_widget_answers_the_keyboard(ran: Watched) -> None:
    page = ran.page
    assert controls(page), "a notebook has at least one thing to move"
    for control in controls(page):
        control.scroll_into_view_if_needed()
        before = control.evaluate(REST)
        control.focus()
        page.keyboard.press(key(control))
        page.wait_for_function(
            f"([e, before]) => ({REST})(e) !== before",
            arg=[control.element_handle(), before],
        )


def key(control: Locator) -> str:
    """The key that certainly moves it: to the end at which it does not stand."""
    kind = control.evaluate("e => e.tagName")
    if kind == "BUTTON":
        return "Enter"
    if kind == "SELECT":  # JupyterLab takes its ArrowDown as a step to the next cell
        at_end = "e => e.selectedIndex === e.length - 1"
    else:
        at_end = "e => +(e.ariaValueNow ?? e.value) >= +(e.ariaValueMax ?? e.max)"
    return "Home" if control.evaluate(at_end) else "End"


def test_no_line_of_code_or_output_is_cut(ran: Watched) -> None:
    """JupyterLab at 1,280 pixels, its side bar open."""
    for cell in ran.page.locator(".jp-CodeCell").all():
        cell.scroll_into_view_if_needed()
        assert cell.evaluate(CUT) == []


def test_no_empty_box_is_left_where_a_bar_was(ran: Watched) -> None:
    stderr = "application/vnd.jupyter.stderr"
    boxes = outputs(ran.page).and_(ran.page.locator(f"[data-mime-type='{stderr}']"))
    assert boxes.all_text_contents() == []


def test_only_the_kernel_says_where_a_slider_stands(ran: Watched) -> None:
    """A slider's own readout would go on moving when the kernel is dead."""
    assert ran.page.locator(".widget-readout:visible").count() == 0


@pytest.mark.parametrize("ran", [IMAGES], indirect=True)
def test_moving_eps_changes_drawing_description_sentence_and_readout(
    ran: Watched,
) -> None:
    page = ran.page
    slider = page.get_by_role("slider").last
    slider.scroll_into_view_if_needed()
    slider.focus()
    page.keyboard.press("End")
    page.wait_for_function(
        "e => e.ariaValueNow === e.ariaValueMax", arg=slider.element_handle()
    )
    seen = state(page)
    for press in ("Home", "ArrowRight", "ArrowRight", "ArrowLeft", "End"):
        page.keyboard.press(press)
        changed(page, seen.sentence)
        before, seen = seen, state(page)
        assert seen.image == before.image
        assert all(map(operator.ne, seen[1:], before[1:])), press
        assert seen.sentence in seen.description, (
            "the description says more than the sentence, not something else"
        )
    page.keyboard.press("Home")
    changed(page, seen.sentence)
    assert state(page).eps == "0"
    assert "no perturbation" in sentence(page).inner_text()


@pytest.mark.parametrize("ran", [IMAGES], indirect=True)
def test_another_image_can_be_chosen_by_keyboard(ran: Watched) -> None:
    page = ran.page
    images = page.get_by_role("slider").first
    images.scroll_into_view_if_needed()
    images.focus()
    first = key(images)
    if first == "End":
        presses = ("End", "Home", "ArrowRight", "ArrowRight")
    else:
        presses = ("Home", "End", "ArrowLeft", "ArrowLeft")
    for press in presses:
        before = state(page)
        page.keyboard.press(press)
        changed(page, before.sentence)
        seen = state(page)
        assert seen.drawing != before.drawing, "another image is drawn"
        assert seen.sentence.startswith(f"True {seen.image[-1]},")


@pytest.mark.parametrize("ran", [IMAGES], indirect=True)
def test_the_widget_follows_the_keys(
    ran: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    page = ran.page
    slider = page.get_by_role("slider").last
    sentence(page).evaluate(CLOCK)
    slider.focus()
    slider.press("Home")
    page.wait_for_function(
        "e => e.ariaValueNow === e.ariaValueMin", arg=slider.element_handle()
    )
    page.evaluate("window.latencies.length = 0")
    presses = ["ArrowRight"] * 10 + ["ArrowLeft"] * 10
    for n, press in enumerate(presses, 1):
        page.keyboard.press(press)
        page.wait_for_function("n => window.latencies.length === n", arg=n)
    taken = page.evaluate("window.latencies")
    median = statistics.median(taken)
    with capsys.disabled():
        print(
            f"\nfrom key to sentence: median {median:.0f} ms of {len(taken)}, "
            f"longest {max(taken):.0f} (wanted {WANTED})"
        )
    assert median < SLOW


@pytest.mark.parametrize("ran", [TOWN], indirect=True)
def test_the_town_map_says_what_it_draws_at_any_width(ran: Watched) -> None:
    page = ran.page
    region = page.locator(".town-map")
    slider, canvas, clock = (
        region.locator("input"),
        region.locator("canvas"),
        region.locator("output"),
    )
    seen = set()
    for press, time_of_day in (
        ("Home", "Monday 00:00"),
        ("End", "Tuesday 23:00"),
        ("ArrowLeft", "Tuesday 22:00"),
    ):
        slider.press(press)
        expect(clock).to_have_text(time_of_day)
        said = region.locator("strong").inner_text()
        assert said.startswith(f"{time_of_day}. ")
        assert canvas.get_attribute("aria-label") == said
        page.wait_for_timeout(500)  # people walk for a third of a second
        seen.add(canvas.evaluate("e => e.toDataURL()"))
    assert len(seen) == 3
    region.locator("summary").click()
    assert (
        sum(line.count(",") + 1 for line in region.locator("li").all_text_contents())
        == 25
    )
    slider.press("Home")
    region.get_by_role("button", name="Play").press("Enter")
    expect(clock).to_have_text(re.compile("Monday 0[1-9]:00"))
    region.get_by_role("button", name="Pause").press("Enter")
    wide, size = canvas.bounding_box(), page.viewport_size
    page.set_viewport_size({"width": 700, "height": 800})
    page.wait_for_function(
        "([e, wide]) => e.clientWidth < wide",
        arg=[canvas.element_handle(), wide["width"]],
    )
    assert region.evaluate("e => e.scrollWidth <= e.clientWidth")
    page.set_viewport_size(size)


@pytest.mark.parametrize("ran", [INFLUENCE], indirect=True)
def test_training_images_are_taken_out_by_keyboard(ran: Watched) -> None:
    page = ran.page
    count = page.get_by_role("slider").last
    count.scroll_into_view_if_needed()
    count.focus()
    widget = outputs(page).filter(has=count)
    for press, words, pictures in (
        ("Home", r"\(for \d: 0\.\d\d\)\.$", 1),
        ("End", r"without 5 training images", 6),
    ):
        page.keyboard.press(press)
        expect(sentence(page)).to_have_text(re.compile(words))
        expect(
            widget.locator("img"), "the test image, and each that was taken out"
        ).to_have_count(pictures)
        expect(widget.locator("td", has_text="true")).to_have_count(1)


def test_nothing_was_complained_about_and_nobody_else_asked(ran: Watched) -> None:
    """Stands last: it judges all that the tests above did on this page."""
    assert ran.complaints() == []
    hosts = {
        urlsplit(url).hostname
        for url in ran.requests
        if not url.startswith(("data:", "blob:"))
    }
    assert hosts <= LOOPBACK, [
        url for url in ran.requests if urlsplit(url).hostname not in LOOPBACK
    ]


@pytest.fixture(scope="module")
def checkout(
    tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> Iterator[tuple[Path, tuple[str, str]]]:
    """The notebooks as they are, committed, and JupyterLab started above them.

    The version that they name is another Python's, as it will be for most readers.
    """
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    (folder / ".gitignore").write_text(
        "\n".join(["/log", *FOLDERS, (ROOT / ".gitignore").read_text()])
    )
    for path in folder.rglob("notebooks/*/*.ipynb"):
        text = path.read_text(encoding="utf-8")
        assert f'"version": "{VERSION}"' in text
        path.write_text(
            text.replace(f'"version": "{VERSION}"', '"version": "3.99.0"'),
            encoding="utf-8",
        )
    git(folder, "init")
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--message=all")
    with serving(folder) as served:
        yield folder, served


VERSION = METADATA["language_info"]["version"]


def git(folder: Path, *words: str) -> str:
    """Run git in this folder, and return what it prints."""
    return subprocess.run(
        ["git", *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_opening_and_saving_a_notebook_leaves_git_clean(
    name: str, browser: Browser, checkout: tuple[Path, tuple[str, str]]
) -> None:
    folder, served = checkout
    file = folder / "notebooks" / f"{name}.ipynb"
    written = file.stat().st_mtime_ns
    watched = opened(browser, served, name)
    page = watched.page
    page.locator(".jp-Notebook").first.click(position={"x": 5, "y": 5})
    with page.expect_response(
        lambda response: (
            response.request.method == "PUT" and "/api/contents/" in response.url
        )
    ):
        page.keyboard.press("Control+s")
    stop_kernels(page, served)
    page.context.close()
    assert file.stat().st_mtime_ns > written, "it was saved"
    assert git(folder, "status", "--short") == "", git(folder, "diff")


@pytest.fixture(scope="module")
def kit(browser: Browser, jupyterlab: tuple[str, str]) -> Iterator[Watched]:
    """One of everything that the kit shows, opened as it is committed, not yet run."""
    watched = opened(browser, jupyterlab, "kit")
    yield watched
    stop_kernels(watched.page, jupyterlab)
    watched.page.context.close()


def test_a_still_and_a_sentence_stand_there_before_a_notebook_is_run(
    kit: Watched,
) -> None:
    """JupyterLab does not trust the notebook yet, and removes SVG from its HTML."""
    image = kit.page.get_by_role("img", name="a dot")
    image.scroll_into_view_if_needed()
    expect(image).to_be_visible(timeout=PATIENCE)
    assert image.evaluate("e => e.complete && e.naturalWidth > 0")
    region = outputs(kit.page).filter(has=kit.page.locator(".still"))
    assert region.locator("p").all_text_contents() == [
        "radius: 7",
        "a dot of radius 7",
        WHERE_IT_STARTS,
    ]


def test_source_is_highlighted_and_folds_the_rest(kit: Watched) -> None:
    region = outputs(kit.page).filter(has_text="def at_scale(")
    region.scroll_into_view_if_needed()
    code = region.locator("pre").first
    expect(code.locator("span", has_text="def").first).to_be_visible(timeout=PATIENCE)
    rest = region.locator("details")
    assert rest.locator("summary").inner_text() == FOLDED
    assert not rest.locator("pre").is_visible()
    rest.locator("summary").click()
    assert rest.locator("pre").inner_text().startswith(">>> at_scale(")


def test_88_columns_fit_and_no_more(kit: Watched) -> None:
    *_, fits, cut = kit.page.locator(".jp-CodeCell").all()
    for cell in (fits, cut):
        cell.scroll_into_view_if_needed()
        expect(cell.locator(".cm-line")).to_be_visible(timeout=PATIENCE)
    assert fits.evaluate(CUT) == []
    assert cut.evaluate(CUT) == [KIT[-1]]
    # JupyterLab wraps what is printed, so that a long line is not cut but takes two.
    one, two = (cell.locator("pre").last.bounding_box() for cell in (fits, cut))
    assert two["height"] > 1.5 * one["height"]


def test_run_then_moved_then_without_a_kernel(
    kit: Watched, jupyterlab: tuple[str, str]
) -> None:
    """A bar and claims.add leave nothing to see, and a dead kernel tells no lies."""
    page = kit.page
    run_all(page)
    _, bar, _, claims, explorer, *_ = page.locator(".jp-CodeCell").all()
    for cell in (bar, claims):
        heights = cell.locator(".jp-OutputArea-output").evaluate_all(
            "all => all.map(e => e.clientHeight)"
        )
        assert sum(heights) == 0
    slider = page.get_by_role("slider")
    slider.scroll_into_view_if_needed()
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(explorer.locator("p strong")).to_have_text("a dot of radius 8")
    assert explorer.locator(".readout").inner_text() == "radius: 8"
    stop_kernels(page, jupyterlab)
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "e => e.ariaValueText === '9.0' || e.ariaValueNow === '9.0'",
        arg=slider.element_handle(),
    )
    page.wait_for_timeout(WANTED)
    assert explorer.locator(".readout").inner_text() == "radius: 8"
    assert explorer.locator("p strong").inner_text() == "a dot of radius 8"
    assert not explorer.locator(".widget-readout").is_visible()
