"""Do the lines of the page on sweeps fit the notebook that they name?"""

import re
from pathlib import Path

import nbformat
import pytest

from smallscale.notebook.claims import CLAIMS
from smallscale.runs.catalogue import Notebook, find_all
from smallscale.runs.lists import read_rows
from smallscale.runs.plan import Listed, plan
from smallscale.runs.results import Results
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")


@pytest.fixture
def notebook() -> Notebook:
    (name,) = set(re.findall(r"smallscale run ([a-z][a-z-]+) ", PAGE))
    return find_all(ROOT)[f"robustness/{name}"]


def lists() -> list[tuple[str, str]]:
    """The lists on the page, each with the name of a file that may hold it."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.M | re.S)
    endings = {"": "csv", "yaml": "yaml"}
    return [(f"runs.{endings[kind]}", text) for kind, text in found if kind in endings]


def test_the_pages_lists_are_of_runs_of_its_notebook(
    notebook: Notebook, tmp_path: Path
) -> None:
    assert len(lists()) == 3
    for (name, text), runs in zip(lists(), (2, 2, 4), strict=True):
        (tmp_path / name).write_text(text)
        listed = Listed(read_rows(tmp_path / name), tmp_path)
        work = plan([notebook], {}, tmp_path, Results(tmp_path), listed=listed)
        assert len(work.todo) == runs


def test_the_pages_metrics_are_of_its_notebook(notebook: Notebook) -> None:
    named = re.findall(r"--metric (\w+)|groupby\(.eps.\)\.(\w+)", PAGE)
    assert len(named) == 2
    outputs = [
        output["data"][CLAIMS]
        for cell in nbformat.read(notebook.path, as_version=4).cells
        for output in cell.get("outputs", [])
        if CLAIMS in output.get("data", {})
    ]
    (shown,) = outputs
    assert {search or column for search, column in named} <= shown["metrics"].keys()
