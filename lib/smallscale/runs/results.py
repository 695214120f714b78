"""What came of the runs? The results folder: runs, the log, the table, the gallery.

`runs/<run>/run.json` is the truth. `runs.jsonl` is the log that each run is appended
to; `runs.csv` and `index.html` are made from the records and replaced whole.
"""

import csv
import io
import json
import os
import shutil
import socket
import tempfile
import time
from operator import attrgetter
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from smallscale.runs import refusing
from smallscale.runs.record import DamagedRecord, RunRecord, claims_held

FIRST_COLUMNS = ("run", "notebook", "status", "claims", "seconds", "peak_mb")
REFRESH_SECONDS = 2.0  # the table and the gallery are made at most this often


def partial_prefix() -> str:
    """Return how the names of this machine's unfinished run folders begin."""
    return f".partial-{socket.gethostname()}-"


class Results:
    """The results folder, read once and kept up to date as runs finish.

    `damaged` holds the run.json files that could not be read, with the reason. Their
    runs count as not done.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: dict[str, RunRecord] = {}
        self.damaged: dict[Path, str] = {}
        for path in sorted(folder.glob("runs/*/run.json")):
            self._read(path)
        self._refreshed = 0.0

    def _read(self, path: Path) -> None:
        try:
            record = RunRecord.from_json(path.read_text(encoding="utf-8"))
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
        self._sweep_up()

    def _sweep_up(self) -> None:
        """Remove the unfinished runs of commands on this machine that were killed."""
        prefix = partial_prefix()
        for path in self.folder.glob(f"runs/{prefix}*"):
            pid = path.name.removeprefix(prefix).split("-")[0]
            if pid.isdigit() and not psutil.pid_exists(int(pid)):
                shutil.rmtree(path, ignore_errors=True)

    def add(self, record: RunRecord) -> None:
        """Log a run that is over; renew the table and the gallery when it is time."""
        self.records[record.run] = record
        log = self.folder / "runs.jsonl"
        with FileLock(f"{log}.lock"), log.open("a", encoding="utf-8") as stream:
            stream.write(record.to_json() + "\n")
        if time.monotonic() - self._refreshed > REFRESH_SECONDS:
            self.refresh()

    def refresh(self) -> None:
        """Write runs.csv and index.html anew."""
        # Imported here: what makes pages takes a while to import.
        from smallscale.runs.gallery import gallery

        records = self.current()
        _replace(self.folder / "runs.csv", table(records))
        _replace(self.folder / "index.html", gallery(records))
        self._refreshed = time.monotonic()

    def ensure_outputs(self) -> None:
        """Make the table and the gallery if someone has removed them."""
        outputs = (self.folder / "runs.csv", self.folder / "index.html")
        if not all(path.exists() for path in outputs):
            self.refresh()

    def current(self) -> list[RunRecord]:
        """Return the newest record of each notebook and parameters, oldest first.

        What an earlier version of the code did stays in its folder and in the log.
        """
        newest: dict[str, RunRecord] = {}
        for record in sorted(self.records.values(), key=attrgetter("finished")):
            asked = json.dumps([record.notebook, record.parameters], sort_keys=True)
            newest[asked] = record
        return sorted(newest.values(), key=attrgetter("finished"))


def rows(records: list[RunRecord]) -> list[list[Any]]:
    """Return the table of runs: a row of headings, then a row for each run.

    The columns are FIRST_COLUMNS, then the parameters, then the metrics of all runs. A
    metric whose name is taken is called `metric_<name>`.
    """
    parameters = list(
        dict.fromkeys(name for record in records for name in record.parameters)
    )
    metrics = list(dict.fromkeys(name for record in records for name in record.metrics))
    taken = {*FIRST_COLUMNS, *parameters}
    headings = [
        *FIRST_COLUMNS,
        *parameters,
        *(f"metric_{name}" if name in taken else name for name in metrics),
    ]
    return [headings, *(_row(record, parameters, metrics) for record in records)]


def _row(record: RunRecord, parameters: list[str], metrics: list[str]) -> list[Any]:
    held, judged = claims_held(record)
    return [
        record.run,
        record.notebook,
        record.status,
        f"{held} of {judged}" if judged else "",
        record.seconds,
        record.peak_mb,
        *(record.parameters.get(name) for name in parameters),
        *(record.metrics.get(name) for name in metrics),
    ]


def table(records: list[RunRecord]) -> str:
    """Return runs.csv as text."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows(records))
    return text.getvalue()


def _replace(path: Path, text: str) -> None:
    """Write a file whole: under another name first, then renamed."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
