"""How does a run get its kernel, and what does the kernel say of itself afterwards?

A kernel is forked from the warm process where there is one; otherwise it is an
ordinary kernel of this very Python.
"""

import json
import os
import queue
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

from smallscale.core.folders import RUN_FOLDER
from smallscale.core.syntax import literal
from smallscale.runs.dependencies import installed_places
from smallscale.runs.endings import SPEECHLESS
from smallscale.runs.warm import SOCKET, ForkedKernel, kernel_env

# The modules as expressions, so that no name of ours is left in the notebook.
KERNEL_SIDE = "__import__('smallscale.runs.kernel_side', fromlist=['kernel_side'])"
ENDINGS = "__import__('smallscale.runs.endings', fromlist=['endings'])"
EVERY_KERNEL = (
    "--HistoryManager.enabled=False",
    f"--IPKernelApp.exec_lines={ENDINGS}.end_when_speechless()",
)
# By which an ordinary kernel ends when whoever started it is gone.
END_WITH_PARENT = f"--IPKernelApp.exec_lines={ENDINGS}.end_with_parent()"


@dataclass(frozen=True)
class Usage:
    """What the kernel used, as far as it could say."""

    peak_mb: float | None = None
    gpu: str | None = None
    files: tuple[str, ...] = ()  # of the user's own: modules loaded, and files read


def kernel_manager(folder: Path) -> AsyncKernelManager:
    """Return a manager for a kernel of this Python, whatever kernels are installed."""
    manager = AsyncKernelManager()
    set_up(manager, folder)
    return manager


def set_up(manager: AsyncKernelManager, folder: Path) -> None:
    """Let a manager that has started no kernel yet be one for a kernel of this Python.

    Kernel and manager talk through files in the folder where the system has sockets
    that are files: without ports, there can be no race for a port.
    """
    spec = get_kernel_dict()
    spec["metadata"] = {"kernel_provisioner": {"provisioner_name": "smallscale-warm"}}
    manager.kernel_name = "python3"
    manager.connection_file = str(folder / "kernel.json")
    manager._kernel_spec = KernelSpec(resource_dir="", **spec)
    if os.name == "posix":
        manager.transport = "ipc"
        manager.ip = str(folder / "kernel")


async def start_kernel(
    manager: AsyncKernelManager,
    folder: Path,
    *,
    files: Path,
    threads: int,
    warm: Path | None,
) -> Any:
    """Start the kernel in this folder; return a client that hears its output.

    files: where the notebook is to put files of its own. threads: how many each
    numerical library may use. warm: the warm process's socket, or None for an ordinary
    kernel. Raises DeadKernelError where the kernel dies early.
    """
    env = {**kernel_env(threads), RUN_FOLDER: str(files)}
    arguments = [
        *EVERY_KERNEL,
        f"--IPKernelApp.exec_lines={KERNEL_SIDE}.watch_files()",
    ]
    if warm:
        env[SOCKET] = str(warm)
    elif os.name == "posix":
        arguments.append(END_WITH_PARENT)
    await manager.start_kernel(cwd=str(folder), env=env, extra_arguments=arguments)
    client = manager.client()
    client.start_channels()
    client.allow_stdin = False
    try:
        # The question is asked again until its echo comes by the output channel.
        # jupyter_client's own wait for this takes 0.2 s longer.
        while await manager.is_alive():
            client.kernel_info()
            with suppress(queue.Empty):
                await client.get_iopub_msg(timeout=0.2)
                return client
        raise DeadKernelError
    except BaseException:
        client.stop_channels()
        raise


def is_warm(manager: AsyncKernelManager) -> bool:
    """Tell whether the kernel was forked: an ordinary one may have stepped in."""
    process = getattr(manager.provisioner, "process", None)
    return isinstance(process, ForkedKernel)


async def ask_usage(client: NotebookClient) -> Usage:
    """Ask the kernel what it used (`kernel_side.report`).

    A notebook may break anything in its kernel, but that must not break its run: where
    no sensible answer comes, nothing is known.
    """
    assert client.kc is not None
    places = installed_places()
    question = {"report": f"{KERNEL_SIDE}.report({places!r})"}
    message = client.kc.execute("", silent=True, user_expressions=question)
    reply: Any = await client.async_wait_for_reply(message)
    try:
        answer = reply["content"]["user_expressions"]["report"]["data"]["text/plain"]
        said = json.loads(literal(answer))
        return Usage(said["peak_mb"], said["gpu"], tuple(said["files"]))
    except (KeyError, TypeError, ValueError, SyntaxError):
        return Usage()


async def how_it_died(manager: AsyncKernelManager) -> str:
    """Say in one line how the dead kernel ended."""
    code = await manager.provisioner.poll() if manager.provisioner else None
    if code is None:
        return "the kernel died: out of memory, or a crash in native code"
    if code == SPEECHLESS:
        return (
            "the kernel could not answer: a cell replaced what it needs to, such as a "
            "function of a standard module (json.dumps = None does)"
        )
    if code >= 0:
        return (
            f"the kernel ended (exit code {code}) before the notebook did: "
            "something in it ended the process, as os._exit does"
        )
    name = signal.Signals(-code).name
    return f"the kernel died ({name}): out of memory, or a crash in native code"
