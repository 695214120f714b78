"""Every notebook, executed by papermill at tiny: its claims can be read back."""

from pathlib import Path

import nbformat
import papermill
import pytest

from smallscale.runs.catalogue import find_all
from smallscale.runs.document import read_claims
from tests.conftest import ROOT

NOTEBOOKS = find_all(ROOT)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_runs_at_tiny_and_claims_are_printed_not_judged(
    name: str, tmp_path: Path
) -> None:
    path = NOTEBOOKS[name].path
    out = tmp_path / "out.ipynb"
    papermill.execute_notebook(
        path,
        out,
        {"scale": "tiny", "seed": 1},
        cwd=path.parent,
        kernel_name="python3",
        progress_bar=False,
    )
    notebook = nbformat.read(out, as_version=4)
    said = [
        output.get("text", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    ]
    assert not [text for text in said if "Warning" in text]
    claims, metrics = read_claims(notebook)
    assert len(claims) >= 3
    assert metrics
    assert not any(claim.judged for claim in claims)
