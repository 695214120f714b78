"""How does a kernel go through a notebook? Started, driven cell by cell, and ended."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from smallscale.runs.kernel import (
    Usage,
    ask_usage,
    how_it_died,
    is_warm,
    kernel_manager,
    start_kernel,
)
from smallscale.runs.long_outputs import FrugalClient
from smallscale.runs.plan import Task
from smallscale.runs.record import Status
from smallscale.runs.terminal_text import plain, shortened
from smallscale.runs.warm import socket_folder

ERROR_LINES = 8  # of a traceback are kept in the record
LONGEST_LINE = 2000  # characters of such a line
START_SECONDS = 300.0  # that a kernel has to start
SHUTDOWN_SECONDS = 5.0  # that a kernel has for its exit functions


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


async def drive(
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
