"""Why should every run import torch again? Kernels forked from a process that has the imports already.

`python -m smallscale.runs.warm SOCKET` is the warm process: it imports what it is told to, then forks a kernel
for each connection. It only ever imports: a parent that has run one torch operation has threads, and every
child of it would hang. `WarmProvisioner` is jupyter_client's side of it (entry point `smallscale-warm`); where
the warm process cannot be reached, it starts an ordinary kernel.

The connection is also the kernel's lifeline. The command holds one end, the kernel the other: when the command
is gone, however it went, the kernel ends itself and everything it started.
"""

import ast
import asyncio
import atexit
import gc
import importlib
import json
import os
import random
import selectors
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner

from smallscale.runs.inside import end_all, kill_descendants

SOCKET = "SMALLSCALE_WARM_SOCKET"  # the variable that names the warm process's socket
SUPPORTED = sys.platform == "linux"
# What every kernel imports as it starts, named here because nothing in a notebook does.
KERNEL = (
    "import ipykernel.kernelapp, ipykernel.ipkernel, ipykernel.zmqshell, ipykernel.debugger",
    "import matplotlib_inline.backend_inline, IPython.core.completer, jedi, debugpy, psutil",
)


def kernel_env(threads: int) -> dict[str, str]:
    """The caller's environment, with what the caller has not set: threads capped, hashes the same every time."""
    env = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    env |= {"OMP_WAIT_POLICY": "PASSIVE"}  # threads that spin while they wait slow the runs beside them tenfold
    env |= {"PYTHONHASHSEED": "0", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}  # the debugger warns of nothing
    return env | os.environ


# ---- the command's side -------------------------------------------------------------------------------------


class WarmParent:
    """The warm process, as a context: started at once, its imports under way while the command goes on."""

    def __init__(self, folder: Path, statements: list[str], env: dict[str, str]) -> None:
        self.socket = folder / "warm"
        command = [sys.executable, "-m", "smallscale.runs.warm", str(self.socket)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, env=env, start_new_session=True)
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps(statements) + "\n").encode())
        self._process.stdin.flush()  # left open: its end is the warm process's own lifeline

    def __enter__(self) -> "WarmParent":
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:  # still in the middle of an import
            self._process.kill()
            self._process.wait()


class ForkedKernel:
    """A forked kernel, as `subprocess.Popen` would show it: the warm process tells when and how it ended."""

    stdin = stdout = stderr = None

    def __init__(self, connection: socket.socket, heard: bytes) -> None:
        pid, _, self._heard = heard.partition(b"\n")
        self.pid = int(pid)
        self.returncode: int | None = None
        self._connection = connection

    def poll(self) -> int | None:
        """The exit code (negative for a signal), or None while it runs."""
        if self.returncode is None:
            with suppress(BlockingIOError):
                code = self._heard or self._connection.recv(64)
                # Nothing but an end: the warm process itself is gone, and the kernel with it.
                self.returncode = int(code) if code else -signal.SIGKILL
                self._connection.close()
        return self.returncode

    def wait(self) -> int:
        """The exit code, of a process that has ended (`LocalProvisioner.wait` polls until then)."""
        return self.returncode or 0

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel alone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the kernel."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask the kernel to end."""
        self.send_signal(signal.SIGTERM)


class WarmProvisioner(LocalProvisioner):
    """Forks a kernel from the warm process whose socket the environment names, else starts an ordinary one."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Launch the kernel. `cmd` and `kwargs` are those of `LocalProvisioner`."""
        where = kwargs.get("env", os.environ).get(SOCKET)
        if not where or "ipykernel_launcher" not in cmd:
            return await super().launch_kernel(cmd, **kwargs)
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        request = {
            "argv": cmd[cmd.index("ipykernel_launcher") + 1 :],
            "cwd": str(kwargs.get("cwd") or os.getcwd()),
            "env": kwargs.get("env") or dict(os.environ),
        }
        try:
            async with asyncio.timeout(30):
                while not Path(where).exists():  # the warm process has only just started
                    await asyncio.sleep(0.01)
            await loop.sock_connect(connection, where)
            await loop.sock_sendall(connection, json.dumps(request).encode() + b"\n")
            kernel = ForkedKernel(connection, await loop.sock_recv(connection, 64))
        except (OSError, ValueError):  # TimeoutError is an OSError
            connection.close()
            return await super().launch_kernel(cmd, **kwargs)
        self.process, self.pid, self.pgid = kernel, kernel.pid, kernel.pid  # type: ignore[assignment]
        return self.connection_info

    async def wait(self) -> int | None:
        """Wait for the kernel to end, looking more often than the ordinary provisioner's 100 ms."""
        while self.process and await self.poll() is None:
            await asyncio.sleep(0.01)
        return await super().wait()


