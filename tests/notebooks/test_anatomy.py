"""Has every notebook the anatomy that readers, the bench and screen readers rely on?"""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest

from smallscale.runs.catalogue import Notebook, find_all
from tests.conftest import ROOT

NOTEBOOKS = find_all(ROOT)
LAST = ["Claims", "Exercises", "Summary", "References"]
HEADER = ("Objectives", "Prerequisites", "Minutes", "Reproduces")


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
    kind, text, _ = notebook.cells[0]
    assert kind == "markdown"
    assert text.startswith("# ")
    assert "?" in notebook.question
    for word in HEADER:
        assert f"| **{word}" in text, f"the table of the first cell has no line {word}"
    for scale in ("tiny", "small", "medium", "full"):
        assert scale in text


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


def test_committed_outputs_are_whole_and_free_of_noise(
    notebook: Notebook, node: Any
) -> None:
    assert all(cell.execution_count for cell in node.cells if cell.cell_type == "code")
    for output in outputs(node):
        assert output.output_type != "error"
        assert output.get("name") != "stderr"
        assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})
    assert set(node.metadata) == {"kernelspec", "language_info"}
    assert node.metadata.kernelspec.name == "python3"
    text = notebook.path.read_text(encoding="utf-8")
    assert len(text) < 1_500_000
    assert not re.search(r"/(home|root|Users|tmp)/", text)


def test_claims_were_made_judged_and_held(node: Any) -> None:
    from smallscale.runs.execute import read_claims

    claims, metrics = read_claims(node)
    assert len(claims) >= 3
    assert metrics
    assert all(claim.judged and claim.holds for claim in claims)


def test_the_living_source_is_shown(notebook: Notebook) -> None:
    assert any(re.search(r"^source\(", text, re.M) for text in notebook.code)


def test_nothing_is_imported_below_the_top(notebook: Notebook) -> None:
    first = next(
        i
        for i, text in enumerate(notebook.code)
        if re.search(r"^(import|from) ", text, re.M)
    )
    for text in notebook.code[first + 1 :]:
        assert not re.search(r"^\s*(import|from) \w", text, re.M), (
            "imports stand together at the top"
        )


def test_renewing_strips_noise_and_keeps_what_is_looked_at(tmp_path: Path) -> None:
    from tests.renew import main

    node = nbformat.v4.new_notebook()
    code = (
        "import sys\nfrom IPython.display import display\nfrom ipywidgets import HTML\n"
        "print('kept')\nprint('dropped', file=sys.stderr)\ndisplay(HTML('x'))"
    )
    node.cells = [
        nbformat.v4.new_code_cell(code, metadata={"tags": ["t"], "editor": 1})
    ]
    nbformat.write(node, tmp_path / "nb.ipynb")
    main([str(tmp_path / "nb.ipynb")])
    (cell,) = nbformat.read(tmp_path / "nb.ipynb", as_version=4).cells
    assert cell.metadata == {"tags": ["t"]}
    assert cell.outputs[0]["text"] == "kept\n"
    assert [list(output.data) for output in cell.outputs[1:]] == [["text/plain"]]
