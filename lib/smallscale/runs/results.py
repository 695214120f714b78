"""What came of the runs? The results folder: runs, the log, the table, the gallery.

`runs/<run>/run.json` is the truth, and several commands may add to it at a time.
`runs.jsonl` is the log that each run is appended to; `runs.csv`, its
dictionary `columns.csv` and `index.html` are made from the records and replaced whole.
"""

import json
import os
import re
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from smallscale.runs import refusing
from smallscale.runs.record import DamagedRecord, RunRecord
from smallscale.runs.table import dictionary, table
from smallscale.runs.under_way import is_taken, sweep_up

OUTPUTS = (
    "runs.csv",
    "columns.csv",
    "runs.jsonl",
    "index.html",
)  # made from the records
# The half of an output, or of LAST_ASKED, that `_replace` is writing.
HALF = re.compile(r"\.(?:runs\.csv|columns\.csv|index\.html|\.last-asked)\.\d+-\d+")
ASKED = "asked"  # the file in a run's folder that tells when it was last asked for
ALIVE = "alive"  # the lock, in an unfinished run's folder, of the command that runs it
LAST_ASKED = ".last-asked"  # the file, beside them, that tells when any was
FAILED = "-failed"  # ends the folder's name of a failed attempt at a run that is done
REFRESH_SECONDS = 2.0  # the table and the gallery are made at most this often
PAUSES = 20  # times what making them took, at least, until they are made again


def partial_prefix() -> str:
    """Return how the names of this machine's unfinished run folders begin."""
    return f".partial-{socket.gethostname()}-"


def results_lock(folder: Path) -> FileLock:
    """Return the lock of those who change what lies in a results folder."""
    return FileLock(folder / "runs.jsonl.lock")


@contextmanager
def partial_folder(runs: Path) -> Iterator[Path]:
    """Yield a folder, among the runs, for one that is under way; remove it afterwards.

    A lock in it is held all the while. The system lets go of the lock when this process
    ends, however it ends, and the next command sweeps up what lies there unlocked.
    """
    prefix = f"{partial_prefix()}{os.getpid()}-"
    with results_lock(runs.parent):  # whoever sweeps holds it, and so sees both or none
        scratch = tempfile.TemporaryDirectory(
            prefix=prefix, dir=runs, ignore_cleanup_errors=True
        )
        alive = FileLock(Path(scratch.name) / ALIVE)
        alive.acquire()
    with scratch:
        try:
            yield Path(scratch.name)
        finally:
            # While it is locked: a sweep would put a run that was replaced back.
            for inside in Path(scratch.name).glob("*"):
                if inside.name != ALIVE:
                    shutil.rmtree(inside, ignore_errors=True)
            alive.release()


def failed_folder(folder: Path) -> Path:
    """Return where a failed attempt lies, whose earlier completed run is kept."""
    return folder.with_name(f"{folder.name}{FAILED}")


def sizes(folder: Path) -> dict[str, int]:
    """Return the size of each file in a run's folder, by its path in it."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("run.json", ASKED)
    }


def read_record(folder: Path) -> RunRecord:
    """Return the record of the run that a folder holds.

    Raises DamagedRecord, UnicodeDecodeError or OSError where it holds none, that of
    another run, or not all that the record names.
    """
    text = (folder / "run.json").read_text(encoding="utf-8")
    record = RunRecord.from_json(text)
    if record.run != folder.name:
        raise DamagedRecord(f"it is the record of another run, {record.run}")
    for name, size in record.sizes.items():
        try:
            found = os.stat(folder / name).st_size
        except OSError:
            raise DamagedRecord(f"{name} beside it is gone") from None
        if found != size:
            raise DamagedRecord(f"{name} beside it has been changed")
    return record


def kept(folder: Path) -> RunRecord | None:
    """Return the record that lies in a run's folder, if that is sound."""
    try:
        return read_record(folder)
    except (OSError, ValueError):
        return None


