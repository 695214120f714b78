"""Does the gallery show every run, with words, to whoever opens it?"""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from PIL import Image

from smallscale.runs.gallery import gallery
from smallscale.runs.pages import notebook_page, save_figures
from tests.runs.samples import HOSTILE, Page, assert_closed, claim, record


def executed() -> Any:
    """A notebook as it is after a run: a heading and one figure."""
    png = io.BytesIO()
    Image.new("RGB", (800, 400), "navy").save(png, "PNG")
    output = nbformat.v4.new_output(
        "display_data",
        {"image/png": base64.b64encode(png.getvalue()).decode()},
        metadata={"image/png": {"alt": "A blue field", "title": "All is blue"}},
    )
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_markdown_cell("# How little must change\n\n[look](#There)"),
        nbformat.v4.new_code_cell("draw()", outputs=[output]),
        nbformat.v4.new_markdown_cell("## There"),
    ]
    return notebook


@pytest.mark.parametrize("html", [True, False])
def test_nothing_hostile_comes_through(html: bool) -> None:
    run = record(
        run=HOSTILE,
        notebook=f"{HOSTILE}/{HOSTILE}",
        title=HOSTILE,
        question=HOSTILE,
        status="failed",
        parameters={HOSTILE: HOSTILE},
        claims=[claim(statement=HOSTILE, measured=HOSTILE, holds=False)],
        error=HOSTILE,
        scale=HOSTILE,
        versions={HOSTILE: HOSTILE},
        figures=[{"file": "figure-1.png", "title": HOSTILE, "alt": HOSTILE}],
        html=html,
    )
    other = replace(run, run="other", parameters={HOSTILE: 1})
    for text in (gallery([run, other]), notebook_page(executed(), run)):
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)" in text
        assert_closed(Page(text))


def test_the_gallery_leads_to_files(tmp_path: Path) -> None:
    notebook = executed()
    runs = []
    for seed, html in ((0, True), (1, False)):
        name = f"adversarial images #{seed}"
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        run = record(
            run=name,
            html=html,
            parameters={"scale": "small", "seed": seed},
            figures=save_figures(notebook, folder),
        )
        nbformat.write(notebook, folder / "notebook.ipynb")
        if html:
            text = notebook_page(notebook, run)
            (folder / "notebook.html").write_text(text, encoding="utf-8")
        runs.append(run)
    (tmp_path / "index.html").write_text(gallery(runs), encoding="utf-8")
    (tmp_path / "runs.csv").touch()

    for path in (
        tmp_path / "index.html",
        tmp_path / "runs" / runs[0].run / "notebook.html",
    ):
        page = Page(path.read_text(encoding="utf-8"))
        for target in [a["href"] for a in page.all("a")] + [
            image["src"] for image in page.all("img")
        ]:
            link = urlsplit(target)
            if link.scheme == "data":
                continue
            leads_to = (
                (path.parent / unquote(link.path)).resolve() if link.path else path
            )
            assert leads_to.is_file(), target
            if link.fragment:
                there = Page(leads_to.read_text(encoding="utf-8"))
                assert unquote(link.fragment) in [
                    attributes.get("id") for _, attributes in there.tags
                ]


def test_the_gallery_says_how_it_went() -> None:
    runs = [
        record(
            run="a",
            claims=[claim()],
            parameters={"eps": 10, "seed": 0, "scale": "small"},
        ),
        record(
            run="b",
            claims=[claim()],
            parameters={"eps": 9.5, "seed": 1, "scale": "small"},
        ),
        record(
            run="c",
            claims=[claim(holds=False)],
            parameters={"eps": 10, "seed": 1, "scale": "small"},
        ),
        record(
            run="d",
            status="timed-out",
            error="stopped after 9 seconds",
            parameters={"eps": 11, "seed": 0},
        ),
        record(
            run="e", claims=[claim(judged=False)], notebook="outside", title="Elsewhere"
        ),
    ]
    text = gallery(runs)
    page = Page(text)
    assert re.findall(r"<(h\d)", text) == [
        "h1",
        "h2",
        "h3",
        "h4",
        "h4",
        "h4",
        "h4",
        "h2",
        "h3",
        "h4",
    ]
    assert re.findall(r"<h4>eps&nbsp;=&nbsp;([\d.]+)", text) == [
        "11",
        "10",
        "9.5",
        "10",
    ]
    assert "5 runs: 4 completed, 1 timed out. 2 of 3 judged claims hold." in text
    assert "stopped after 9 seconds" in text
    assert text.index("Robustness</h2>") < text.index("Other</h2>")
    for words in (
        "holds:",
        "does not hold:",
        "not judged:",
        "1 claim, not judged at this scale",
    ):
        assert words in text
    assert len(page.all("main")) == 1
    assert_closed(page)


def test_what_scrolls_can_be_reached_by_keyboard() -> None:
    runs = [record(run=f"run-{i}", error="x" * 300) for i in range(30)]
    page = Page(gallery(runs))
    blocks = [
        attributes
        for tag, attributes in page.tags
        if tag == "pre" or attributes.get("class") == "scroll"
    ]
    assert len(blocks) == 25
    assert all(block["tabindex"] == "0" and block["aria-label"] for block in blocks)


def test_each_theme_and_notebook_has_a_visible_anchor() -> None:
    runs = [record(notebook=f"a theme/{name}", title=name) for name in ("one", "two")]
    page = Page(gallery(runs))
    ids = [attributes.get("id") for _, attributes in page.tags]
    anchors = [a for a in page.all("a") if a.get("class") == "anchor"]
    assert [a["aria-label"] for a in anchors] == [
        "Link to: A theme",
        "Link to: one",
        "Link to: two",
    ]
    assert all(unquote((a["href"] or "")[1:]) in ids for a in anchors)
    assert not page.scripts


def test_no_runs_is_a_page_too() -> None:
    assert "No runs yet." in gallery([])


def test_thousands_of_runs_stay_usable() -> None:
    runs = [
        record(
            run=f"run-{i}", parameters={"seed": i, "eps": i / 7}, claims=[claim()] * 4
        )
        for i in range(3000)
    ]
    text = gallery(runs)
    assert len(text) < 2_000_000
    assert text.count("<article") == 24
    assert "2976 more runs" in text
