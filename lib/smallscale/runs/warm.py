"""Why should every run import torch again? Kernels are forked from a warm process.

`python -m smallscale.runs.warm` is the warm process. It imports what it is told to.
Then, for each connection, it forks a keeper, and the keeper forks a kernel. The keeper
stays to tell how the kernel ended, and to end whatever the kernel left behind.

The warm process only ever imports, and only what is installed (`plan.warm_imports`): a
process that has run one torch operation has threads, and every kernel forked from it
would hang. Which file a module of the user's own is depends on the notebook's folder.

`WarmProvisioner` is jupyter_client's side of it (entry point `smallscale-warm`). Where
the warm process cannot be reached, it starts an ordinary kernel.

The connection is also the kernel's lifeline. The command holds one end and the kernel
the other: when the command is gone, however it went, the kernel ends itself, and its
keeper ends everything that the kernel had started.
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
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from smallscale.core.syntax import parsed
from smallscale.runs import Refused
from smallscale.runs.dependencies import python_path_variable
from smallscale.runs.endings import adopt_orphans, end_all, kill_descendants

SOCKET = "SMALLSCALE_WARM_SOCKET"  # the variable that names the warm process's socket
SUPPORTED = sys.platform == "linux"
PID_LENGTH = 20  # characters of the message that tells a process id
EXIT_CODE_LENGTH = 20  # characters, at most, of the message that tells an exit code
IMPORT_SECONDS = 60.0  # that a kernel waits for the imports of the warm process
PROBE_SIZE = 1 << 18  # numbers, enough for torch to share the work out to threads
PROBE_SECONDS = 30.0
MOST_LASTING = 4  # warm processes of one worker; each holds what it has imported
LONGEST_FOLDER = 80  # bytes of a path; a socket's address has 108, on macOS 104
PR_SET_PDEATHSIG = 1  # prctl(2)
# What every kernel imports as it starts, named here because nothing in a notebook does.
KERNEL_IMPORTS = """\
import ipykernel.kernelapp, ipykernel.ipkernel, ipykernel.zmqshell, ipykernel.debugger
import matplotlib_inline.backend_inline, IPython.core.completer
import debugpy, jedi, psutil
"""


def kernel_env(threads: int) -> dict[str, str]:
    """Return the caller's environment, with defaults for what it does not set.

    The defaults give each numerical library this many threads, and make hashes the
    same in every run.
    """
    defaults = {
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        # Threads that spin while they wait slow the runs beside them tenfold.
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONHASHSEED": "0",
        # Without it, the debugger warns of frozen modules in every kernel.
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    return {**defaults, **os.environ, **python_path_variable()}


def socket_folder() -> "tempfile.TemporaryDirectory[str]":
    """Make a temporary folder whose path leaves room for a socket's name.

    It is made where TMPDIR says unless that path is too long for a socket's address.
    Raises Refused where there is no such place.
    """
    for place in (None, "/tmp", "/var/tmp", "/dev/shm"):
        with suppress(OSError):
            folder = tempfile.TemporaryDirectory(prefix="smallscale-", dir=place)
            short = len(os.fsencode(folder.name)) <= LONGEST_FOLDER
            if short or os.name != "posix":  # elsewhere, kernels have no such sockets
                return folder
            folder.cleanup()
    raise Refused(
        "there is no folder for temporary files whose path is short enough for a "
        f"socket; set TMPDIR to one of at most {LONGEST_FOLDER - 20} characters"
    )


# ---- the command's side --------------------------------------------------------------


@contextmanager
def warm_process(statements: list[str], env: dict[str, str]) -> Iterator[Path]:
    """Start the warm process, yield the path of its socket, and kill it afterwards.

    The socket can be used at once, though the imports are still under way.
    """
    with socket_folder() as folder:
        path = Path(folder) / "warm"
        imports = Path(folder) / "imports.txt"
        imports.write_text(KERNEL_IMPORTS + "\n".join(statements), encoding="utf-8")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(64)
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "smallscale.runs.warm",
                    str(listener.fileno()),
                    str(imports),
                ],
                # Not the caller's folder: nothing is to be imported from there.
                cwd=folder,
                env=env,
                start_new_session=True,
                pass_fds=[listener.fileno()],
                # It stays open: its end is the warm process's own lifeline.
                stdin=subprocess.PIPE,
            )
        with process:
            try:
                yield path
            finally:
                process.kill()


def lasting_warm_process(statements: tuple[str, ...], threads: int) -> Path:
    """Start a warm process that lives on after the call; return its socket's path.

    Asked for the same imports again, also by another thread, it is the same. At most
    MOST_LASTING live at a time: the one that was asked for longest ago makes way. The
    kernels that it has forked go on.
    """
    with _ONE_AT_A_TIME:
        key = (statements, threads)
        if key not in _LASTING:
            stack = ExitStack()
            env = kernel_env(threads)
            path = stack.enter_context(warm_process(list(statements), env))
            _LASTING[key] = (path, stack)
        _LASTING.move_to_end(key)
        while len(_LASTING) > MOST_LASTING:
            _, (_, oldest) = _LASTING.popitem(last=False)
            oldest.close()
        return _LASTING[key][0]


@atexit.register
def _end_lasting() -> None:
    for _, stack in _LASTING.values():
        stack.close()


_ONE_AT_A_TIME = threading.Lock()
_LASTING: "OrderedDict[tuple[tuple[str, ...], int], tuple[Path, ExitStack]]" = (
    OrderedDict()
)


class ForkedKernel:
    """A forked kernel, with the methods of `subprocess.Popen` that its manager uses.

    Its keeper tells when and how it ended.
    """

    stdin = stdout = stderr = None
    returncode: int | None = None

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self._connection = connection

    def poll(self) -> int | None:
        """Return the exit code (negative for a signal), or None while it runs."""
        if self.returncode is None:
            with suppress(BlockingIOError):
                message = self._connection.recv(EXIT_CODE_LENGTH)
                # An empty message: the keeper was killed, and the kernel with it.
                self.returncode = int(message) if message else -signal.SIGKILL
                self._connection.close()
        return self.returncode

    wait = poll  # `LocalProvisioner.wait` polls until it has ended

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel alone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


class WarmProvisioner(LocalProvisioner):
    """Forks a kernel from the warm process whose socket the environment names.

    Where none answers, it starts an ordinary kernel.
    """

    async def launch_kernel(
        self, cmd: list[str], **kwargs: Any
    ) -> KernelConnectionInfo:
        """Launch the kernel. `cmd` and `kwargs` are those of `LocalProvisioner`."""
        if SOCKET in kwargs["env"]:
            request = {
                "argv": cmd[cmd.index("ipykernel_launcher") + 1 :],
                "cwd": kwargs.get("cwd") or os.getcwd(),
                "env": kwargs["env"],
            }
            with suppress(OSError, ValueError):
                await self._fork(Path(kwargs["env"][SOCKET]), request)
                return self.connection_info
        return await super().launch_kernel(cmd, **kwargs)

    async def _fork(self, path: Path, request: dict[str, Any]) -> None:
        """Ask the warm process at this socket for a kernel.

        Raises OSError or ValueError where none comes. An import may hang in the warm
        process: no run waits for it longer than IMPORT_SECONDS, and none after that.
        """
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(IMPORT_SECONDS):
                await loop.sock_connect(connection, str(path))
                await loop.sock_sendall(connection, f"{json.dumps(request)}\n".encode())
                pid = int(await loop.sock_recv(connection, PID_LENGTH))
        except TimeoutError:
            path.unlink(missing_ok=True)
            connection.close()
            raise
        except BaseException:
            connection.close()
            raise
        self.pid = pid
        self.pgid = pid
        self.process = ForkedKernel(pid, connection)  # type: ignore[assignment]

    async def kill(self, restart: bool = False) -> None:
        """Kill the kernel, and what it started even if that left its process group."""
        kill_descendants(self.pid)
        await super().kill(restart)

    # Asked of a kernel that did not end when told to: what it started must not stay.
    terminate = kill


# ---- the warm process ----------------------------------------------------------------


def serve(listener: socket.socket, statements: str) -> None:
    """Import, then fork a keeper for every connection, until standard input closes."""
    # pyplot reads it when it is imported, which is now and not in the kernel.
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    _import(statements)
    if not _forks_can_compute():
        return
    # A garbage collection in a kernel would touch, and so copy, every page of memory.
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers leave no zombies
    heard = listener.fileno()
    standard_input = 0
    while True:
        ready, _, _ = select.select([heard, standard_input], [], [])
        if heard not in ready:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _keep(connection)
        connection.close()


def _import(statements: str) -> None:
    """Import what these statements import, name by name, and run nothing else.

    By name, because `from transformers import X` is lazy until X is asked for. An
    import that fails is passed over: the notebook will say so, in its own cell.
    """
    for node in parsed(statements).body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                with suppress(Exception):
                    importlib.import_module(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                with suppress(Exception):
                    _import_from(node.module, alias.name)


def _import_from(module: str, name: str) -> None:
    """Import one name from a module; the name may be a module itself, or a star."""
    found = importlib.import_module(module)
    if name != "*" and not hasattr(found, name):
        importlib.import_module(f"{module}.{name}")


def _forks_can_compute() -> bool:
    """Tell whether torch works in a fork of this process, by trying it in one.

    Where something that was imported has computed with torch, a fork waits for ever for
    threads that it does not have; it ends with this process, should that be killed.
    """
    warm = os.getpid()
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != warm:  # killed before that
            os._exit(0)
        torch = sys.modules.get("torch")
        if torch:
            torch.ones(PROBE_SIZE).exp().sum()
        os._exit(0)
    until = time.monotonic() + PROBE_SECONDS
    while time.monotonic() < until:
        ended, _ = os.waitpid(pid, os.WNOHANG)
        if ended:
            return True
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def _is_shadowed(folder: str) -> bool:
    """Tell whether a module beside the notebook bears the name of one imported here.

    An ordinary kernel would import the one beside the notebook.
    """
    names = {path.stem for path in Path(folder).glob("*.py")}
    names |= {path.parent.name for path in Path(folder).glob("*/__init__.py")}
    return any(name in sys.modules for name in names - sys.stdlib_module_names)


def _keep(connection: socket.socket) -> NoReturn:
    """Be the keeper of one kernel, in a child of the warm process.

    It starts the kernel that is asked for, tells its process id, waits for its end,
    ends what it left, and tells its exit code.
    """
    try:
        request = json.loads(connection.makefile().readline())
        if _is_shadowed(request["cwd"]):
            os._exit(0)  # an ordinary kernel steps in
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        adopt_orphans()
        pid = os.fork()
        if pid == 0:
            _be_a_kernel(request, connection)
        connection.sendall(f"{pid:{PID_LENGTH}}".encode())
        _, status = os.waitpid(pid, 0)
        with suppress(ChildProcessError):  # raised where the kernel left nothing
            os.waitpid(-1, os.WNOHANG)
            kill_descendants()
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    finally:  # whatever came: the command may have given up meanwhile
        os._exit(0)


def _be_a_kernel(request: dict[str, Any], lifeline: socket.socket) -> NoReturn:
    """Be an IPython kernel until it is shut down, in a child of the keeper."""
    code = 1
    try:
        _become_ordinary(request["cwd"], request["env"])
        threading.Thread(
            target=_die_with, args=(lifeline,), daemon=True, name="lifeline"
        ).start()
        from ipykernel.kernelapp import IPKernelApp

        sys.argv = ["ipykernel_launcher", *request["argv"]]
        IPKernelApp.launch_instance(request["argv"])
        code = 0
    finally:
        with suppress(BaseException):
            # Its own exit function can wait for ever on threads that wait for it.
            atexit.unregister(IPKernelApp.instance().close)
            atexit._run_exitfuncs()
        os._exit(code)


def _become_ordinary(cwd: str, env: dict[str, str]) -> None:
    """Make this fork what an ordinary kernel's process is when it starts.

    It has its own session, this working directory and environment, no streams of the
    command's, and random numbers of its own. IPython puts the working directory where
    it belongs in the path.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.chdir(cwd)
    backend = os.environ["MPLBACKEND"]
    os.environ.clear()
    os.environ.update({"MPLBACKEND": backend, **env})
    # Forked kernels would otherwise all draw the same "random" numbers.
    for name in ("random", "numpy.random", "torch"):
        if name in sys.modules:
            sys.modules[name].seed()


def _die_with(lifeline: socket.socket) -> None:
    """End this kernel and all it started when the lifeline closes."""
    with suppress(OSError):
        lifeline.recv(1)
    end_all()


def main() -> None:
    """Be the warm process. Its arguments: a socket's number, and a file of imports."""
    if not sys.flags.safe_path:
        del sys.path[0]  # the folder that this process was started in
    listener = socket.socket(fileno=int(sys.argv[1]))
    serve(listener, Path(sys.argv[2]).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
