"""Why should every run import torch again? Kernels forked from a process that has the imports already.

`python -m smallscale.runs.warm` is the warm process: it imports what it is told to, then forks for each connection
a keeper, which forks a kernel and stays to tell how that ended and to end what it left behind. It only ever imports:
a parent that has run one torch operation has threads, and every child of it would hang. `WarmProvisioner` is
jupyter_client's side of it (entry point `smallscale-warm`); where the warm process cannot be reached, it starts an
ordinary kernel.

The connection is also the kernel's lifeline. The command holds one end, the kernel the other: when the command
is gone, however it went, the kernel ends itself, and its keeper everything it started.
"""

import ast
import asyncio
import atexit
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner

from smallscale.runs.kernel_side import end_all, kill_descendants

SOCKET = "SMALLSCALE_WARM_SOCKET"  # the variable that names the warm process's socket
SUPPORTED = sys.platform == "linux"
PID = 20  # characters of a message that tells a process id
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
# What every kernel imports as it starts, named here because nothing in a notebook does.
KERNEL = """\
import ipykernel.kernelapp, ipykernel.ipkernel, ipykernel.zmqshell, ipykernel.debugger
import matplotlib_inline.backend_inline, IPython.core.completer, jedi, debugpy, psutil"""


def kernel_env(threads: int) -> dict[str, str]:
    """The caller's environment, with what the caller has not set: threads capped, hashes the same every time."""
    env = {
        name: str(threads)
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    }
    env |= {
        "OMP_WAIT_POLICY": "PASSIVE"
    }  # threads that spin while they wait slow the runs beside them tenfold
    env |= {
        "PYTHONHASHSEED": "0",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }  # the debugger warns of nothing
    return env | os.environ


# ---- the command's side -------------------------------------------------------------------------------------


@contextmanager
def warm_process(statements: list[str], env: dict[str, str]) -> Iterator[Path]:
    """The warm process, for a while: its socket, to be used at once, though its imports are still under way."""
    with tempfile.TemporaryDirectory(prefix="smallscale-") as folder:
        where, imports = Path(folder) / "warm", Path(folder) / "imports.py"
        imports.write_text("\n".join([KERNEL, *statements]), encoding="utf-8")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(where))
            listener.listen(64)
            command = [
                sys.executable,
                "-m",
                "smallscale.runs.warm",
                str(listener.fileno()),
                str(imports),
            ]
            # Its standard input stays open: its end is the warm process's own lifeline.
            pipes: dict[str, Any] = {
                "stdin": subprocess.PIPE,
                "pass_fds": [listener.fileno()],
            }
            process = subprocess.Popen(
                command, env=env, start_new_session=True, **pipes
            )
        with process:
            try:
                yield where
            finally:
                process.kill()


class ForkedKernel:
    """A forked kernel, as `subprocess.Popen` would show it: its keeper tells when and how it ended."""

    stdin = stdout = stderr = None
    returncode: int | None = None

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid, self._connection = pid, connection

    def poll(self) -> int | None:
        """The exit code (negative for a signal), or None while it runs."""
        if self.returncode is None:
            with suppress(BlockingIOError):
                # Nothing but an end: the keeper itself is gone, and the kernel with it.
                self.returncode = int(self._connection.recv(20) or -signal.SIGKILL)
                self._connection.close()
        return self.returncode

    wait = poll  # `LocalProvisioner.wait` polls until it has ended

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel alone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


