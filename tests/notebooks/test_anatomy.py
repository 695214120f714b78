"""Has every notebook the anatomy that readers, the bench and screen readers rely on?"""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbval.plugin import comment_markers, metadata_tags

from smallscale.notebook.explorer import WHERE_IT_STARTS
from smallscale.runs.catalogue import Notebook, find_all
from smallscale.runs.document import read_claims
from smallscale.runs.pages import folded
from tests.conftest import ROOT
from tests.renew import METADATA, WIDGET, main

NOTEBOOKS = find_all(ROOT)
LAST = ["Claims", "Exercises", "Summary", "References"]
HEADER = ("Objectives", "Prerequisites", "Minutes", "Reproduces")
COLUMNS = 88  # of a line of code or of output


@pytest.fixture(params=NOTEBOOKS, scope="module")
def notebook(request: pytest.FixtureRequest) -> Notebook:
    return NOTEBOOKS[request.param]


@pytest.fixture(scope="module")
def node(notebook: Notebook) -> Any:
    node = nbformat.read(notebook.path, as_version=4)
    nbformat.validate(node)
    return node


def headings(notebook: Notebook) -> list[tuple[int, str]]:
    text = re.sub(r"^```.*?^```", "", "\n".join(notebook.markdown), flags=re.M | re.S)
    return [
        (len(marks), words.strip())
        for marks, words in re.findall(r"^(#+) +(.+)$", text, re.M)
    ]


def outputs(node: Any) -> list[Any]:
    return [
        output
        for cell in node.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


def test_the_first_cell_has_the_topic_the_question_and_the_table(
    notebook: Notebook,
) -> None:
    first = notebook.cells[0]
    assert first.kind == "markdown"
    assert first.text.startswith("# ")
    assert "?" in notebook.question
    for word in HEADER:
        assert f"| **{word}" in first.text, f"the first table has no line {word}"
    for scale in ("tiny", "small", "medium", "full"):
        assert scale in first.text


def test_one_h1_and_no_level_skipped(notebook: Notebook) -> None:
    levels = [level for level, _ in headings(notebook)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))


def test_it_ends_in_claims_exercises_summary_and_references(notebook: Notebook) -> None:
    assert [words for level, words in headings(notebook) if level == 2][-4:] == LAST


def test_parameters_are_declared_and_start_with_scale_and_seed(
    notebook: Notebook,
) -> None:
    scale, seed = list(notebook.parameters.values())[:2]
    assert (scale.name, scale.default, scale.choices) == (
        "scale",
        "small",
        ("tiny", "small", "medium", "full"),
    )
    assert (seed.name, seed.kind, seed.default) == ("seed", int, 0)
    assert all(parameter.help for parameter in notebook.parameters.values())


def test_three_exercises_each_with_difficulty_and_minutes(notebook: Notebook) -> None:
    exercises = [
        words
        for level, words in headings(notebook)
        if level == 3 and words.startswith("Exercise ")
    ]
    assert len(exercises) == 3
    text = "\n".join(notebook.markdown)
    assert len(re.findall(r"Difficulty: [●○]{3}, about \d+ minutes", text)) == 3


def figure_calls(notebook: Notebook) -> list[ast.Call]:
    """Return the calls by which a notebook's cells show figures."""
    return [
        node
        for text in notebook.code
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "figure"
    ]


def test_every_figures_title_says_what_was_measured_with_its_sign(
    notebook: Notebook,
) -> None:
    words = [word for call in figure_calls(notebook) for word in call.keywords]
    titles = [word.value for word in words if word.arg == "title"]
    for title in titles:
        parts = list(ast.walk(title))
        assert any(isinstance(part, ast.FormattedValue | ast.Name) for part in parts)
        called = [ast.unparse(p.func) for p in parts if isinstance(p, ast.Call)]
        assert "abs" not in called, "a loss would be told as a gain"


FOUND = re.compile(r"are the (low|high)est|carries it|keeps more|both fall", re.I)


def test_an_alt_text_says_no_finding_that_is_fixed(notebook: Notebook) -> None:
    """Such words were true of one run and stood on the page of every other."""
    for call in figure_calls(notebook):
        alts = [word.value for word in call.keywords if word.arg == "alt"]
        for part in (part for alt in alts for part in ast.walk(alt)):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                assert not FOUND.search(part.value), part.value


