"""Does MLflow read what is exported to it? Its own library is asked, if here."""

import importlib.util
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., Path]
Smallscale = Callable[..., subprocess.CompletedProcess[str]]
METRIC = (
    "from smallscale.notebook import Claims",
    "Claims().add('It holds', measured=seed, holds=True)"
    ".metric('loss', eps / 2, low=0.0, high=1.0, n=7).metric('bad', float('nan'))"
    ".show()\nif seed == 1: raise ValueError('no')",
)


@pytest.fixture
def sweep(write: Write, smallscale: Smallscale) -> None:
    write("theme/nb", *METRIC)
    done = smallscale("run", "all", "--seeds", "2", "-p", "eps=0.5")
    assert "2 runs, 1 failed" in done.stdout, done.stderr


@pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is not None, reason="MLflow is installed"
)
def test_without_mlflow_it_is_refused_in_one_line(
    sweep: None, smallscale: Smallscale
) -> None:
    done = smallscale("export", "--mlflow", "mlruns")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'smallscale[mlflow]'" in done.stderr


def test_mlflow_reads_each_run_once(
    sweep: None,
    smallscale: Smallscale,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    from mlflow.tracking import MlflowClient

    assert "2 runs exported" in smallscale("export", "--mlflow", "mlruns").stdout
    assert "0 runs exported" in smallscale("export", "--mlflow", "mlruns").stdout
    smallscale("run", "all", "--seeds", "3", "-p", "eps=0.5")
    # The failed one was tried again.
    assert "2 runs exported" in smallscale("export", "--mlflow", "mlruns").stdout
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # for this test's own client
    client = MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("theme/nb")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 4
    (first,) = [run for run in runs if run.data.params["seed"] == "0"]
    assert first.info.status == "FINISHED"
    assert first.data.params["eps"] == "0.5"
    numbers = first.data.metrics
    assert (numbers["loss"], numbers["loss_high"], numbers["loss_n"]) == (0.25, 1, 7)
    assert "bad" not in numbers
    (path,) = [
        path
        for path in tmp_path.glob("results/runs/*/run.json")
        if json.loads(path.read_text())["parameters"]["seed"] == 0
    ]
    assert first.info.run_name == first.data.tags["smallscale.run"] == path.parent.name
    assert {file.path for file in client.list_artifacts(first.info.run_id)} == {
        "notebook.ipynb",
        "notebook.html",
    }
    failed = [run for run in runs if run.data.params["seed"] == "1"]
    assert {run.info.status for run in failed} == {"FAILED"}
