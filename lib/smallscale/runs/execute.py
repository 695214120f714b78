"""How is one run done? With a kernel of its own and a folder of its own.

Nothing that happens inside reaches another run. The folder gets its final name by one
rename when the run is over, so that a half-written run is never taken for a whole one.
"""

import asyncio
import copy
import os
import platform
import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import nbformat
import psutil
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from smallscale.notebook.claims import CLAIMS
from smallscale.notebook.fingerprints import versions
from smallscale.runs import pages
from smallscale.runs.catalogue import INJECTED, Notebook
from smallscale.runs.cell_code import named_files, written_files
from smallscale.runs.kernel import (
    Usage,
    ask_usage,
    how_it_died,
    is_warm,
    kernel_manager,
    start_kernel,
)
from smallscale.runs.kernel_side import is_own
from smallscale.runs.long_outputs import FrugalClient
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
    Claim,
    DamagedRecord,
    Hardware,
    MetricDetail,
    RunRecord,
    Status,
    read_as,
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
from smallscale.runs.terminal_text import plain, shortened
from smallscale.runs.warm import socket_folder

ERROR_LINES = 8  # of a traceback are kept in the record
LONGEST_LINE = 2000  # characters of such a line
START_SECONDS = 300.0  # that a kernel has to start
SHUTDOWN_SECONDS = 5.0  # that a kernel has for its exit functions
FILES = "files"  # the folder, in a run's own, of what the notebook writes
WRITTEN_MEANWHILE = "written while it ran"  # instead of the hash of a file of code
CELL_ID = re.compile(r"[a-zA-Z0-9-_]{1,64}")


class NotebookQuit(Exception):
    """The notebook asked for its kernel's end, as `quit()` does."""


class Interrupted(Exception):
    """The command was told to stop; what this run had done is given up."""


@dataclass
class Outcome:
    """How the execution of a notebook went: a part of the run's record."""

    status: Status = "completed"
    error: str = ""
    kernel: Literal["warm", "cold"] = "cold"
    seconds: float = 0.0
    usage: Usage = field(default_factory=Usage)

    def fail(self, error: str, status: Status = "failed") -> None:
        """Say that the run did not complete, and why."""
        self.status = status
        self.error = error


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
    _inject_parameters(notebook, task)
    outcome = Outcome()
    # What is filed under the run's name must be what the name was made from.
    before = states(task)
    edited = changed(task)
    if not edited:
        drive = _drive(notebook, task, part / FILES, stop, on_cell)
        outcome = asyncio.run(drive)
        if outcome.status == "completed":
            edited = changed(task) or _rewritten(before, states(task))
    if edited:
        outcome.fail(f"{edited} changed after the run was planned; run it again")
    _drop_empty_streams(notebook)
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


def executable(notebook: Notebook) -> Any:
    """Return the notebook that was read as nbformat's, without outputs, in format 4.5.

    A run that fails must not show the committed outputs as its own. An older format has
    no ids of cells, and editors leave out what a cell must have.
    """
    document = copy.deepcopy(notebook.document)
    metadata = document.get("metadata")
    document["metadata"] = metadata if isinstance(metadata, dict) else {}
    document["nbformat"] = int(document["nbformat"])  # 4.0 is no whole number
    minor = document.get("nbformat_minor")
    document["nbformat_minor"] = max(minor, 5) if isinstance(minor, int) else 5
    ids: set[str] = set()
    cells = []
    for cell in document["cells"]:
        whole = _whole_cell(cell, ids)
        if INJECTED not in whole["metadata"].get("tags", []):
            cells.append(whole)
    document["cells"] = cells
    return nbformat.from_dict(document)


def _whole_cell(cell: dict[str, Any], ids: set[str]) -> dict[str, Any]:
    """Return a cell of JSON with all that format 4.5 asks for; note its id in `ids`."""
    kind = cell["cell_type"]
    metadata = dict(cell.get("metadata") or {})
    if not isinstance(metadata.get("tags", []), list):
        del metadata["tags"]
    whole: dict[str, Any] = {
        "cell_type": kind,
        "id": _free_id(cell.get("id"), ids),
        "metadata": metadata,
        "source": "".join(cell["source"]),
    }
    if kind == "code":
        whole |= {"outputs": [], "execution_count": None}
    elif cell.get("attachments"):
        whole["attachments"] = cell["attachments"]
    return whole


def _free_id(wanted: Any, taken: set[str]) -> str:
    """Return a cell's id, or a new one where it has none, or one that is no id."""
    name = wanted if isinstance(wanted, str) and CELL_ID.fullmatch(wanted) else ""
    number = len(taken)
    while not name or name in taken:
        name = f"cell-{number}"
        number += 1
    taken.add(name)
    return name


def _inject_parameters(notebook: Any, task: Task) -> None:
    """Put the run's parameters below the declared ones, as papermill does."""
    lines = [f"{name} = {value!r}" for name, value in task.parameters.items()]
    cell = nbformat.v4.new_code_cell("\n".join(lines), metadata={"tags": [INJECTED]})
    cell.id = _free_id("parameters-of-this-run", {cell.id for cell in notebook.cells})
    notebook.cells.insert(task.notebook.parameters_at + 1, cell)


def _drop_empty_streams(notebook: Any) -> None:
    """Remove the empty output that a finished progress bar leaves behind."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [
                output for output in cell.outputs if output.get("text", "some").strip()
            ]


@dataclass(frozen=True)
class ShownClaims:
    """What a notebook's table of claims hands on (`smallscale.notebook.claims`)."""

    claims: list[Claim]
    metrics: dict[str, float | None]
    details: dict[str, MetricDetail] = field(default_factory=dict)