# ---- the warm process ---------------------------------------------------------------------------------------


def serve(path: str) -> None:
    """Import what standard input's first line says, then fork a kernel for every connection, until it closes."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path + ".new")
    listener.listen(64)
    os.rename(path + ".new", path)  # it exists only when it can be connected to
    _adopt_orphans()
    statements = json.loads(os.fdopen(0, "rb", buffering=0, closefd=False).readline())
    # pyplot reads it when imported, which is now and not in the kernel
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    for statement in (*KERNEL, *statements):
        _load(statement)
    gc.collect()
    gc.freeze()  # a collection in a child would touch, and so copy, every page

    woken, wake = socket.socketpair()
    woken.setblocking(False)
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the command's to handle
    signal.set_wakeup_fd(wake.fileno())
    selector = selectors.DefaultSelector()
    for thing in (listener, woken, 0):  # 0 is standard input, held open by the command
        selector.register(thing, selectors.EVENT_READ)
    kernels: dict[int, socket.socket] = {}
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                connection, _address = listener.accept()
                with connection.makefile("rb") as lines:
                    request = json.loads(lines.readline() or "null")
                if request is None:
                    connection.close()
                    continue
                pid = os.fork()
                if not pid:
                    selector.close()
                    for other in (listener, woken, wake, *kernels.values()):
                        other.close()
                    _be_a_kernel(request, connection)
                kernels[pid] = connection
                with suppress(OSError):  # the command may have given up meanwhile; the kernel will notice
                    connection.sendall(f"{pid}\n".encode())
            elif key.fileobj is woken:
                woken.recv(4096)
                _reap(kernels)
            else:  # the command is gone
                kill_descendants()
                os._exit(0)


def _load(statement: str) -> None:
    """Do what an import statement does. By name: `from transformers import X` is lazy until X is asked for."""
    for node in ast.parse(statement).body:
        module = getattr(node, "module", None)
        for alias in getattr(node, "names", ()):
            with suppress(Exception):  # the notebook will say what is wrong, in its own cell
                found = importlib.import_module(module or alias.name)
                if module and alias.name != "*" and not hasattr(found, alias.name):
                    importlib.import_module(f"{module}.{alias.name}")


def _reap(kernels: dict[int, socket.socket]) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            connection = kernels.pop(ended[0], None)
            if connection:
                with suppress(OSError):
                    connection.sendall(str(os.waitstatus_to_exitcode(ended[1])).encode())
                connection.close()
    kill_descendants(but=set(kernels))  # what a dead kernel left behind


def _be_a_kernel(request: dict[str, Any], lifeline: socket.socket) -> None:
    """In the child: a clean process of its own, then an IPython kernel until it is shut down."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    _adopt_orphans()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    random.seed()  # forked kernels would else draw the same "random" numbers
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].seed()
    sys.path[0:1] = [""] if sys.path[:1] != [""] else sys.path[:1]  # as ipykernel_launcher starts
    threading.Thread(target=_die_with, args=(lifeline,), daemon=True, name="lifeline").start()
    code = 1
    try:
        from ipykernel.kernelapp import IPKernelApp

        sys.argv = ["ipykernel_launcher", *request["argv"]]
        app = IPKernelApp.instance()
        app.initialize(request["argv"])
        atexit.unregister(app.close)  # it can wait for ever on threads that wait for it; the process ends anyway
        app.start()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    finally:
        with suppress(BaseException):
            atexit._run_exitfuncs()
        kill_descendants()
        os._exit(code)


def _die_with(lifeline: socket.socket) -> None:
    with suppress(OSError):
        lifeline.recv(1)
    end_all()


def _adopt_orphans() -> None:
    """Make this process the parent of its descendants' orphans, so that none can get away."""
    import ctypes

    subreaper = 36  # PR_SET_CHILD_SUBREAPER, prctl(2)
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(subreaper, 1, 0, 0, 0)


if __name__ == "__main__":
    serve(sys.argv[1])