class Results:
    """The results folder, kept up to date as runs finish, here or in another command.

    `records` holds the record of each run that lies in it, by the run's name. `damaged`
    holds the run.json files that could not be read, with the reason. Their runs count
    as not done.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: dict[str, RunRecord] = {}
        self.damaged: dict[Path, str] = {}
        self._asked: dict[str, str] = {}  # when each run was last asked for
        self._seen: dict[Path, tuple[int, int, int]] = {}
        self._unkept: dict[str, RunRecord] = {}  # of runs that lie in no folder
        self._refreshed = 0.0
        self._refresh_took = 0.0  # seconds
        self.reread()

    def reread(self) -> None:
        """Read what has changed in the folder since it was last read."""
        there = {}
        for path in sorted(self.folder.glob("runs/*/run.json")):
            if not path.parent.name.endswith(FAILED):
                there[path] = _state(path)
        for path in self._seen.keys() - there.keys():
            self._forget(path)
        for path, state in there.items():
            if self._seen.get(path) != state:
                self._forget(path)
                self._read(path)
            asked = _read_text(path.with_name(ASKED))
            self._asked[path.parent.name] = asked
        self._seen = there
        self._unkept = {
            run: record
            for run, record in self._unkept.items()
            if run not in self.records
        }

    def _forget(self, path: Path) -> None:
        self.damaged.pop(path, None)
        self.records.pop(path.parent.name, None)

    def _read(self, path: Path) -> None:
        try:
            record = read_record(path.parent)
        except (DamagedRecord, UnicodeDecodeError, OSError) as error:
            self.damaged[path] = str(error)
        else:
            self.records[record.run] = record

    def prepare(self) -> None:
        """Make the folder ready for new runs. Refused where it cannot be written."""
        with refusing(
            f"--out {self.folder} cannot be written (choose another folder): ", OSError
        ):
            (self.folder / "runs").mkdir(parents=True, exist_ok=True)
            for folder in (self.folder, self.folder / "runs"):
                tempfile.TemporaryFile(dir=folder).close()
        with refusing(f"--out {self.folder} cannot be written: ", OSError):
            self.clear_up()

    def clear_up(self) -> None:
        """Remove what killed commands left, and log what they had kept unlogged.

        Asked before a command's first run and after its last, since another may have
        been killed in between. Raises OSError where the folder cannot be written.
        """
        self._sweep_up()
        sweep_up(self.folder)
        self.reread()
        self._complete_log()

    def _sweep_up(self) -> None:
        """Remove what commands that were killed left half written.

        Of unfinished runs, only those of this machine. Whoever writes the outputs holds
        the lock, so a half of one is nobody's now.
        """
        with results_lock(self.folder):
            for path in self.folder.glob(".*"):
                if HALF.fullmatch(path.name):
                    path.unlink(missing_ok=True)
            for path in self.folder.glob("runs/.partial-*"):
                if _is_left_over(path):
                    for old in path.glob("old-*"):  # killed amid a replacement
                        with suppress(OSError):
                            old.rename(path.with_name(old.name.removeprefix("old-")))
                    shutil.rmtree(path, ignore_errors=True)

    def _complete_log(self) -> None:
        """Log the runs that lie in the folder, and whose commands died before that.

        Those that a command does just now are left to it.
        """
        log = self.folder / "runs.jsonl"
        with results_lock(self.folder):
            logged = _logged(log)
            for record in sorted(self.records.values(), key=self._when):
                known = (record.run, record.finished) in logged
                if not known and not is_taken(self.folder, record.run):
                    _append_line(log, record.to_json())

    def add(self, record: RunRecord) -> None:
        """Log a run that is over; renew the table and the gallery when it is time."""
        self._unkept[record.run] = record
        with results_lock(self.folder):
            _append_line(self.folder / "runs.jsonl", record.to_json())
        # The more runs there are, the longer it takes, and the less often it is done.
        pause = max(REFRESH_SECONDS, PAUSES * self._refresh_took)
        if time.monotonic() - self._refreshed > pause:
            self.refresh()

    def recall(self, records: Iterable[RunRecord]) -> None:
        """Let these runs, completed before and asked for again, have their rows.

        After code is reverted, the rows show what it did, not what the other version
        did in between.
        """
        shown = {record.run for record in self.current()}
        hidden = [record for record in records if record.run not in shown]
        if not hidden:
            return
        with results_lock(self.folder):
            for record in hidden:
                mark_asked(self.folder / "runs" / record.run, self.folder)
        self.refresh()

    def refresh(self) -> None:
        """Write runs.csv and index.html anew, with the runs of every command.

        Under the lock, so that whoever writes last has read what all have kept.
        """
        # Imported here: what makes pages takes a while to import.
        from smallscale.runs.gallery import gallery

        begin = time.monotonic()
        with results_lock(self.folder):
            self.reread()
            records = self.current()
            _replace(self.folder / "runs.csv", table(records))
            _replace(self.folder / "columns.csv", dictionary(records))
            _replace(self.folder / "index.html", gallery(records))
        self._refreshed = time.monotonic()
        self._refresh_took = self._refreshed - begin

    def ensure_outputs(self) -> None:
        """Make the table and the gallery if someone has removed them."""
        outputs = (self.folder / "runs.csv", self.folder / "index.html")
        if not all(path.exists() for path in outputs):
            self.refresh()

    def current(self) -> list[RunRecord]:
        """Return the record asked for last of each notebook and parameters.

        The oldest comes first. What another version of the code did stays in its folder
        and in the log.
        """
        records = {**self._unkept, **self.records}
        newest: dict[str, RunRecord] = {}
        for record in sorted(records.values(), key=self._when):
            asked = [record.notebook, record.place, record.parameters]
            newest[json.dumps(asked, sort_keys=True)] = record
        return sorted(newest.values(), key=self._when)

    def _when(self, record: RunRecord) -> tuple[str, str]:
        """Return when a run was last asked for; texts in ISO 8601 sort by time."""
        return self._asked.get(record.run) or record.finished, record.run


def mark_asked(folder: Path, results: Path) -> None:
    """Note in a run's folder that it was asked for now, after all others.

    Should the clock have been set back, time goes on from the last that was asked for.
    Whoever calls this holds the lock of the results.
    """
    now = datetime.now(UTC)
    with suppress(ValueError, OverflowError):
        last = datetime.fromisoformat(_read_text(results / LAST_ASKED))
        now = max(now, last + timedelta(microseconds=1))
    text = now.isoformat(timespec="microseconds")
    _replace(folder / ASKED, text)
    _replace(results / LAST_ASKED, text)


def _is_left_over(path: Path) -> bool:
    """Tell whether no command of this machine works in an unfinished run's folder.

    Process ids are not enough: another container may share the folder and this
    machine's name, and any process may have been given a dead one's id. A folder whose
    removal was broken off has no lock any more; its process decides.
    """
    prefix = partial_prefix()
    pid, dash, _ = path.name.removeprefix(prefix).partition("-")
    if not path.name.startswith(prefix) or not dash or not pid.isdigit():
        return False  # another machine's
    if not (path / ALIVE).exists():
        return not psutil.pid_exists(int(pid))
    try:
        with FileLock(path / ALIVE, timeout=0):
            return True
    except (Timeout, OSError):
        return False


def _state(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file is replaced; zeros where there is none now."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0, 0
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _logged(path: Path) -> set[tuple[str, str]]:
    """Return each run that a log holds, with the time at which it finished."""
    found = set()
    with suppress(FileNotFoundError), path.open(encoding="utf-8") as lines:
        for line in lines:
            with suppress(ValueError, LookupError, TypeError):
                entry = json.loads(line)
                found.add((str(entry["run"]), str(entry["finished"])))
    return found


def _append_line(path: Path, line: str) -> None:
    """Append a line to a log, whose last line a killed command may have left open."""
    with path.open("ab+") as stream:
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                stream.write(b"\n")
        stream.write(f"{line}\n".encode())


def _replace(path: Path, text: str) -> None:
    """Write a file whole: under another name first, then renamed.

    The text is written as it is; what UTF-8 cannot hold becomes a question mark.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        part.write_bytes(text.encode("utf-8", errors="replace"))
        part.replace(path)
    except OSError:  # on a full disk, the half of it takes room
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