def read_claims(notebook: Any) -> tuple[list[Claim], dict[str, float | None]]:
    """Return the claims and metrics that the executed notebook shows.

    See `read_shown`.
    """
    shown = read_shown(notebook)
    return shown.claims, shown.metrics


def read_shown(notebook: Any) -> ShownClaims:
    """Return the claims and metrics that the executed notebook shows, with details.

    Of a claim that is stated twice the last counts. Raises DamagedRecord where an
    output that should hold claims holds something else.
    """
    claims: dict[str, Claim] = {}
    metrics: dict[str, float | None] = {}
    details: dict[str, MetricDetail] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if CLAIMS in output.get("data", {}):
                shown = read_as(ShownClaims, output["data"][CLAIMS], "the table")
                claims |= {claim.statement: claim for claim in shown.claims}
                metrics |= shown.metrics
                details |= shown.details
    return ShownClaims(list(claims.values()), metrics, details)


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


# ---- the kernel at work --------------------------------------------------------------


async def _drive(
    notebook: Any,
    task: Task,
    files: Path,
    stop: threading.Event,
    on_cell: Callable[[float], None],
) -> Outcome:
    """Start a kernel, execute the cells, end the kernel, and say how it went."""
    outcome = Outcome()
    this_run = asyncio.current_task()
    assert this_run
    watch = asyncio.create_task(_cancel_once_set(stop, this_run))
    begin = asyncio.get_running_loop().time()
    limit = asyncio.Timeout(begin + START_SECONDS)
    late = f"the kernel did not start within {START_SECONDS:g} seconds"
    with socket_folder() as folder:
        manager = kernel_manager(Path(folder))
        client = FrugalClient(notebook, km=manager, timeout=None, record_timing=False)
        try:
            async with limit:
                client.kc = await start_kernel(
                    manager,
                    task.notebook.path.parent,
                    files=files,
                    threads=task.threads,
                    warm=task.warm,
                )
                outcome.kernel = "warm" if is_warm(manager) else "cold"
                begin = time.monotonic()
                late = f"stopped after {task.timeout:g} seconds" if task.timeout else ""
                limit.reschedule(begin + task.timeout if task.timeout else None)
                await _execute_cells(client, notebook, on_cell)
            outcome.seconds = _seconds_since(begin)
            await _end_well(client, manager, outcome)
        # nbclient may turn a cancellation into an error of its own.
        except (Exception, asyncio.CancelledError) as failure:
            if stop.is_set():
                raise Interrupted from None
            outcome.seconds = _seconds_since(begin)
            if limit.expired():
                outcome.fail(late, "timed-out")
            else:
                outcome.fail(await _why(failure, manager))
        finally:
            watch.cancel()
            await _end_for_certain(client, manager)
    return outcome


async def _cancel_once_set(stop: threading.Event, run: "asyncio.Task[Any]") -> None:
    while not stop.is_set():
        await asyncio.sleep(0.05)
    run.cancel()


async def _execute_cells(
    client: NotebookClient, notebook: Any, on_cell: Callable[[float], None]
) -> None:
    """Execute the code cells in order; tell the share that is done after each."""
    cells = [
        (index, cell)
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code"
    ]
    client.on_cell_executed = _stop_at_quit
    for done, (index, cell) in enumerate(cells, 1):
        await client.async_execute_cell(cell, index, execution_count=done)
        on_cell(done / len(cells))


def _stop_at_quit(cell: Any, cell_index: int, execute_reply: Any) -> None:
    """Raise NotebookQuit after a cell that has called `quit()`.

    The kernel goes on until it has answered, and the cells below would run in it.
    """
    payload = execute_reply["content"].get("payload") or []
    if any(part.get("source") == "ask_exit" for part in payload):
        raise NotebookQuit("a cell called quit() or exit(): the run did not complete")


def _seconds_since(begin: float) -> float:
    return round(time.monotonic() - begin, 2)


async def _end_well(
    client: NotebookClient, manager: AsyncKernelManager, outcome: Outcome
) -> None:
    """Ask the kernel what it used, then let it run its exit functions and end."""
    with suppress(TimeoutError):
        async with asyncio.timeout(SHUTDOWN_SECONDS):
            outcome.usage = await ask_usage(client)
    await manager.request_shutdown()
    # finish_shutdown kills the kernel after half of the time it is given.
    await manager.finish_shutdown(2 * SHUTDOWN_SECONDS, pollinterval=0.01)


async def _end_for_certain(client: NotebookClient, manager: AsyncKernelManager) -> None:
    if manager.has_kernel:
        await manager.shutdown_kernel(now=True)
    else:
        await manager.cleanup_resources()
    if client.kc:
        client.kc.stop_channels()


async def _why(failure: BaseException, manager: AsyncKernelManager) -> str:
    """Return the failure in a few lines."""
    if isinstance(failure, CellExecutionError):
        lines = plain(failure.traceback).rstrip().split("\n")[-ERROR_LINES:]
        return "\n".join(shortened(line, LONGEST_LINE) for line in lines)
    if isinstance(failure, DeadKernelError):
        return await how_it_died(manager)
    if isinstance(failure, NotebookQuit):
        return str(failure)
    return shortened(f"{type(failure).__name__}: {failure}", LONGEST_LINE)
