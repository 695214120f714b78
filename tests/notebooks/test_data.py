"""Does every notebook take the example of its data format?"""

import importlib.util
from pathlib import Path

import nbformat
import papermill
import pytest

from smallscale.runs.catalogue import find_all
from smallscale.runs.document import read_claims
from tests.conftest import ROOT

NOTEBOOKS = find_all(ROOT)
EXAMPLES = {
    "robustness/adversarial-images": "digits",
    "robustness/adversarial-reading": "passages/passages.json",
    "robustness/distribution-shift": "digits",
    "attribution/influence": "digits",
    "attribution/paying-contributors": "documents",
    "dpo/direct-preference-optimization": "preferences/preferences.jsonl",
    "values/collective-constitution": "votes",
    "foundations/optimizers": "documents",
    "evaluation/transparency-index": "transparency",
    "simulation/polarization": "votes",
    "foundations/scaling-laws": "documents",
}


def test_every_notebook_with_a_parameter_data_has_an_example() -> None:
    takes = {
        name for name, notebook in NOTEBOOKS.items() if "data" in notebook.parameters
    }
    assert takes == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_runs_on_its_example(name: str, tmp_path: Path) -> None:
    path, out = NOTEBOOKS[name].path, tmp_path / "out.ipynb"
    data = str(ROOT / "data" / EXAMPLES[name])
    parameters = {"scale": "tiny", "data": data}
    papermill.execute_notebook(
        path,
        out,
        parameters,
        cwd=path.parent,
        kernel_name="python3",
        progress_bar=False,
    )
    claims, metrics = read_claims(nbformat.read(out, as_version=4))
    assert len(claims) >= 3
    assert metrics


def test_the_script_writes_the_same_examples_again(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        "generate", ROOT / "data" / "generate.py"
    )
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    generate.main(tmp_path)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 18
    for path in written:
        committed = ROOT / "data" / path.relative_to(tmp_path)
        # How lines are drawn and compressed may change with the libraries' versions.
        if path.suffix != ".gz":
            assert path.read_bytes() == committed.read_bytes(), path.name
