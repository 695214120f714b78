"""How is one run done? With a kernel of its own and a folder of its own.

Nothing that happens inside reaches another run. The folder gets its final name by one
rename when the run is over, so that a half-written run is never taken for a whole one.
"""

import asyncio
import os
import platform
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import psutil

from smallscale.notebook.fingerprints import versions
from smallscale.runs import pages
from smallscale.runs.cell_code import named_files, written_files
from smallscale.runs.document import (
    ShownClaims,
    drop_empty_streams,
    executable,
    inject_parameters,
    read_shown,
)
from smallscale.runs.drive import Interrupted, Outcome, drive
from smallscale.runs.kernel_side import is_own
from smallscale.runs.plan import (
    State,
    Task,
    changed,
    code_hashes,
    is_done,
    place_of,
    states,
)
from smallscale.runs.record import (
    DamagedRecord,
    Hardware,
    RunRecord,
)
from smallscale.runs.results import (
    OUTPUTS,
    failed_folder,
    kept,
    mark_asked,
    partial_folder,
    results_lock,
    sizes,
)

FILES = "files"  # the folder, in a run's own, of what the notebook writes
WRITTEN_MEANWHILE = "written while it ran"  # instead of the hash of a file of code


def execute(
    task: Task,
    stop: threading.Event | None = None,
    on_cell: Callable[[float], None] = lambda share: None,
) -> RunRecord:
    """Run the notebook, put its folder in place, and return its record.

    `on_cell` is told the share of code cells that are done. Whatever goes wrong is this
    run's failure. Raises Interrupted once `stop` is set.
    """
    started = datetime.now(UTC)
    on_cell(0.0)
    try:
        with partial_folder(task.folder.parent) as scratch:
            part = scratch / "new"
            (part / FILES).mkdir(parents=True)
            return _run(task, part, stop or threading.Event(), on_cell, started)
    except Interrupted:
        raise
    except Exception as failure:
        return broken_off(task, f"{type(failure).__name__}: {failure}", started)


def broken_off(task: Task, why: str, started: datetime | None = None) -> RunRecord:
    """Return the record of a run that broke off and has left no folder."""
    outcome = Outcome()
    outcome.fail(f"the run broke off: {why}")
    began = started or datetime.now(UTC)
    return _record(nbformat.v4.new_notebook(), task, outcome, began)


def _run(
    task: Task,
    part: Path,
    stop: threading.Event,
    on_cell: Callable[[float], None],
    started: datetime,
) -> RunRecord:
    """Do the run in the folder `part`, and give this folder its place."""
    notebook = executable(task.notebook)
    inject_parameters(notebook, task)
    outcome = Outcome()
    # What is filed under the run's name must be what the name was made from.
    before = states(task)
    edited = changed(task)
    if not edited:
        outcome = asyncio.run(drive(notebook, task, part / FILES, stop, on_cell))
        if outcome.status == "completed":
            edited = changed(task) or _rewritten(before, states(task))
    if edited:
        outcome.fail(f"{edited} changed after the run was planned; run it again")
    drop_empty_streams(notebook)
    record = _record(notebook, task, outcome, started)
    try:
        return _keep(notebook, record, task, part)
    except OSError as failure:  # a full disk: the other runs may still fit
        error = f"the run could not be kept: {failure}"
        return replace(record, status="failed", error=error)


def _rewritten(before: dict[str, State], after: dict[str, State]) -> str:
    """Return a path that was written in between, though it may hold the same again."""
    paths = [*before, *(after.keys() - before.keys())]
    return next((path for path in paths if before.get(path) != after.get(path)), "")


# ---- before and after the kernel -----------------------------------------------------


def _record(
    notebook: Any, task: Task, outcome: Outcome, started: datetime
) -> RunRecord:
    """Return the record of a run that is over, as yet without figures and page."""
    try:
        shown = read_shown(notebook)
    except DamagedRecord as damage:
        outcome.fail(f"its claims cannot be read: {damage}")
        shown = ShownClaims([], {})
    return RunRecord(
        run=task.run,
        notebook=task.notebook.name,
        title=task.notebook.title,
        question=task.notebook.question,
        parameters=task.parameters,
        data=task.data,
        claims=shown.claims,
        metrics=shown.metrics,
        details=shown.details,
        seed=task.parameters.get("seed"),
        scale=task.parameters.get("scale"),
        status=outcome.status,
        error=outcome.error,
        kernel=outcome.kernel,
        peak_mb=outcome.usage.peak_mb,
        seconds=outcome.seconds,
        hardware=_hardware(outcome.usage.gpu),
        figures=[],
        html=False,
        versions=versions(),
        started=started.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        place=place_of(task.notebook, task.folder.parents[1]),
        code=_code_beside_the_name(outcome.usage.files, task, started),
        commit=task.commit,
    )


