"""Are tables and headings found, at a cost of the text's length and no more?"""

import re
from collections.abc import Callable

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallscale.runs.html_parts import Element, with_elements_changed
from smallscale.runs.pages import notebook_page
from tests.runs.samples import record

PIECES = ["<h1>", "</h1>", "<h2 a='b'>", "</h2>", "<h1", ">", "a", "<table>", "\n"]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_it_finds_what_one_pattern_would(html: str) -> None:
    pattern = re.compile(r"<(h[1-6])\b([^>]*)>(.*?)</\1>", re.S)

    def mark(element: Element) -> str:
        return f"({element.name};{element.attributes};{element.inside})"

    assert with_elements_changed(html, "h[1-6]", mark) == pattern.sub(
        r"(\1;\2;\3)", html
    )


def test_an_element_that_is_left_alone_stays_as_it_was() -> None:
    html = "a <table class='x'><tr></tr></table> b <table>"
    assert with_elements_changed(html, "table", lambda table: table.html) == html


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        lambda half: half("<table>"),
        lambda half: half("<table "),
        lambda half: half("<h1>"),
        lambda half: half("<h1 ") + half("<h2>"),
        lambda half: f"<table>{half('<th ')}</table>",
        lambda half: f"<table>{half('<thead><tr')}</table>",
        lambda half: f"<h1>{half('<')}</h1>",
        lambda half: half("<table></table>"),
        lambda half: half(r"\\("),
        lambda half: half(r"\begin{a}"),
        lambda half: half("[a]("),
        lambda half: f"<div {half('style= ')}>",
        lambda half: f"<h2{half(' ')}>x</h2>",
        lambda half: f"<table><th{half(' ')}></th></table>",
    ],
)
@pytest.mark.parametrize("kind", ["text/html", "text/markdown", "text/latex"])
def test_a_page_costs_no_more_than_its_length(
    text: Callable[[Callable[[str], str]], str], kind: str
) -> None:
    printed = text(lambda piece: piece * (400_000 // len(piece)))
    notebook = nbformat.v4.new_notebook()
    shown = nbformat.v4.new_output("display_data", data={kind: printed})
    notebook.cells = [nbformat.v4.new_code_cell("1", outputs=[shown])]
    assert len(notebook_page(notebook, record())) > len(printed)