def test_every_figure_has_alt_text_and_a_visible_sentence(node: Any) -> None:
    shown = outputs(node)
    pictures = [
        i for i, output in enumerate(shown) if "image/png" in output.get("data", {})
    ]
    assert pictures
    for i in pictures:
        alt = shown[i].metadata["image/png"]["alt"]
        assert len(alt) > 20
        assert shown[i].metadata["image/png"]["title"]
        sentence = shown[i + 1].data["text/html"]
        assert sentence.startswith("<p>Figure: ")
        assert "<details>" in sentence, "a figure's numbers must be reachable as text"


def numbers(value: Any) -> Iterator[float]:
    """Return every float in JSON."""
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from numbers(item)
    elif isinstance(value, list):
        for item in value:
            yield from numbers(item)


def test_committed_outputs_are_whole_and_free_of_noise(
    notebook: Notebook, node: Any
) -> None:
    assert all(cell.execution_count for cell in node.cells if cell.cell_type == "code")
    for output in outputs(node):
        assert output.output_type != "error"
        assert output.get("name") != "stderr"
        assert WIDGET not in output.get("data", {})
        assert output.get("data", output.get("text", "").strip()), "an empty box"
    assert node.metadata == METADATA
    text = notebook.path.read_text(encoding="utf-8")
    assert len(text) < 1_500_000
    assert not re.search(r"/(home|root|Users|tmp)/", text)
    for number in numbers(node):  # a browser writes these otherwise when it saves
        assert not number.is_integer(), f"{number} is to be written as {int(number)}"
        assert not 1e-6 <= abs(number) < 1e-4, f"{number} is to be rounded"


def test_the_file_is_as_jupyterlab_writes_it(notebook: Notebook, node: Any) -> None:
    written = nbformat.writes(node).rstrip("\n") + "\n"
    assert notebook.path.read_text(encoding="utf-8") == written


def bare_text(output: Any) -> str:
    """Return what an output shows as text alone, if that is all it has."""
    data = output.get("data", {})
    return data["text/plain"] if set(data) == {"text/plain"} else ""


def test_no_output_is_what_only_python_reads(node: Any) -> None:
    """No bare repr of an object, and no quoted string where a sentence was meant."""
    for output in outputs(node):
        for text in (bare_text(output), output.get("text", "")):
            assert not re.search(r"\bat 0x[0-9a-f]{6,}", text), text
            assert not re.match(r"<.*>$|\w+\(.*\)$", text, re.S), text
        assert not re.match(r"(['\"]).*\1$", bare_text(output), re.S), (
            f"note(…) shows a sentence without quotes: {bare_text(output)}"
        )


def test_no_line_of_code_or_output_is_longer_than_a_page_is_wide(node: Any) -> None:
    texts = [cell.source for cell in node.cells if cell.cell_type == "code"]
    for output in outputs(node):
        texts += [output.get("text", ""), bare_text(output)]
    lines = [line for text in texts for line in text.splitlines()]
    assert [line for line in lines if len(line) > COLUMNS] == []


def test_a_still_and_a_sentence_stand_where_a_widget_needs_a_kernel(node: Any) -> None:
    shown = [output.get("data", {}).get("text/html", "") for output in outputs(node)]
    sentence = re.compile(r"<p><em>[^<]*Run the notebook[^<]*</em></p>")
    stills = [html for html in shown if sentence.search(html)]
    assert stills, "a notebook has at least one thing to explore"
    for html in stills:
        assert "<svg" not in html, "GitHub removes it: draw it in an image"


def test_tags_steer_nbval(node: Any) -> None:
    for cell in node.cells:
        if cell.cell_type == "code":
            tags = [tag for tag in cell.metadata.get("tags", []) if "nbval" in tag]
            assert set(tags) <= set(metadata_tags), "nbval knows no such tag"
            comments = re.findall(r"^\s*#+\s*(\w+)\s*$", cell.source, re.M)
            assert not set(comments) & set(comment_markers), "use the cell's tags"


def only_draws(source: str) -> bool:
    """Return whether a cell makes its figure from the first line on, and shows it."""
    first, *others = ast.parse(source).body
    begins = isinstance(first, ast.Assign) and ast.unparse(first.value).startswith(
        ("plt.subplots(", "plt.figure(", "plt.subplot_mosaic(")
    )
    shows = any(ast.unparse(statement).startswith("figure(") for statement in others)
    return begins and shows


def only_claims(source: str) -> bool:
    """Return whether a cell states claims, or gets their numbers ready, and no more."""
    return claim_only(ast.parse(source).body)


def claim_only(statements: list[ast.stmt]) -> bool:
    """Return whether these are calls of claims, at least one, and assignments."""
    claiming = [states_claims(statement) for statement in statements]
    return any(claiming) and all(
        claims or isinstance(statement, ast.Assign)
        for claims, statement in zip(claiming, statements, strict=True)
    )