def _code_beside_the_name(
    files: Iterable[str], task: Task, started: datetime
) -> dict[str, str]:
    """Return a hash of each file that was run or read and is not in the run's name.

    A file that was written since the run started need not be what ran: it is marked as
    such, and the run will be done again. What the notebook writes by `%%writefile`, or
    into the run's folder, stands in its cells.
    """
    beside = task.notebook.path.parent
    written = {str(beside / name) for name in written_files(task.notebook.code)}
    written |= {str(task.folder.parents[1] / name) for name in OUTPUTS}
    elsewhere = [task.folder.parent, *(task.parameters[name] for name in task.data)]
    noted = {*files, *_named_files(task, started)}
    others = [
        file
        for file in noted - task.files.keys() - written
        if not any(Path(file).is_relative_to(str(place)) for place in elsewhere)
    ]
    hashes = code_hashes(others)
    for file in others:
        if os.path.isdir(file):
            continue
        with suppress(OSError):
            stat = Path(file).stat()
            times = (stat.st_mtime, stat.st_ctime)
            # A time to come is of a clock that has been set back since.
            if any(started.timestamp() <= when <= time.time() for when in times):
                hashes[file] = WRITTEN_MEANWHILE
    return hashes


def _named_files(task: Task, started: datetime) -> set[str]:
    """Return the user's own files that the cells name, and that were there before.

    What was written since the run started may be what it has made itself.
    """
    folder = task.notebook.path.parent
    return {
        file
        for file in named_files(task.notebook.code, folder)
        if is_own(file, str(folder)) and os.stat(file).st_mtime < started.timestamp()
    }


def _hardware(gpu: str | None) -> Hardware:
    return Hardware(
        machine=platform.machine(),
        cores=psutil.cpu_count(logical=True),
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        gpu=gpu,
    )


def _keep(notebook: Any, record: RunRecord, task: Task, part: Path) -> RunRecord:
    """Fill the run's folder, and give it its name. Returns the record written."""
    with suppress(OSError):
        (part / FILES).rmdir()  # the notebook has written nothing there
    _write_text(part / "notebook.ipynb", nbformat.writes(notebook))
    record = _draw_pages(notebook, record, part, html=task.html)
    return put_in_place(record, task, part)


def put_in_place(record: RunRecord, task: Task, part: Path) -> RunRecord:
    """Write the record into a run's filled folder, and give this folder its name.

    An earlier folder of that name makes way. But where that holds a completed run, and
    this one is none, the earlier one stays, and this one lies beside it. Returns the
    record written.
    """
    with results_lock(task.folder.parents[1]):
        place = task.folder
        beside = failed_folder(place)
        if record.status != "completed" and is_done(kept(place)):
            place = beside
            error = f"the completed run is kept; this attempt lies in {beside.name}"
            record = replace(record, error=f"{error}\n{record.error}")
        record = replace(record, sizes=sizes(part))
        _write_text(part / "run.json", record.to_json(indent=1))
        mark_asked(part, task.folder.parents[1])
        for old in (place, beside):
            with suppress(FileNotFoundError):
                old.rename(part.with_name(f"old-{old.name}"))
        part.rename(place)
    return record


def _write_text(path: Path, text: str) -> None:
    """Write JSON; half a character, which UTF-8 has not, is written as its escape."""
    path.write_bytes(text.encode("utf-8", errors="backslashreplace"))


def _draw_pages(
    notebook: Any, record: RunRecord, folder: Path, *, html: bool
) -> RunRecord:
    """Write the figures' thumbnails and, if asked, the page; add them to the record.

    A page that cannot be drawn is no reason to lose an hour's run: the record says so.
    """
    try:
        record = replace(record, figures=pages.save_figures(notebook, folder))
        if html:
            page = pages.notebook_page(notebook, record)
            whole = page.encode("utf-8", errors="xmlcharrefreplace")
            (folder / "notebook.html").write_bytes(whole)
            record = replace(record, html=True)
    except Exception as failure:
        why = f"its page could not be made: {type(failure).__name__}: {failure}"
        # The run's own error stays last: a line in short shows the last one.
        error = f"{why}\n{record.error}" if record.error else why
        record = replace(record, error=error)
    return record
