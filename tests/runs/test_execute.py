"""Is what is filed under a run's name what its name was made from, whatever happens?

The kernel is played by a function: these are tests of what stands round it.
"""

import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from smallscale.notebook.claims import CLAIMS
from smallscale.runs import Refused, execute
from smallscale.runs.catalogue import Notebook
from smallscale.runs.drive import Outcome
from smallscale.runs.kernel import Usage
from smallscale.runs.plan import Task, plan
from smallscale.runs.record import RunRecord
from smallscale.runs.results import Results

Write = Callable[..., Path]
Kernel = Callable[[Any, Path], Outcome | None]


class Bench:
    """Plans and does runs of one notebook, with a kernel that is a function."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.kernel: Kernel = lambda notebook, files: None
        monkeypatch.setattr(execute, "drive", self._drive)

    async def _drive(
        self, notebook: Any, task: Task, files: Path, *rest: object
    ) -> Outcome:
        return self.kernel(notebook, files) or Outcome()

    @property
    def results(self) -> Results:
        return Results(self.folder / "results")

    def plan(self, path: Path, *, fresh: bool = False, **asked: str) -> list[Task]:
        notebook = Notebook(path, "theme/nb")
        self.results.prepare()
        return plan([notebook], asked, self.folder, self.results, fresh=fresh).todo

    def run(self, path: Path, *, fresh: bool = False, **asked: str) -> RunRecord:
        (task,) = self.plan(path, fresh=fresh, **asked)
        return execute.execute(task)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def fail(notebook: Any, files: Path) -> Outcome:
    outcome = Outcome()
    outcome.fail("ValueError: broken on purpose")
    return outcome


# ---- what runs is what was hashed ----------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"{", None])
def test_a_notebook_edited_while_it_waits_runs_as_it_was(
    write: Write, bench: Bench, content: bytes | None
) -> None:
    path = write("theme/nb", "x = 'as it was'")
    (task,) = bench.plan(path)
    if content is None:
        write("theme/nb", "x = 'edited'")
    else:
        path.write_bytes(content)
    seen = []
    bench.kernel = lambda notebook, files: seen.append(notebook.cells[-1].source)
    assert execute.execute(task).status == "completed"
    assert seen == ["x = 'as it was'"]
    kept = (task.folder / "notebook.ipynb").read_text()
    assert "as it was" in kept
    assert "edited" not in kept


@pytest.mark.parametrize("when", ["before", "during"])
@pytest.mark.parametrize("what", ["data", "added", "removed", "helper", "library"])
def test_data_or_code_edited_in_between_fails_the_run(
    write: Write,
    bench: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    when: str,
) -> None:
    from smallscale.notebook import fingerprints

    package = tmp_path / "smallscale"
    package.mkdir()
    (package / "__init__.py").write_text("x = 1\n")
    monkeypatch.setattr(fingerprints, "PACKAGE", package)
    data = tmp_path / "images"
    data.mkdir()
    (data / "x").write_text("1")
    path = write("theme/nb", "import helper, smallscale")
    helper = path.parent / "helper.py"
    helper.write_text("x = 1\n")
    edits: dict[str, Callable[[], object]] = {
        "data": lambda: (data / "x").write_text("2"),
        "added": lambda: (data / "y").write_text("1"),
        "removed": lambda: shutil.rmtree(data),
        "helper": lambda: helper.write_text("x = 2\n"),
        "library": lambda: (package / "__init__.py").write_text("x = 2\n"),
    }
    (task,) = bench.plan(path, data=str(data))
    ran = []

    def kernel(notebook: Any, files: Path) -> None:
        ran.append(True)
        if when == "during":
            edits[what]()

    bench.kernel = kernel
    if when == "before":
        edits[what]()
    record = execute.execute(task)
    assert record.status == "failed"
    assert record.error.endswith("changed after the run was planned; run it again")
    assert bool(ran) == (when == "during")
    if what != "removed":
        (again,) = bench.plan(path, data=str(data))
        assert again.run != task.run


def test_words_edited_in_between_do_no_harm(write: Write, bench: Bench) -> None:
    path = write("theme/nb", "import helper")
    helper = path.parent / "helper.py"
    helper.write_text("x = 1\n")
    (task,) = bench.plan(path)
    helper.write_text("x = 1  # one\n")
    assert execute.execute(task).status == "completed"


@pytest.mark.parametrize("what", ["data", "added", "helper"])
def test_what_is_edited_and_put_back_while_it_runs_fails_the_run(
    write: Write, bench: Bench, tmp_path: Path, what: str
) -> None:
    """What ran in between may have been the edited version."""
    data = tmp_path / "images"
    data.mkdir()
    (data / "x").write_text("1")
    path = write("theme/nb", "import helper")
    helper = path.parent / "helper.py"
    helper.write_text("x = 1\n")
    file = {"data": data / "x", "added": data / "y", "helper": helper}[what]
    before = file.read_text() if file.exists() else None

    def kernel(notebook: Any, files: Path) -> None:
        time.sleep(0.02)  # a file system's clock is coarse
        file.write_text("x = 99\n")
        if before is None:
            file.unlink()
        else:
            file.write_text(before)

    (task,) = bench.plan(path, data=str(data))
    bench.kernel = kernel
    record = execute.execute(task)
    assert record.status == "failed"
    assert record.error.endswith("changed after the run was planned; run it again")
    bench.kernel = lambda notebook, files: None
    assert bench.run(path, data=str(data)).status == "completed"


def test_code_that_ran_though_no_import_names_it_must_stay_what_it_was(
    write: Write, bench: Bench, tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden.py"
    hidden.write_text("x = 1\n")
    path = write("theme/nb", "import sys; sys.path.append('../..'); import hid" + "den")
    bench.kernel = lambda notebook, files: Outcome(usage=Usage(files=(str(hidden),)))
    record = bench.run(path)
    assert list(record.code) == [str(hidden)]
    assert bench.plan(path) == []
    hidden.write_text("x = 2\n")
    assert [task.run for task in bench.plan(path)] == [record.run]
    hidden.unlink()
    assert len(bench.plan(path)) == 1


def test_code_that_could_not_be_read_is_not_taken_as_unchanged(
    write: Write, bench: Bench, tmp_path: Path
) -> None:
    gone = str(tmp_path / "gone.py")
    path = write("theme/nb", "x = 1")
    bench.kernel = lambda notebook, files: Outcome(usage=Usage(files=(gone,)))
    assert bench.run(path).code == {gone: ""}
    assert len(bench.plan(path)) == 1


def test_code_that_no_import_names_and_that_was_edited_meanwhile_is_not_trusted(
    write: Write, bench: Bench, tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden.py"
    hidden.write_text("x = 1\n")
    path = write("theme/nb", "x = 1")

    def kernel(notebook: Any, files: Path) -> Outcome:
        hidden.write_text("x = 2\n")
        return Outcome(usage=Usage(files=(str(hidden),)))

    bench.kernel = kernel
    assert bench.run(path).status == "completed"
    bench.kernel = lambda notebook, files: Outcome(usage=Usage(files=(str(hidden),)))
    past = time.time() - 60
    os.utime(hidden, (past, past))
    bench.run(path)  # again, with what lies there now
    assert bench.plan(path) == []


def test_code_that_the_notebook_itself_writes_is_no_reason_to_repeat_it(
    write: Write, bench: Bench
) -> None:
    path = write("theme/nb", "%%writefile made.py\nx = 1", "import made, other")
    made = path.parent / "made.py"

    def kernel(notebook: Any, files: Path) -> Outcome:
        for file in (made, files / "other.py"):
            file.write_text("x = 1\n")
        return Outcome(usage=Usage(files=(str(made), str(files / "other.py"))))

    bench.kernel = kernel
    assert bench.run(path).code == {}
    made.unlink()
    assert bench.plan(path) == []


# ---- what is kept --------------------------------------------------------------------


def test_a_failing_repetition_leaves_the_completed_run(
    write: Write, bench: Bench
) -> None:
    path = write("theme/nb", "x = 1")
    good = bench.run(path)
    bench.kernel = fail
    bad = bench.run(path, fresh=True)
    assert bad.status == "failed"
    assert bad.error.endswith("ValueError: broken on purpose")
    assert "the completed run is kept" in bad.error
    results = bench.results
    results.add(bad)
    (row,) = results.current()
    assert row.status == "completed"
    assert not results.damaged
    assert bench.plan(path) == []
    beside = results.folder / "runs" / f"{good.run}-failed"
    assert json.loads((beside / "run.json").read_text())["status"] == "failed"
    assert (beside / "notebook.ipynb").is_file()
    bench.run(path, fresh=True)  # fails again
    bench.kernel = lambda notebook, files: None
    assert bench.run(path, fresh=True).status == "completed"
    assert [place.name for place in (results.folder / "runs").iterdir()] == [good.run]


def test_a_failed_run_makes_way_for_its_next_attempt(
    write: Write, bench: Bench
) -> None:
    path = write("theme/nb", "x = 1")
    bench.kernel = fail
    for _ in range(2):
        failed = bench.run(path)
        assert bench.results.records[failed.run].status == "failed"
    bench.kernel = lambda notebook, files: None
    assert bench.run(path).run == failed.run
    (place,) = (bench.folder / "results" / "runs").iterdir()
    assert bench.results.records[place.name].status == "completed"


def test_what_a_notebook_writes_into_its_folder_is_kept_with_the_run(
    write: Write, bench: Bench
) -> None:
    path = write("theme/nb", "x = 1")

    def kernel(notebook: Any, files: Path) -> None:
        assert files.is_absolute()
        (files / "deep").mkdir()
        (files / "deep" / "run.json").write_text(notebook.cells[2].source)

    bench.kernel = kernel
    for seed in "12":
        record = bench.run(path, seed=seed)
        place = bench.results.folder / "runs" / record.run
        kept = (place / "files" / "deep" / "run.json").read_text()
        assert f"seed = {seed}" in kept
        assert json.loads((place / "run.json").read_text())["status"] == "completed"
    assert len(bench.results.records) == 2


def test_whatever_goes_wrong_is_the_runs_own_failure(
    write: Write, bench: Bench
) -> None:
    path = write("theme/nb", "x = 1")

    def kernel(notebook: Any, files: Path) -> None:
        raise ZeroDivisionError("of the bench itself")

    bench.kernel = kernel
    record = bench.run(path)
    assert record.status == "failed"
    assert record.error == "the run broke off: ZeroDivisionError: of the bench itself"
    (task,) = bench.plan(path)
    shutil.rmtree(bench.folder / "results")
    assert "No such file" in execute.execute(task).error


def test_a_stop_is_no_failure(write: Write, bench: Bench) -> None:
    (task,) = bench.plan(write("theme/nb", "x = 1"))

    def kernel(notebook: Any, files: Path) -> None:
        raise execute.Interrupted

    bench.kernel = kernel
    with pytest.raises(execute.Interrupted):
        execute.execute(task, threading.Event())
    assert not list((bench.folder / "results" / "runs").iterdir())


@pytest.mark.parametrize(
    "shown",
    [
        None,
        "text",
        [],
        {"claims": None, "metrics": {}},
        {"claims": [], "metrics": {"x": float("nan")}},
        {"claims": [{"statement": 3}], "metrics": {}},
    ],
)
def test_malformed_claims_fail_their_run(
    write: Write, bench: Bench, shown: object
) -> None:
    path = write("theme/nb", "x = 1")

    def kernel(notebook: Any, files: Path) -> None:
        data = {CLAIMS: shown}
        output = {"output_type": "display_data", "metadata": {}, "data": data}
        notebook.cells[-1].outputs = [nbformat.from_dict(output)]

    bench.kernel = kernel
    record = bench.run(path)
    assert record.status == "failed"
    assert "its claims cannot be read" in record.error
    assert bench.results.records[record.run] == record


def test_half_a_character_in_an_output_breaks_nothing(
    write: Write, bench: Bench
) -> None:
    path = write("theme/nb", "x = 1")
    rewritten(path, lambda document: document["cells"][0].update(source="# \ud83d"))

    def kernel(notebook: Any, files: Path) -> Outcome:
        notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", text="\udcff")]
        outcome = Outcome()
        outcome.fail("ValueError: \udcff")
        return outcome

    bench.kernel = kernel
    record = bench.run(path)
    place = bench.results.folder / "runs" / record.run
    kept = nbformat.read(place / "notebook.ipynb", as_version=4)
    assert kept.cells[-1].outputs[0].text == "\udcff"
    bench.results.refresh()
    assert len(bench.results.records) == 1


# ---- files that are odd --------------------------------------------------------------


def rewritten(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def without_ids(document: dict[str, Any], minor: int) -> None:
    document["nbformat_minor"] = minor
    for cell in document["cells"]:
        del cell["id"]


ODD: dict[str, Callable[[dict[str, Any]], object]] = {
    "format 4.0": lambda document: without_ids(document, 0),
    "format 4.4": lambda document: without_ids(document, 4),
    "no ids in 4.5": lambda document: without_ids(document, 5),
    "one id twice": lambda document: document["cells"][2].update(
        id=document["cells"][1]["id"]
    ),
    "an id with a space": lambda document: document["cells"][2].update(id="a b"),
    "no metadata of a cell": lambda document: document["cells"][2].pop("metadata"),
    "null metadata": lambda document: document["cells"][0].update(metadata=None),
    "null tags": lambda document: document["cells"][2]["metadata"].update(tags=None),
    "no outputs": lambda document: document["cells"][2].pop("outputs"),
    "odd outputs": lambda document: document["cells"][2].update(outputs=[{"x": 1}]),
    "lines": lambda document: document["cells"][2].update(source=["x = ", "1"]),
    "no metadata at all": lambda document: document.pop("metadata"),
    "outputs of prose": lambda document: document["cells"][0].update(outputs=[]),
    "an injected cell": lambda document: document["cells"].insert(
        0,
        {
            "cell_type": "code",
            "metadata": {"tags": ["injected-parameters"]},
            "source": "seed = 9",
            "outputs": [],
            "execution_count": None,
        },
    ),
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
def test_an_odd_notebook_runs_and_is_saved_valid(
    write: Write, bench: Bench, change: Callable[[dict[str, Any]], object]
) -> None:
    path = write("theme/nb", "x = 1")
    rewritten(path, change)
    record = bench.run(path, seed="7")
    assert record.status == "completed", record.error
    kept = json.loads(
        (bench.results.folder / "runs" / record.run / "notebook.ipynb").read_text()
    )
    nbformat.validate(kept)
    assert (kept["nbformat"], kept["nbformat_minor"]) == (4, 5)
    sources = ["".join(cell["source"]) for cell in kept["cells"]]
    assert sources[1].startswith("scale: str")
    assert "seed = 7" in sources[2]
    assert sources[3] == "x = 1"
    assert len(sources) == 4


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_notebook_with_a_byte_order_mark_runs(
    write: Write, bench: Bench, encoding: str
) -> None:
    path = write("theme/nb", "x = 'é'")
    path.write_text(path.read_text(), encoding=encoding)
    assert bench.run(path).status == "completed"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["cells"].append(7), "its cell 4 is no cell"),
        (lambda d: d["cells"][2].pop("source"), "its cell 3 is no cell"),
        (lambda d: d["cells"][2].update(source=5), "its cell 3 is no cell"),
        (lambda d: d["cells"][2].update(source={"1": 2}), "its cell 3 is no cell"),
        (lambda d: d["cells"][2].update(cell_type="heading"), "its cell 3 is no cell"),
        (lambda d: d.update(cells=None), "has no list of cells"),
        (lambda d: d.update(nbformat=3), "is in notebook format 3"),
        (
            lambda d: d["metadata"].update(kernelspec={"name": "ir", "language": "R"}),
            "is written for a kernel of R; only notebooks in Python can be run",
        ),
        (
            lambda d: d["metadata"].update(kernelspec={"name": "ihaskell"}),
            "is written for a kernel of ihaskell",
        ),
        (
            lambda d: d["metadata"].update(kernelspec={"name": "ir"}),
            "is written for a kernel of ir",
        ),
        (
            lambda d: d["metadata"].update(language_info={"name": "julia"}),
            "is written for a kernel of julia",
        ),
    ],
)
def test_what_is_no_notebook_in_python_is_refused(
    write: Write,
    bench: Bench,
    change: Callable[[dict[str, Any]], object],
    message: str,
) -> None:
    path = write("theme/nb", "x = 1")
    rewritten(path, change)
    with pytest.raises(Refused, match=message):
        bench.plan(path)


def test_a_format_that_is_written_as_4_point_0_runs(write: Write, bench: Bench) -> None:
    path = write("theme/nb", "x = 1")
    rewritten(path, lambda document: document.update(nbformat=4.0))
    assert bench.run(path).status == "completed"


@pytest.mark.parametrize(
    "metadata",
    [
        {"kernelspec": {"name": "python3", "language": "python"}},
        {"kernelspec": {"name": "my-environment", "display_name": "Mine"}},
        {"kernelspec": {"name": "iris"}},
        {"kernelspec": None, "language_info": {"name": "ipython"}},
        {},
    ],
)
def test_a_notebook_in_python_is_not_refused(
    write: Write, bench: Bench, metadata: dict[str, Any]
) -> None:
    path = write("theme/nb", "x = 1")
    rewritten(path, lambda document: document.update(metadata=metadata))
    assert len(bench.plan(path)) == 1


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[" * 100_000, b"3", b"null"])
def test_bytes_that_are_no_notebook_are_refused(
    write: Write, bench: Bench, content: bytes
) -> None:
    path = write("theme/nb", "x = 1")
    path.write_bytes(content)
    with pytest.raises(Refused, match="is not a notebook"):
        bench.plan(path)