def states_claims(statement: ast.stmt) -> bool:
    """Return whether this is claims.add(…), .metric(…), .show(), or a loop of these."""
    if isinstance(statement, ast.For | ast.If):
        return claim_only([*statement.body, *statement.orelse])
    return isinstance(statement, ast.Expr) and bool(
        re.match(r"claims\.(add|metric|show)\(", ast.unparse(statement))
    )


@pytest.mark.parametrize(
    ("source", "draws", "claims"),
    [
        ("fig, ax = plt.subplots()\nax.plot(x)\nfigure(fig, title='t')", True, False),
        ("x = train()\nfig, ax = plt.subplots()\nfigure(fig)", False, False),
        ("claims.add('x', measured=1).metric('x', 1)", False, True),
        (
            "x = y.mean()\nfor n in x:\n    claims.metric(n, 1)\nclaims.show()",
            False,
            True,
        ),
        ("for n in x:\n    m = 2 * n\n    claims.metric('m', m)", False, True),
        ("claims = Claims()", False, False),
        ("def f(x):\n    return x\n\n\nclaims.add('x', measured=f(1))", False, False),
        ("print(1)\nclaims.show()", False, False),
    ],
)
def test_which_cells_only_draw_or_only_claim(
    source: str, draws: bool, claims: bool
) -> None:
    assert only_draws(source) is draws
    assert only_claims(source) is claims


def test_cells_that_only_draw_or_only_claim_are_folded(node: Any) -> None:
    for cell in node.cells:
        if cell.cell_type == "code" and cell.source.strip():
            if only_draws(cell.source) or only_claims(cell.source):
                assert folded(cell), f"fold this cell:\n{cell.source}"
            hidden = cell.metadata.get("jupyter", {}).get("source_hidden", False)
            tagged = "hide-input" in cell.metadata.get("tags", [])
            assert hidden == tagged, "JupyterLab reads one mark, other tools the other"


def test_claims_were_made_judged_and_held(node: Any) -> None:
    claims, metrics = read_claims(node)
    assert len(claims) >= 3
    assert metrics
    assert all(claim.judged and claim.holds for claim in claims)


def test_the_living_source_is_shown(notebook: Notebook) -> None:
    assert any(re.search(r"^source\(", text, re.M) for text in notebook.code)


def test_imports_stand_together_at_the_top(notebook: Notebook) -> None:
    cells = [
        number
        for number, text in enumerate(notebook.code)
        if re.search(r"^\s*(import|from) \w", text, re.M)
    ]
    first, last = cells[0], cells[-1]
    assert first <= 2
    assert cells == list(range(first, last + 1)), "imports stand in cells side by side"


NOISY = """\
import sys

from IPython.display import display
from ipywidgets import HTML, IntSlider

from smallscale.core.progress import ProgressBar
from smallscale.notebook import explore

print("kept")
print("dropped", file=sys.stderr)
for _ in ProgressBar(range(3), desc="dropped", mininterval=0):
    pass
display(HTML("x"))
explore("<p>{}</p>".format, {"size": IntSlider(value=3)})
"""


def test_renewing_strips_noise_and_keeps_what_is_looked_at(tmp_path: Path) -> None:
    node = nbformat.v4.new_notebook()
    metadata = {"tags": ["t"], "editor": 1, "jupyter": {"source_hidden": True}}
    node.cells = [
        nbformat.v4.new_code_cell(NOISY, metadata=metadata),
        nbformat.v4.new_code_cell("1", metadata={"jupyter": {"outputs_hidden": True}}),
        nbformat.v4.new_markdown_cell("text", metadata={"tags": ["t"]}),
    ]
    nbformat.write(node, tmp_path / "nb.ipynb")
    main([str(tmp_path / "nb.ipynb")])
    noisy, plain, text = nbformat.read(tmp_path / "nb.ipynb", as_version=4).cells
    assert noisy.metadata == {"tags": ["t"], "jupyter": {"source_hidden": True}}
    assert plain.metadata == {}
    assert text.metadata == {"tags": ["t"]}
    said, html, explorer = noisy.outputs
    assert said["text"] == "kept\n"
    assert list(html.data) == ["text/plain"]
    assert set(explorer.data) == {"text/html", "text/plain"}
    assert "size: <b>3</b>" in explorer.data["text/html"]
    assert WHERE_IT_STARTS in explorer.data["text/html"]
