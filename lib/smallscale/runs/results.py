"""What came of it? The results folder: a folder a run, the log, the table, the gallery.

`runs/<run>/run.json` is the truth; `runs.jsonl` is appended to, `runs.csv` and `index.html` are made anew from
the records and replaced whole.
"""

import csv
import io
import json
import os
import shutil
import socket
import tempfile
import time
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from smallscale.runs import refusing

Record = dict[str, Any]
FIRST = ("run", "notebook", "status", "claims", "seconds", "peak_mb")


class Results:
    """The results folder, read once and kept up to date as runs finish."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: dict[str, Record] = {}
        for path in sorted(folder.glob("runs/*/run.json")):
            with suppress(
                ValueError, KeyError, TypeError, OSError
            ):  # not ours, or damaged: it will be run again
                record = json.loads(path.read_text(encoding="utf-8"))
                self.records[record["run"]] = record
        self._refreshed = 0.0

    def prepare(self) -> None:
        """Make the folder ready for new runs. Raises Refused where it cannot be written."""
        with refusing(
            f"--out {self.folder} cannot be written (choose another folder): ", OSError
        ):
            (self.folder / "runs").mkdir(parents=True, exist_ok=True)
            for folder in (self.folder, self.folder / "runs"):
                tempfile.TemporaryFile(dir=folder).close()
        mine = f".partial-{socket.gethostname()}-"
        for path in self.folder.glob(
            f"runs/{mine}*"
        ):  # what killed commands on this machine left half-written
            pid = path.name.removeprefix(mine).split("-")[0]
            if pid.isdigit() and not psutil.pid_exists(int(pid)):
                shutil.rmtree(path, ignore_errors=True)

    def add(self, record: Record) -> None:
        """A run is over: log it, and renew the table and the gallery (at most every two seconds)."""
        self.records[record["run"]] = record
        log = self.folder / "runs.jsonl"
        with FileLock(f"{log}.lock"), log.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
        if time.monotonic() - self._refreshed > 2:
            self.refresh()

    def refresh(self) -> None:
        """Write runs.csv and index.html anew."""
        from smallscale.runs import pages  # nbconvert takes a while to import

        records = self.current()
        replace(self.folder / "runs.csv", table(records))
        replace(self.folder / "index.html", pages.gallery(records))
        self._refreshed = time.monotonic()

    def keep_up(self) -> None:
        """Make the table and the gallery if someone has removed them."""
        if not all(
            (self.folder / name).exists() for name in ("runs.csv", "index.html")
        ):
            self.refresh()

    def current(self) -> list[Record]:
        """The newest record of each notebook with each set of parameters, oldest first.

        What an earlier version of the code did stays in its folder and in the log.
        """
        when = itemgetter("finished")
        newest = {
            json.dumps(
                [record["notebook"], record["parameters"]], sort_keys=True
            ): record
            for record in sorted(self.records.values(), key=when)
        }
        return sorted(newest.values(), key=when)


def claims_held(record: Record) -> tuple[int, int]:
    """How many judged claims held, and how many were judged."""
    judged = [claim for claim in record["claims"] if claim["judged"]]
    return sum(claim["holds"] for claim in judged), len(judged)


def passed(record: Record) -> bool:
    """It ran, and every judged claim held."""
    held, judged = claims_held(record)
    return bool(record["status"] == "completed" and held == judged)


def rows(records: list[Record]) -> list[list[Any]]:
    """The table of runs: its headings (FIRST, then parameters, then metrics), then a row a run."""
    parameters = list(
        dict.fromkeys(name for record in records for name in record["parameters"])
    )
    metrics = list(
        dict.fromkeys(name for record in records for name in record["metrics"])
    )
    taken = {*FIRST, *parameters}
    table: list[list[Any]] = [
        [*FIRST, *parameters, *(f"metric_{n}" if n in taken else n for n in metrics)]
    ]
    for record in records:
        held, judged = claims_held(record)
        first = record | {"claims": f"{held} of {judged}" if judged else ""}
        rest = [
            *map(record["parameters"].get, parameters),
            *map(record["metrics"].get, metrics),
        ]
        table.append([*map(first.get, FIRST), *rest])
    return table


def table(records: list[Record]) -> str:
    """runs.csv as text."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows(records))
    return text.getvalue()


def replace(path: Path, text: str) -> None:
    """Write a file whole, by rename."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
