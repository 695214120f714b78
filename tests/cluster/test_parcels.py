"""Is what runs on a worker what was hashed, and is what it lacks said? By hand."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="Dask, for clusters, is not installed")

from smallscale.models import smollm2
from smallscale.runs import Refused, plan, remote
from smallscale.runs.catalogue import Notebook
from smallscale.runs.plan import Task
from smallscale.runs.results import Results

Write = Callable[..., Path]


@pytest.fixture
def task(write: Write, tmp_path: Path) -> Task:
    """A run of a notebook with a helper beside it and a folder of data."""
    path = write(
        "theme/nb",
        "import helper\nfrom smallscale.notebook import Claims",
        "Claims().metric('twice', helper.twice(seed)).show()",
    )
    (path.parent / "helper.py").write_text("def twice(x):\n    return 2 * x\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("a")
    asked = {"seed": "4", "data": "data", "scale": "tiny"}
    results = Results(tmp_path / "results")
    results.prepare()
    notebook = Notebook(path, "theme/nb")
    (made,) = plan.plan([notebook], asked, tmp_path, results).todo
    return made


def outcome(sent: remote.Parcel) -> dict[str, object]:
    text, _ = remote.do(sent)
    record: dict[str, object] = json.loads(text)
    return record


def test_a_parcel_runs_as_the_run_would_here(task: Task) -> None:
    sent = remote.parcel(task, None)
    text, folder = remote.do(sent)
    record = json.loads(text)
    assert record["status"] == "completed", record["error"]
    assert record["metrics"] == {"twice": 8}
    assert record["run"] == task.run
    assert record["code"] == {}  # nothing else was read: the library counts already
    names = zipfile.ZipFile(BytesIO(folder)).namelist()
    assert {"notebook.ipynb", "run.json"} <= set(names)


def test_a_module_edited_since_the_plan_is_not_filed_under_its_old_name(
    task: Task,
) -> None:
    helper = task.notebook.path.parent / "helper.py"
    helper.write_text("def twice(x):\n    return 3 * x\n")
    record = outcome(remote.parcel(task, None))
    assert record["status"] == "failed"
    assert "helper.py changed after the run was planned" in str(record["error"])


def test_a_library_edited_since_the_plan_fails_the_run(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = remote.parcel(task, None)
    name = next(iter(sent.library))
    sent = replace(sent, library=sent.library | {name: "0" * 64})
    record = outcome(sent)
    assert f"another version of smallscale: {name} differs" in str(record["error"])
    monkeypatch.setattr(remote, "_lacking", lambda sent: "")
    assert "changed after the run was planned" in str(outcome(sent)["error"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"versions": {"python": "2.7.18"}}, "and the run is of 2.7.18"),
        ({"versions": {"nothing": "1.0"}}, "has nothing not at all"),
        ({"answers": {"none.jsonl": "0"}}, "kept answers of the language model, none"),
        ({"data": {"data": "0"}}, "does not see data="),
    ],
)
def test_what_is_otherwise_here_is_said(
    task: Task, changes: dict[str, dict[str, str]], words: str
) -> None:
    record = outcome(replace(remote.parcel(task, None), **changes))
    assert record["status"] == "failed"
    assert words in str(record["error"])
    assert str(record["error"]).count("\n") == 0


@pytest.mark.parametrize("here", [True, False])
def test_a_language_model_that_only_one_machine_has_is_said(
    task: Task, monkeypatch: pytest.MonkeyPatch, here: bool
) -> None:
    planned = plan.NO_MODEL if here else smollm2.FOLDER
    monkeypatch.setattr(smollm2, "is_here", lambda: here)
    sent = replace(remote.parcel(task, None), language_model=planned)
    assert "differs in the language model" in str(outcome(sent)["error"])
    same = plan.language_model_here()
    assert remote._lacking(replace(sent, language_model=same)) == ""


def test_a_notebook_that_asks_the_language_model_can_travel(
    write: Write, tmp_path: Path
) -> None:
    path = write("theme/nb", "from smallscale.models import RecordedModel")
    results = Results(tmp_path / "results")
    (task,) = plan.plan([Notebook(path, "theme/nb")], {}, tmp_path, results).todo
    remote.check_travels([task])
    sent = remote.parcel(task, None)
    assert "reading.jsonl" in sent.answers
    assert sent.language_model == plan.language_model_here()
    assert remote._lacking(sent) == ""


def test_what_cannot_travel_is_refused_before_anything_starts(
    task: Task, tmp_path: Path
) -> None:
    far = tmp_path / "elsewhere.py"
    far.write_text("x = 1\n")
    remote.check_travels([task])
    with pytest.raises(Refused, match=r"elsewhere.py, which does not lie beside"):
        remote.check_travels([task, replace(task, files={str(far): "0"})])
