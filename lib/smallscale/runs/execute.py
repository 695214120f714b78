"""One run: a notebook, its parameters, a kernel of its own, a folder of its own.

Nothing that happens inside reaches another run. The folder gets its final name by one rename when the run is
over, so that a half-written run is never taken for one.
"""

import asyncio
import json
import os
import platform
import queue
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import psutil
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from smallscale.notebook.claims import CLAIMS
from smallscale.notebook.fingerprints import versions
from smallscale.runs import pages
from smallscale.runs.plan import Task
from smallscale.runs.record import Claim, Hardware, RunRecord
from smallscale.runs.results import partial_prefix
from smallscale.runs.warm import SOCKET, ForkedKernel, kernel_env

ERROR_LINES = 8
INSIDE = "__import__('smallscale.runs.kernel_side', fromlist=['kernel_side'])"  # leaves no name in the notebook
SHUTDOWN = 5.0  # seconds a kernel has for its exit functions


class Interrupted(Exception):
    """The command was told to stop; what this run had done is given up."""


def execute(
    task: Task,
    stop: threading.Event | None = None,
    on_cell: Callable[[float], None] = lambda share: None,
) -> RunRecord:
    """Run the notebook, put its folder in place, and return its record (`run.json`).

    on_cell is told the share of code cells that are done. Raises Interrupted once `stop` is set.
    """
    notebook = nbformat.read(task.notebook.path, as_version=4)
    _inject(notebook, task)
    started = datetime.now(UTC)
    outcome = asyncio.run(_drive(notebook, task, stop or threading.Event(), on_cell))
    for cell in notebook.cells:
        if (
            cell.cell_type == "code"
        ):  # a finished progress bar leaves an empty stream behind
            cell.outputs = [
                output for output in cell.outputs if output.get("text", "some").strip()
            ]
    claims, metrics = read_claims(notebook)
    record = RunRecord(
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
        **outcome,
        figures=[],
        html=False,
        versions=versions(),
        started=started.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    try:
        return _keep(notebook, record, task)
    except OSError as failure:  # a full disk: the other runs may still fit
        return replace(
            record, status="failed", error=f"the run could not be kept: {failure}"
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
    """Write the figures' thumbnails and, if asked, the page; return the record with them.

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
        record = replace(record, error="\n".join(filter(None, [record.error, why])))
    return record


def _inject(notebook: Any, task: Task) -> None:
    """The run's parameters as a cell of their own after the declared ones, as papermill does."""
    code = "\n".join(f"{name} = {value!r}" for name, value in task.parameters.items())
    cell = nbformat.v4.new_code_cell(code, metadata={"tags": ["injected-parameters"]})
    notebook.cells = [
        c
        for c in notebook.cells
        if "injected-parameters" not in c.metadata.get("tags", [])
    ]
    notebook.cells.insert(task.notebook.parameters_at + 1, cell)


async def _drive(
    notebook: Any, task: Task, stop: threading.Event, on_cell: Callable[[float], None]
) -> dict[str, Any]:
    """Start a kernel, execute the cells, end the kernel. Returns that part of the record."""
    outcome: dict[str, Any] = {
        "status": "completed",
        "error": "",
        "kernel": "cold",
        "peak_mb": None,
    }
    gpu = None
    cells = [
        (index, cell)
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code"
    ]
    for _, cell in cells:
        cell.outputs, cell.execution_count = [], None
    run = asyncio.current_task()
    assert run
    watch = asyncio.create_task(_watch(stop, run))
    limit = asyncio.Timeout(None)  # counted from when the kernel is there
    begin = end = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="smallscale-") as folder:
        manager = _manager(Path(folder))
        client = NotebookClient(notebook, km=manager, timeout=None, record_timing=False)
        try:
            async with limit:
                client.kc = await _start(manager, task)
                if isinstance(
                    getattr(manager.provisioner, "process", None), ForkedKernel
                ):
                    outcome["kernel"] = (
                        "warm"  # asked for is not yet got: an ordinary kernel may have stepped in
                    )
                begin = time.monotonic()
                limit.reschedule(begin + task.timeout if task.timeout else None)
                for done, (index, cell) in enumerate(cells, 1):
                    await client.async_execute_cell(cell, index, execution_count=done)
                    on_cell(done / len(cells))
            end = time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(SHUTDOWN):
                    outcome["peak_mb"], gpu = await _report(client)
            await manager.request_shutdown()
            await manager.finish_shutdown(
                2 * SHUTDOWN, pollinterval=0.01
            )  # it is killed after half of it
        except (
            Exception,
            asyncio.CancelledError,
        ) as failure:  # nbclient may turn the one into the other
            if stop.is_set():
                raise Interrupted from None
            end = time.monotonic()
            outcome |= {"status": "failed", "error": await _why(failure, manager)}
            if limit.expired():
                outcome |= {
                    "status": "timed-out",
                    "error": f"stopped after {task.timeout:g} seconds",
                }
        finally:
            watch.cancel()
            await (
                manager.shutdown_kernel(now=True)
                if manager.has_kernel
                else manager.cleanup_resources()
            )
            if client.kc:
                client.kc.stop_channels()
    return outcome | {"seconds": round(end - begin, 2), "hardware": _hardware(gpu)}


async def _watch(stop: threading.Event, run: "asyncio.Task[Any]") -> None:
    while not stop.is_set():
        await asyncio.sleep(0.05)
    run.cancel()


async def _start(manager: AsyncKernelManager, task: Task) -> Any:
    """A kernel in the notebook's folder with the caller's environment, and a client that hears its output."""
    env = kernel_env(task.threads)
    arguments = ["--HistoryManager.enabled=False"]
    if task.warm:
        env[SOCKET] = str(task.warm)
    elif os.name == "posix":
        arguments.append(f"--IPKernelApp.exec_lines={INSIDE}.end_with_parent()")
    await manager.start_kernel(
        cwd=str(task.notebook.path.parent), env=env, extra_arguments=arguments
    )
    client = manager.client()
    client.start_channels()
    client.allow_stdin = False
    while await manager.is_alive():
        client.kernel_info()  # asked again until the answer comes by the output channel
        with suppress(
            queue.Empty
        ):  # jupyter_client's own wait for this takes 0.2 s longer
            await client.get_iopub_msg(timeout=0.2)
            return client
    client.stop_channels()
    raise DeadKernelError


async def _report(client: NotebookClient) -> tuple[float | None, str | None]:
    """What the kernel says of itself (`inside.report`): its peak memory and its GPU."""
    assert client.kc is not None
    message = client.kc.execute(
        "", silent=True, user_expressions={"report": f"{INSIDE}.report()"}
    )
    reply = await client.async_wait_for_reply(message)
    try:
        text = reply["content"]["user_expressions"]["report"]["data"]["text/plain"]  # type: ignore[index]
        said = json.loads(text[1:-1])
        return said["peak_mb"], said["gpu"]
    except (
        KeyError,
        TypeError,
        ValueError,
    ):  # a notebook may break anything, but not its own run
        return None, None


async def _why(failure: BaseException, manager: AsyncKernelManager) -> str:
    """The failure in a few lines."""
    if isinstance(failure, CellExecutionError):
        return "\n".join(
            pages.plain(failure.traceback).rstrip().splitlines()[-ERROR_LINES:]
        )
    if isinstance(failure, DeadKernelError):
        code = await manager.provisioner.poll() if manager.provisioner else None
        how = (
            signal.Signals(-code).name
            if code is not None and code < 0
            else f"exit code {code}"
        )
        return f"the kernel died ({how}): out of memory, or a crash in native code"
    return f"{type(failure).__name__}: {failure}"


def _manager(folder: Path) -> AsyncKernelManager:
    """A kernel of this very Python, whatever kernels are installed, talking through files where it can."""
    spec = get_kernel_dict()
    spec["metadata"] = {"kernel_provisioner": {"provisioner_name": "smallscale-warm"}}
    manager = AsyncKernelManager(
        kernel_name="python3", connection_file=str(folder / "kernel.json")
    )
    manager._kernel_spec = KernelSpec(resource_dir="", **spec)
    if os.name == "posix":
        manager.transport, manager.ip = (
            "ipc",
            str(folder / "kernel"),
        )  # no ports, so no races for them
    return manager


def read_claims(notebook: Any) -> tuple[list[Claim], dict[str, float | None]]:
    """Return the claims and metrics that the executed notebook shows.

    Of a claim that is stated twice the last counts.
    """
    claims: dict[str, Claim] = {}
    metrics: dict[str, float | None] = {}
    for output in (
        output for cell in notebook.cells for output in cell.get("outputs", [])
    ):
        record = output.get("data", {}).get(CLAIMS, {"claims": [], "metrics": {}})
        claims |= {claim["statement"]: Claim(**claim) for claim in record["claims"]}
        metrics |= record["metrics"]
    return list(claims.values()), metrics


def _hardware(gpu: str | None) -> Hardware:
    return Hardware(
        machine=platform.machine(),
        cores=psutil.cpu_count(logical=True),
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        gpu=gpu,
    )
