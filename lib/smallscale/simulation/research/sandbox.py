"""Where does an agent's code run? In a process of its own, with limits, then killed.

This keeps mistakes and simple tricks from doing harm. It is no security boundary: code
that is determined can read the files of the user who runs it and reach the network.
Run code that you distrust in a container or a virtual machine.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import psutil

LAUNCHER = Path(__file__).parent / "launch.txt"
ALLOWED = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT")  # of the environment
MARK = "RESEARCH_RUN"  # an environment variable by which its processes are found
MOST_PROCESSES = 4
MOST_BYTES = 32 << 20  # in the workspace
MOST_FILES = 200
MOST_OUTPUT = 2000  # characters of what is printed
PAUSE = 0.02  # seconds between two looks


class Outcome(NamedTuple):
    """How a run ended: "done", "failed", or by which limit it was stopped.

    seconds: on the clock; processor_seconds: of the code and what it waited for.
    """

    status: str
    output: str
    seconds: float
    processor_seconds: float


def environment(mark: str, workspace: Path) -> dict[str, str]:
    """Return what the code sees of the environment: a list of what is allowed."""
    kept = {name: os.environ[name] for name in ALLOWED if name in os.environ}
    one_thread = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    place = str(workspace)
    return kept | one_thread | {"HOME": place, "TMPDIR": place, MARK: mark}


def run_code(workspace: Path, file: str, *, seconds: float) -> Outcome:
    """Run a file of the workspace, and end everything that it started.

    seconds: on the clock, after which it is stopped. When this returns, no process that
    the code started is left, unless it hid its environment.
    """
    mark = uuid4().hex
    before = _processor_seconds()
    begin = time.monotonic()
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            [sys.executable, "-I", str(LAUNCHER), file],
            cwd=workspace,
            env=environment(mark, workspace),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = _watch(child, workspace, mark, begin + seconds)
        finally:
            _end(child, mark)
        passed = time.monotonic() - begin
        output.seek(0)
        text = output.read(4 * MOST_OUTPUT).decode(errors="replace")[:MOST_OUTPUT]
    used = _processor_seconds() - before if before else passed
    return Outcome(status, text.replace(str(workspace), "."), passed, used)


def _watch(
    child: "subprocess.Popen[bytes]", workspace: Path, mark: str, end: float
) -> str:
    """Wait until the code ends or breaks a limit; return how it ended."""
    looked = 0
    while child.poll() is None:
        if time.monotonic() > end:
            return "out of time"
        if len(list(_group(child.pid))) > MOST_PROCESSES:  # root has no other limit
            return "too many processes"
        if looked % 5 == 0 and _is_too_large(workspace):
            return "too much on disk"
        looked += 1
        time.sleep(PAUSE)
    if _is_too_large(workspace):
        return "too much on disk"
    return "done" if child.returncode == 0 else "failed"


def _group(pid: int) -> Iterator[int]:
    """Yield the processes of a process group."""
    for other in psutil.pids():
        try:
            if os.getpgid(other) == pid:
                yield other
        except (AttributeError, OSError):
            continue


def _is_too_large(workspace: Path) -> bool:
    total = 0
    for count, (folder, _, files) in enumerate(os.walk(workspace)):
        if count + len(files) > MOST_FILES:
            return True
        for file in files:
            try:
                total += os.lstat(os.path.join(folder, file)).st_size
            except OSError:
                continue
    return total > MOST_BYTES


def _end(child: "subprocess.Popen[bytes]", mark: str) -> None:
    """Kill the group, and whatever carries the mark, until nothing is left."""
    for _ in range(50):
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
        child.wait()
        if not _kill_marked(mark):
            return


def _kill_marked(mark: str) -> int:
    killed = 0
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                process.kill()
                killed += process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, OSError):
            continue
    return killed


def _processor_seconds() -> float:
    """Return the processor time of all children that ended; 0 where it is not told."""
    times = os.times()
    return times.children_user + times.children_system
