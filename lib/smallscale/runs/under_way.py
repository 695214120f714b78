"""What is being done in a results folder now, and by whom? Nothing is done twice.

While a command does its runs, the folder `.under-way` in its results holds a lock for
each run that it does, and a file that tells how the whole is coming along. The system
lets go of the locks when the command ends, however it ends.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from smallscale.runs.record import DamagedRecord, read_as

FOLDER = ".under-way"
BEAT_SECONDS = 1.0  # between two writings of a command's state
SILENT_SECONDS = 30.0  # after which a command of another machine is taken for dead


@dataclass(frozen=True)
class Running:
    """A run that a command does at the moment."""

    run: str
    notebook: str
    parameters: dict[str, str | int | float | bool]
    since: float  # in seconds since 1970
    share: float | None = None  # of its cells that are done; None: on a worker


@dataclass(frozen=True)
class State:
    """How one command's sweep is coming along."""

    host: str
    pid: int
    started: float  # in seconds since 1970
    total: int  # runs that it has to do
    done: int  # of these, over
    failed: int  # of these, not completed
    before: int  # runs that were completed before it started
    left_seconds: float | None = None  # None: as yet nobody can tell
    running: list[Running] = field(default_factory=list)


class UnderWay:
    """This command's part of what is under way: its locks, and its state.

    What cannot be written or locked is passed over: a run that two commands do at a
    time is done twice, and kept once.
    """

    def __init__(self, results: Path, state: Callable[[], State]) -> None:
        self.folder = results / FOLDER
        self._state = state
        self._locks: dict[str, FileLock] = {}
        self._own = self.folder / f"sweep-{socket.gethostname()}-{os.getpid()}"
        self._beaten = 0.0

    def take(self, run: str) -> bool:
        """Take a run; tell whether it is free, and nobody else does it now."""
        path = self.folder / f"{run}.lock"
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        except (OSError, NotImplementedError, RuntimeError):
            return True  # a folder without locks
        self._locks[run] = lock
        return True

    def give_back(self, run: str) -> None:
        """Let go of a run that is over."""
        lock = self._locks.pop(run, None)
        if lock:
            with suppress(OSError):
                Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()

    def beat(self, *, now: bool = False) -> None:
        """Write the state of the sweep, at most once in BEAT_SECONDS unless now."""
        if not now and time.monotonic() - self._beaten < BEAT_SECONDS:
            return
        self._beaten = time.monotonic()
        target = self._own.with_suffix(".json")
        part = self._own.with_suffix(f".{threading.get_ident()}.part")
        try:
            part.write_text(json.dumps(asdict(self._state())), encoding="utf-8")
            part.replace(target)
        except OSError:  # a full disk: the half of it must not stay
            with suppress(OSError):
                part.unlink(missing_ok=True)


@contextmanager
def under_way(results: Path, state: Callable[[], State]) -> Iterator[UnderWay]:
    """Yield this command's part of what is under way, and take it away at the end."""
    mine = UnderWay(results, state)
    with suppress(OSError):
        mine.folder.mkdir(exist_ok=True)
    own = FileLock(mine._own.with_suffix(".lock"))
    with suppress(OSError, NotImplementedError, RuntimeError):
        own.acquire()
    mine.beat(now=True)
    try:
        yield mine
    finally:
        for run in list(mine._locks):
            mine.give_back(run)
        for ending in (".json", ".lock"):
            with suppress(OSError):
                mine._own.with_suffix(ending).unlink(missing_ok=True)
        own.release()
        with suppress(OSError):
            mine.folder.rmdir()  # unless another command is at work


def sweep_up(results: Path) -> None:
    """Remove what commands left that were killed."""
    for path in (results / FOLDER).glob("*.lock"):
        if is_free(path):
            for left in (path, path.with_suffix(".json")):
                with suppress(OSError):
                    left.unlink(missing_ok=True)
    for part in (results / FOLDER).glob("*.part"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > SILENT_SECONDS:
                part.unlink(missing_ok=True)


def is_taken(results: Path, run: str) -> bool:
    """Tell whether a command does this run now; ask after `sweep_up`."""
    return (results / FOLDER / f"{run}.lock").exists()


def is_free(path: Path) -> bool:
    """Tell whether nobody holds the lock of this file."""
    try:
        with FileLock(path, timeout=0):
            return True
    except (Timeout, OSError, NotImplementedError, RuntimeError):
        return False


def states(results: Path) -> list[State]:
    """Return the state of every sweep that is going on in the folder, the oldest first.

    A command of this machine that was killed holds its lock no more; of one on another
    machine only its silence tells.
    """
    found = []
    for path in sorted((results / FOLDER).glob("sweep-*.json")):
        try:
            content: Any = json.loads(path.read_text(encoding="utf-8"))
            state = read_as(State, content, "the state")
            age = time.time() - path.stat().st_mtime
        except (OSError, ValueError, DamagedRecord):
            continue  # it has ended in this moment
        here = state.host == socket.gethostname()
        lock = path.with_suffix(".lock")
        dead = (here and lock.exists() and is_free(lock)) or age > SILENT_SECONDS
        if not dead:
            found.append(state)
    return sorted(found, key=lambda state: state.started)
