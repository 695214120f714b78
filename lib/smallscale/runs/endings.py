"""How does a kernel end, with all that it started?

An ordinary kernel calls `end_with_parent` as it starts; for one that is forked, the
keeper does the same from outside (`warm.py`). Both end what a notebook left behind,
also what has a session of its own, or has lost its parent.
"""

import atexit
import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any

NEEDED = ("execute_reply", "status")  # messages without which a client waits
SPEECHLESS = 113  # the exit code of a kernel that cannot send these
STOP_SECONDS = 5.0  # that a process is given to stop, which the system can put off
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def end_with_parent() -> None:
    """Tie an ordinary kernel to the command that started it (POSIX).

    When the kernel ends, everything it started ends with it; when the command is gone,
    the kernel ends too.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        end_all()

    threading.Thread(target=watch, daemon=True, name="lifeline").start()
    adopt_orphans()
    atexit.register(kill_descendants)


def end_when_speechless() -> None:
    """End this kernel where it cannot answer, as after `json.dumps = None`.

    It would log that and go on, while whoever asked waits for an answer.
    """
    from IPython import get_ipython

    session = get_ipython().kernel.session
    send, end = session.send, os._exit  # kept: a cell may break what modules hold

    def send_or_end(stream: Any, message: Any, *rest: Any, **options: Any) -> Any:
        try:
            return send(stream, message, *rest, **options)
        except Exception:
            if message not in NEEDED:
                raise
            with suppress(Exception):
                kill_descendants()
            end(SPEECHLESS)

    session.send = send_or_end


def end_all() -> None:
    """End this process, its group and its descendants."""
    kill_descendants()
    os.killpg(0, signal.SIGKILL)


def kill_descendants(pid: int | None = None) -> None:
    """Kill every process below the one with this id, or below this one.

    All of them are stopped before any is killed: one that runs on could start another
    while they are looked for, and the child of one that was killed is below nobody
    here. A process stops when it has done what it was asking of the system, which may
    be to start another: so the last look comes when all that are known stand still.
    """
    import psutil

    below: set[psutil.Process] = set()
    still: set[psutil.Process] = set()
    until = time.monotonic() + STOP_SECONDS
    with suppress(psutil.Error):
        top = psutil.Process(pid)
        while moving := set(top.children(recursive=True)) - still:
            below |= moving
            still |= {process for process in moving if _stopped(process)}
            if time.monotonic() > until:
                break
    for process in below:
        with suppress(psutil.Error):
            process.kill()


def _stopped(process: Any) -> bool:
    """Stop a process; tell whether it stands still by now, or cannot be stopped."""
    import psutil

    try:
        process.suspend()
        return process.status() in (
            psutil.STATUS_STOPPED,
            psutil.STATUS_TRACING_STOP,
            psutil.STATUS_ZOMBIE,
        )
    except psutil.Error:
        return True


def adopt_orphans() -> None:
    """Let what loses its parent below this process become a child of it (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