class WarmProvisioner(LocalProvisioner):
    """Forks a kernel from the warm process whose socket the environment names, else starts an ordinary one."""

    async def launch_kernel(
        self, cmd: list[str], **kwargs: Any
    ) -> KernelConnectionInfo:
        """Launch the kernel. `cmd` and `kwargs` are those of `LocalProvisioner`."""
        if SOCKET in kwargs["env"]:
            argv = cmd[cmd.index("ipykernel_launcher") + 1 :]
            request = json.dumps(
                {"argv": argv, "cwd": kwargs["cwd"], "env": kwargs["env"]}
            )
            connection = socket.socket(socket.AF_UNIX)
            connection.setblocking(False)
            loop = asyncio.get_running_loop()
            try:
                await loop.sock_connect(connection, kwargs["env"][SOCKET])
                await loop.sock_sendall(connection, f"{request}\n".encode())
                self.pid = self.pgid = int(await loop.sock_recv(connection, PID))
                self.process = ForkedKernel(self.pid, connection)  # type: ignore[assignment]
                return self.connection_info
            except (OSError, ValueError):
                connection.close()
        return await super().launch_kernel(cmd, **kwargs)

    async def kill(self, restart: bool = False) -> None:
        """Kill the kernel, and what it started even if that left its process group."""
        kill_descendants(self.pid)
        await super().kill(restart)

    terminate = kill  # asked of one that did not end when told to: what it started must not be left


# ---- the warm process ---------------------------------------------------------------------------------------


def serve(listener: socket.socket, statements: str) -> None:
    """Do these imports, then fork a keeper for every connection, until standard input closes."""
    # pyplot reads it when imported, which is now and not in the kernel
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    _load(statements)
    gc.collect()
    gc.freeze()  # a collection in a child would touch, and so copy, every page
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers leave no zombies
    heard = listener.fileno()
    while heard in select.select([heard, 0], [], [])[0]:
        connection, _ = listener.accept()
        if not os.fork():
            listener.close()
            _keep(connection)
        connection.close()


def _load(statements: str) -> None:
    """Do what import statements do. By name: `from transformers import X` is lazy until X is asked for."""
    for node in ast.parse(statements).body:
        module = getattr(node, "module", None)
        for alias in getattr(node, "names", ()):
            with suppress(
                Exception
            ):  # the notebook will say what is wrong, in its own cell
                found = importlib.import_module(module or alias.name)
                if module and alias.name != "*" and not hasattr(found, alias.name):
                    importlib.import_module(f"{module}.{alias.name}")


def _keep(connection: socket.socket) -> NoReturn:
    """In a child: start the kernel that is asked for, tell its process id and exit code, end what it left."""
    try:
        request = json.loads(connection.makefile().readline())
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(
            PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0
        )  # what loses its parent below comes to this process
        pid = os.fork()
        if not pid:
            _be_a_kernel(request, connection)
        connection.sendall(f"{pid:{PID}}".encode())
        _, status = os.waitpid(pid, 0)
        with suppress(ChildProcessError):  # it left nothing
            os.waitpid(-1, os.WNOHANG)
            kill_descendants()
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    finally:  # whatever came: the command may have given up meanwhile
        os._exit(0)


def _be_a_kernel(request: dict[str, Any], lifeline: socket.socket) -> NoReturn:
    """In the child's child: a clean process of its own, then an IPython kernel until it is shut down."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.chdir(request["cwd"])
        backend = os.environ["MPLBACKEND"]
        os.environ.clear()
        os.environ.update({"MPLBACKEND": backend, **request["env"]})
        for name in {"random", "numpy.random", "torch"} & set(sys.modules):
            sys.modules[
                name
            ].seed()  # forked kernels would else draw the same "random" numbers
        sys.path[0] = ""  # as ipykernel_launcher starts
        threading.Thread(
            target=_die_with, args=(lifeline,), daemon=True, name="lifeline"
        ).start()
        from ipykernel.kernelapp import IPKernelApp

        sys.argv = ["ipykernel_launcher", *request["argv"]]
        IPKernelApp.launch_instance(request["argv"])
        code = 0
    finally:
        with suppress(BaseException):
            atexit.unregister(
                IPKernelApp.instance().close
            )  # it can wait for ever on threads that wait for it
            atexit._run_exitfuncs()
        os._exit(code)


def _die_with(lifeline: socket.socket) -> None:
    with suppress(OSError):
        lifeline.recv(1)
    end_all()


if __name__ == "__main__":
    serve(
        socket.socket(fileno=int(sys.argv[1])),
        Path(sys.argv[2]).read_text(encoding="utf-8"),
    )
