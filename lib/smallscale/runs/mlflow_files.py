"""How do those who live in MLflow see these runs? In MLflow's own files, written by it.

A notebook is an experiment, and a run of it is a run there, with its parameters,
metrics, times, commit and claims, and its executed notebook as an artifact. What was
exported before is not exported again.
"""

import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from smallscale.runs import Refused, refusing
from smallscale.runs.record import RunRecord, claims_held
from smallscale.runs.results import Results

RUN_TAG = "smallscale.run"
FINISHED_TAG = "smallscale.finished"
STATUSES = {"completed": "FINISHED", "failed": "FAILED", "timed-out": "KILLED"}
LONGEST_VALUE = 6000  # characters of a parameter that MLflow takes
LONGEST_NAME = 250
MOST_RUNS = 50_000  # that MLflow returns at a time
ARTIFACTS = ("notebook.ipynb", "notebook.html")


def export(results: Results, target: Path) -> int:
    """Write the runs of a results folder into MLflow's files; return how many are new.

    Raises Refused where MLflow is not installed, or the folder cannot be written.
    """
    try:
        # Its newest versions ask for this before they write files.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        from mlflow.tracking import MlflowClient
    except ImportError:
        raise Refused(
            "--mlflow needs MLflow: pip install 'smallscale[mlflow]'"
        ) from None
    with refusing(f"--mlflow {target} cannot be written: ", OSError):
        target.mkdir(parents=True, exist_ok=True)
        client = MlflowClient(tracking_uri=target.resolve().as_uri())
        exported = 0
        known: dict[str, set[tuple[str, str]]] = {}
        for record in results.current():
            experiment = _experiment(client, record.notebook)
            if experiment not in known:
                known[experiment] = _exported(client, experiment)
            if (record.run, record.finished) not in known[experiment]:
                folder = results.folder / "runs" / record.run
                _write(client, experiment, record, folder)
                exported += 1
    return exported


def _experiment(client: Any, name: str) -> str:
    """Return the id of the experiment of this name, which is made if need be."""
    found = client.get_experiment_by_name(name)
    made: str = found.experiment_id if found else client.create_experiment(name)
    return made


def _exported(client: Any, experiment: str) -> set[tuple[str, str]]:
    """Return which runs an experiment holds, and when each had finished."""
    runs = []
    page = client.search_runs([experiment], max_results=MOST_RUNS)
    while True:
        runs += page
        if not page.token:
            break
        page = client.search_runs(
            [experiment], max_results=MOST_RUNS, page_token=page.token
        )
    return {
        (run.data.tags.get(RUN_TAG, ""), run.data.tags.get(FINISHED_TAG, ""))
        for run in runs
    }


def _write(client: Any, experiment: str, record: RunRecord, folder: Path) -> None:
    from mlflow.entities import Metric, Param, RunTag

    started, finished = _time(record.started), _time(record.finished)
    made = client.create_run(experiment, start_time=started, run_name=record.run)
    metrics = [
        Metric(_name(name), float(value), finished, 0)
        for name, value in _metrics(record).items()
    ]
    params = [
        Param(_name(name), str(value)[:LONGEST_VALUE])
        for name, value in record.parameters.items()
    ]
    tags = {
        RUN_TAG: record.run,
        "smallscale.error": record.error[:LONGEST_VALUE],
        "mlflow.source.name": record.notebook,
        "mlflow.source.git.commit": record.commit,
        **{f"version.{_name(name)}": it for name, it in record.versions.items()},
    }
    given = [RunTag(name, text) for name, text in tags.items() if text]
    run = made.info.run_id
    client.log_batch(run, metrics=metrics, params=params, tags=given)
    for name in ARTIFACTS:
        if (folder / name).is_file():
            client.log_artifact(run, str(folder / name))
    # Last: what was broken off is exported once more.
    client.set_tag(run, FINISHED_TAG, record.finished)
    client.set_terminated(run, STATUSES[record.status], end_time=finished)


def _metrics(record: RunRecord) -> dict[str, float]:
    """Return all numbers of a run: metrics, their intervals, claims, cost."""
    held, judged = claims_held(record)
    numbers: dict[str, float | None] = dict(record.metrics)
    for name, detail in record.details.items():
        parts = {"low": detail.low, "high": detail.high, "n": detail.n}
        numbers |= {f"{name}_{part}": number for part, number in parts.items()}
    numbers |= {"seconds": record.seconds, "peak_mb": record.peak_mb}
    if judged:
        numbers |= {"claims_held": held, "claims_judged": judged}
    return {name: number for name, number in numbers.items() if number is not None}


def _name(name: str) -> str:
    """Return a name of the letters that MLflow allows in one."""
    return re.sub(r"[^\w.\- /]", "_", name)[:LONGEST_NAME]


def _time(text: str) -> int:
    """Return a time in ISO 8601 as MLflow counts it, in milliseconds."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)
