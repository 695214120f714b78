"""One run: a notebook, its parameters, a kernel of its own, a folder of its own.

Nothing that happens inside reaches another run. The folder gets its final name by one rename when the run is
over, so that a half-written run is never taken for one.
"""

import asyncio
import json
import os
import platform
import queue
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import nbformat
import psutil
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from smallscale.notebook.claims import CLAIMS
from smallscale.notebook.code import versions
from smallscale.runs import pages
from smallscale.runs.plan import Task
from smallscale.runs.warm import SOCKET, ForkedKernel, kernel_env

T = TypeVar("T")
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
ERROR_LINES = 8
INSIDE = "__import__('smallscale.runs.inside', fromlist=['inside'])"  # leaves no name in the notebook
SHUTDOWN = 5.0  # seconds a kernel has for its exit functions


class Interrupted(Exception):
    """The command was told to stop; what this run had done is given up."""


def execute(
    task: Task, stop: threading.Event | None = None, on_cell: Callable[[float], None] | None = None
) -> dict[str, Any]:
    """Run the notebook, put its folder in place, and return its record (`run.json`).

    on_cell is told the share of code cells that are done. Raises Interrupted once `stop` is set.
    """
    notebook = nbformat.read(task.path, as_version=4)
    _inject(notebook, task)
    started = datetime.now(UTC)
    status, error, inside = asyncio.run(_drive(notebook, task, stop or threading.Event(), on_cell))
    for cell in notebook.cells:
        if cell.cell_type == "code":  # a finished progress bar leaves an empty stream behind
            cell.outputs = [output for output in cell.outputs if output.get("text", "some").strip()]
    claims, metrics = read_claims(notebook)
    record: dict[str, Any] = {
        "run": task.run,
        "notebook": task.notebook,
        "title": task.title,
        "question": task.question,
        "status": status,
        "parameters": task.parameters,
        "claims": claims,
        "metrics": metrics,
        "seconds": round(inside["seconds"], 2),
        "peak_mb": inside.get("peak_mb"),
        "error": error,
        "seed": task.parameters.get("seed"),
        "scale": task.parameters.get("scale"),
        "kernel": inside["kernel"],
        "versions": versions(),
        "hardware": _hardware(inside.get("gpu")),
        "data": task.data,
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "figures": [],
        "html": False,
    }
    try:
        _keep(notebook, record, task)
    except OSError as failure:  # a full disk: the other runs may still fit
        record |= {"status": "failed", "error": f"the run could not be kept: {failure}", "html": False}
    return record


