"""How is one run done? With a kernel of its own and a folder of its own.

Nothing that happens inside reaches another run. The folder gets its final name by one
rename when the run is over, so that a half-written run is never taken for a whole one.
"""

import asyncio
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable
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
from smallscale.runs.kernel import (
    Usage,
    ask_usage,
    how_it_died,
    is_warm,
    kernel_manager,
    start_kernel,
)
from smallscale.runs.plan import Task
from smallscale.runs.record import (
    Claim,
    DamagedRecord,
    Hardware,
    RunRecord,
    Status,
    read_as,
)
from smallscale.runs.results import partial_prefix

ERROR_LINES = 8  # of a traceback are kept in the record
SHUTDOWN_SECONDS = 5.0  # that a kernel has for its exit functions
INJECTED = "injected-parameters"  # papermill's tag


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

    `on_cell` is told the share of code cells that are done. Raises Interrupted once
    `stop` is set.
    """
    started = datetime.now(UTC)
    notebook = nbformat.read(task.notebook.path, as_version=4)
    _clear_outputs(notebook)
    _inject_parameters(notebook, task)
    outcome = asyncio.run(_drive(notebook, task, stop or threading.Event(), on_cell))
    _drop_empty_streams(notebook)
    record = _record(notebook, task, outcome, started)
    try:
        return _keep(notebook, record, task)
    except OSError as failure:  # a full disk: the other runs may still fit
        error = f"the run could not be kept: {failure}"
        return replace(record, status="failed", error=error)


# ---- before and after the kernel -----------------------------------------------------


def _clear_outputs(notebook: Any) -> None:
    """Remove the committed outputs: a run that fails must not show them as its own."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None


def _inject_parameters(notebook: Any, task: Task) -> None:
    """Put the run's parameters below the declared ones, as papermill does."""
    lines = [f"{name} = {value!r}" for name, value in task.parameters.items()]
    cell = nbformat.v4.new_code_cell("\n".join(lines), metadata={"tags": [INJECTED]})
    notebook.cells = [
        kept for kept in notebook.cells if INJECTED not in kept.metadata.get("tags", [])
    ]
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


def read_claims(notebook: Any) -> tuple[list[Claim], dict[str, float | None]]:
    """Return the claims and metrics that the executed notebook shows.

    Of a claim that is stated twice the last counts. Raises DamagedRecord where an
    output that should hold claims holds something else.
    """
    claims: dict[str, Claim] = {}
    metrics: dict[str, float | None] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if CLAIMS in output.get("data", {}):
                shown = read_as(ShownClaims, output["data"][CLAIMS], "the table")
                claims |= {claim.statement: claim for claim in shown.claims}
                metrics |= shown.metrics
    return list(claims.values()), metrics


def _record(
    notebook: Any, task: Task, outcome: Outcome, started: datetime
) -> RunRecord:
    """Return the record of a run that is over, as yet without figures and page."""
    try:
        claims, metrics = read_claims(notebook)
    except DamagedRecord as damage:
        outcome.fail(f"its claims cannot be read: {damage}")
        claims, metrics = [], {}
    return RunRecord(
        run=task.run,
        notebook=task.notebook.name,
        title=task.notebook.title,
        question=task.notebook.question,
        parameters=task.parameters,
        data=task.data,
        claims=claims,
        metrics=metrics,
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
    )


def _hardware(gpu: str | None) -> Hardware:
    return Hardware(
        machine=platform.machine(),
        cores=psutil.cpu_count(logical=True),
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        gpu=gpu,
    )


def _keep(notebook: Any, record: RunRecord, task: Task) -> RunRecord:
    """Write the run's folder under another name, then give it its own.

    An earlier folder of that name makes way. Returns the record that was written.
    """
    prefix = f"{partial_prefix()}{os.getpid()}-"
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=task.folder.parent, ignore_cleanup_errors=True
    ) as scratch:
        part = Path(scratch) / "new"
        part.mkdir()
        nbformat.write(notebook, part / "notebook.ipynb")
        record = _draw_pages(notebook, record, part, html=task.html)
        (part / "run.json").write_text(record.to_json(indent=1), encoding="utf-8")
        with suppress(FileNotFoundError):
            task.folder.rename(part.with_name("old"))
        part.rename(task.folder)
    return record


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
            (folder / "notebook.html").write_text(page, encoding="utf-8")
            record = replace(record, html=True)
    except Exception as failure:
        why = f"its page could not be made: {type(failure).__name__}: {failure}"
        # The run's own error stays last: a line in short shows the last one.
        error = f"{why}\n{record.error}" if record.error else why
        record = replace(record, error=error)
    return record


# ---- the kernel at work --------------------------------------------------------------


async def _drive(
    notebook: Any, task: Task, stop: threading.Event, on_cell: Callable[[float], None]
) -> Outcome:
    """Start a kernel, execute the cells, end the kernel, and say how it went."""
    outcome = Outcome()
    this_run = asyncio.current_task()
    assert this_run
    watch = asyncio.create_task(_cancel_once_set(stop, this_run))
    limit = asyncio.Timeout(None)  # set once the kernel is there
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="smallscale-") as folder:
        manager = kernel_manager(Path(folder))
        client = NotebookClient(notebook, km=manager, timeout=None, record_timing=False)
        try:
            async with limit:
                client.kc = await start_kernel(
                    manager,
                    task.notebook.path.parent,
                    threads=task.threads,
                    warm=task.warm,
                )
                outcome.kernel = "warm" if is_warm(manager) else "cold"
                begin = time.monotonic()
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
                outcome.fail(f"stopped after {task.timeout:g} seconds", "timed-out")
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
    for done, (index, cell) in enumerate(cells, 1):
        await client.async_execute_cell(cell, index, execution_count=done)
        on_cell(done / len(cells))


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
        lines = pages.plain(failure.traceback).rstrip().splitlines()
        return "\n".join(lines[-ERROR_LINES:])
    if isinstance(failure, DeadKernelError):
        return await how_it_died(manager)
    return f"{type(failure).__name__}: {failure}"
