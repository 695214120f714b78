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
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from smallscale.runs import Refused

Record = dict[str, Any]
FIRST = ("run", "notebook", "status", "claims", "seconds", "peak_mb")


class Results:
    """The results folder, read once and kept up to date as runs finish."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: dict[str, Record] = {}
        for path in sorted(folder.glob("runs/*/run.json")):
            try:
                record = json.loads(path.read_text(encoding="utf-8"))
                self.records[record["run"]] = record
            except (ValueError, KeyError, TypeError, OSError):
                continue  # not ours, or damaged: it will be run again
        self._refreshed = 0.0

    def prepare(self) -> None:
        """Make the folder ready for new runs. Raises Refused where it cannot be written."""
        try:
            (self.folder / "runs").mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder), tempfile.TemporaryFile(dir=self.folder / "runs"):
                pass
        except OSError as error:
            why = error.strerror or str(error)
            raise Refused(f"--out {self.folder} cannot be written: {why}; choose another folder") from None
        self._sweep_up()

    def completed(self, run: str) -> Record | None:
        """The record of this run if it was completed."""
        record = self.records.get(run)
        return record if record and record["status"] == "completed" else None

    def add(self, record: Record) -> None:
        """A run is over: log it, and renew the table and the gallery (at most every two seconds)."""
        self.records[record["run"]] = record
        with (
            FileLock(self.folder / "runs.jsonl.lock"),
            (self.folder / "runs.jsonl").open("a", encoding="utf-8") as log,
        ):
            log.write(json.dumps(record) + "\n")
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
        if not all((self.folder / name).exists() for name in ("runs.csv", "index.html")):
            self.refresh()

    def current(self) -> list[Record]:
        """The newest record of each notebook with each set of parameters, oldest first.

        What an earlier version of the code did stays in its folder and in the log.
        """
        newest: dict[str, Record] = {}
        for record in sorted(self.records.values(), key=lambda record: record["finished"]):
            key = json.dumps([record["notebook"], record["parameters"]], sort_keys=True)
            newest.pop(key, None)
            newest[key] = record
        return list(newest.values())

    def _sweep_up(self) -> None:
        """Remove what killed commands on this machine left half-written."""
        for path in self.folder.glob(f"runs/.partial-{socket.gethostname()}-*"):
            pid = path.name.removeprefix(f".partial-{socket.gethostname()}-").split("-")[0]
            if pid.isdigit() and not psutil.pid_exists(int(pid)):
                shutil.rmtree(path, ignore_errors=True)


def claims_held(record: Record) -> tuple[int, int]:
    """How many judged claims held, and how many were judged."""
    judged = [claim for claim in record["claims"] if claim["judged"]]
    return sum(claim["holds"] for claim in judged), len(judged)


def passed(record: Record) -> bool:
    """It ran, and every judged claim held."""
    held, judged = claims_held(record)
    return bool(record["status"] == "completed" and held == judged)


def columns(records: Iterable[Record]) -> list[tuple[str, str, str]]:
    """The columns after the first: (heading, "parameters" or "metrics", name), in order of appearance."""
    names = {kind: list(dict.fromkeys(n for r in records for n in r[kind])) for kind in ("parameters", "metrics")}
    taken = {*FIRST, *names["parameters"]}
    return [(name, "parameters", name) for name in names["parameters"]] + [
        (f"metric_{name}" if name in taken else name, "metrics", name) for name in names["metrics"]
    ]


def row(record: Record) -> list[Any]:
    """The first columns' values of one record."""
    held, judged = claims_held(record)
    claims = f"{held} of {judged}" if judged else ""
    return [record["run"], record["notebook"], record["status"], claims, record["seconds"], record["peak_mb"]]


def table(records: list[Record]) -> str:
    """runs.csv as text: a row a run, first columns as in FIRST, then parameters, then metrics."""
    rest = columns(records)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*FIRST, *(heading for heading, _, _ in rest)])
    for record in records:
        writer.writerow([*row(record), *(record[kind].get(name) for _, kind, name in rest)])
    return text.getvalue()


def replace(path: Path, text: str) -> None:
    """Write a file whole, by rename."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