def _keep(notebook: Any, record: dict[str, Any], task: Task) -> None:
    """Write the run's folder under another name, then give it its own; an earlier one makes way."""
    part = task.folder.with_name(f".partial-{socket.gethostname()}-{os.getpid()}-{task.run}")
    old = part.with_name(part.name + "-old")
    for path in (part, old):
        shutil.rmtree(path, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        nbformat.write(notebook, part / "notebook.ipynb")
        try:
            record["figures"] = pages.save_figures(notebook, part)
            if task.html:
                page = pages.notebook_page(notebook, record | {"html": True})
                (part / "notebook.html").write_text(page, encoding="utf-8")
                record["html"] = True
        except OSError:
            raise
        except Exception as failure:  # a page that cannot be drawn is no reason to lose an hour's run
            record["error"] += f"its page could not be made: {type(failure).__name__}: {failure}"
        (part / "run.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        with suppress(FileNotFoundError):
            task.folder.rename(old)
        part.rename(task.folder)
    finally:
        for path in (part, old):
            shutil.rmtree(path, ignore_errors=True)


def _inject(notebook: Any, task: Task) -> None:
    """The run's parameters as a cell of their own after the declared ones, as papermill does."""
    code = "\n".join(f"{name} = {value!r}" for name, value in task.parameters.items())
    cell = nbformat.v4.new_code_cell(code, metadata={"tags": ["injected-parameters"]})
    notebook.cells = [c for c in notebook.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    notebook.cells.insert(task.parameters_at + 1, cell)
    for other in notebook.cells:
        if other.cell_type == "code":
            other.outputs, other.execution_count = [], None


async def _drive(
    notebook: Any, task: Task, stop: threading.Event, on_cell: Callable[[float], None] | None
) -> tuple[str, str, dict[str, Any]]:
    """Start a kernel, execute the cells, end the kernel. Returns status, error and what the kernel reports."""
    inside: dict[str, Any] = {"kernel": "cold", "seconds": 0.0}
    with tempfile.TemporaryDirectory(prefix="smallscale-") as folder:
        manager = _manager(Path(folder))
        client = NotebookClient(notebook, km=manager, timeout=None, record_timing=False)
        watch = asyncio.create_task(_watch(stop))
        begin = time.monotonic()
        try:
            client.kc = await _until(_start(manager, task), watch)
            if isinstance(getattr(manager.provisioner, "process", None), ForkedKernel):
                inside["kernel"] = "warm"  # asked for is not yet got: an ordinary kernel may have stepped in
            begin = time.monotonic()
            await _until(_cells(client, on_cell), watch, task.timeout)
            inside["seconds"] = time.monotonic() - begin
            inside |= await _until(_report(client), watch, SHUTDOWN)
            await manager.request_shutdown()
            if manager.provisioner:
                await _until(manager.provisioner.wait(), watch, SHUTDOWN)
        except Interrupted:
            raise
        except TimeoutError:
            if not inside["seconds"]:  # else every cell is done, and only the kernel will not end
                inside["seconds"] = time.monotonic() - begin
                return "timed-out", f"stopped after {task.timeout:g} seconds", inside
        except Exception as failure:
            inside["seconds"] = time.monotonic() - begin
            return "failed", _why(failure, manager), inside
        finally:
            watch.cancel()
            await _end(manager)
            if client.kc:
                client.kc.stop_channels()
            await manager.cleanup_resources()
    return "completed", "", inside


async def _until(work: Coroutine[Any, Any, T], watch: "asyncio.Task[None]", timeout: float | None = None) -> T:
    """The result of this work. Raises TimeoutError when time is up, Interrupted when the watch ends."""
    task = asyncio.ensure_future(work)
    await asyncio.wait({task, watch}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        return task.result()
    task.cancel()
    with suppress(BaseException):  # nbclient turns the cancellation into an error of its own
        await task
    if watch.done():
        raise Interrupted
    raise TimeoutError


async def _watch(stop: threading.Event) -> None:
    while not stop.is_set():
        await asyncio.sleep(0.05)


async def _start(manager: AsyncKernelManager, task: Task) -> Any:
    """A kernel in the notebook's folder with the caller's environment, and a client that hears its output."""
    env = kernel_env(task.threads)
    arguments = ["--HistoryManager.enabled=False"]
    if task.warm:
        env[SOCKET] = str(task.warm)
    elif os.name == "posix":
        arguments.append(f"--IPKernelApp.exec_lines={INSIDE}.end_with_parent()")
    await manager.start_kernel(cwd=str(task.path.parent), env=env, extra_arguments=arguments)
    client = manager.client()
    client.start_channels()
    client.allow_stdin = False
    while await manager.is_alive():
        client.kernel_info()  # asked again until the answer comes by the output channel
        with suppress(queue.Empty):  # jupyter_client's own wait for this takes 0.2 s longer
            await client.get_iopub_msg(timeout=0.2)
            return client
    client.stop_channels()
    raise DeadKernelError


async def _cells(client: NotebookClient, on_cell: Callable[[float], None] | None) -> None:
    cells = [(i, cell) for i, cell in enumerate(client.nb.cells) if cell.cell_type == "code"]
    for done, (index, cell) in enumerate(cells, 1):
        await client.async_execute_cell(cell, index, execution_count=done)
        if on_cell:
            on_cell(done / len(cells))


async def _report(client: NotebookClient) -> dict[str, Any]:
    """What the kernel says of itself (`inside.report`)."""
    assert client.kc is not None
    message = client.kc.execute("", silent=True, user_expressions={"report": f"{INSIDE}.report()"})
    reply = await client.async_wait_for_reply(message)
    try:
        text = reply["content"]["user_expressions"]["report"]["data"]["text/plain"]  # type: ignore[index]
        return dict(json.loads(text[1:-1]))
    except (KeyError, TypeError, ValueError):  # a notebook may break anything, but not its own run
        return {}


def _why(failure: Exception, manager: AsyncKernelManager) -> str:
    """The failure in a few lines."""
    if isinstance(failure, CellExecutionError):
        lines = ANSI.sub("", failure.traceback).rstrip().splitlines()
        return "\n".join(lines[-ERROR_LINES:])
    if isinstance(failure, DeadKernelError):
        process = getattr(manager.provisioner, "process", None)
        code = process.poll() if process else None
        how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return f"the kernel died ({how}): out of memory, or a crash in native code"
    return f"{type(failure).__name__}: {failure}"


async def _end(manager: AsyncKernelManager) -> None:
    """End the kernel, if it has not ended, and everything it started."""
    provisioner = manager.provisioner
    if provisioner is None or not provisioner.has_process:
        return
    below: list[psutil.Process] = []
    with suppress(psutil.Error, AttributeError):
        below = psutil.Process(provisioner.process.pid).children(recursive=True)  # type: ignore[attr-defined]
    await provisioner.kill()  # its process group
    for child in below:  # and those that left the group
        with suppress(psutil.Error):
            child.kill()
    await provisioner.wait()


def _manager(folder: Path) -> AsyncKernelManager:
    """A kernel of this very Python, whatever kernels are installed, talking through files where it can."""
    spec = get_kernel_dict()
    spec["metadata"] = {"kernel_provisioner": {"provisioner_name": "smallscale-warm"}}
    manager = AsyncKernelManager(kernel_name="python3")
    manager._kernel_spec = KernelSpec(resource_dir="", **spec)
    manager.connection_file = str(folder / "kernel.json")
    if sys.platform != "win32":
        manager.transport, manager.ip = "ipc", str(folder / "kernel")  # no ports, so no races for them
    return manager


def read_claims(notebook: Any) -> tuple[list[dict[str, Any]], dict[str, float | None]]:
    """The claims and metrics that the executed notebook shows; stated twice, the last counts."""
    claims: dict[str, dict[str, Any]] = {}
    metrics: dict[str, float | None] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            record = output.get("data", {}).get(CLAIMS)
            if record:
                claims |= {claim["statement"]: claim for claim in record["claims"]}
                metrics |= record["metrics"]
    return list(claims.values()), metrics


def _hardware(gpu: str | None) -> dict[str, Any]:
    memory = psutil.virtual_memory().total
    cores = psutil.cpu_count(logical=True)
    return {"machine": platform.machine(), "cores": cores, "memory_gb": round(memory / 1e9, 1), "gpu": gpu}
