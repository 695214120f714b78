"""What the fault tests share: a sweep whose runs tell of their start, and its end."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from tests.conftest import command, environment

# Each run tells that it has started, and by which process.
TELLS = """\
import os, time
from pathlib import Path
from smallscale.notebook.claims import CLAIMS
from IPython.display import display
with open(os.environ["LEDGER"], "a") as ledger:
    print(seed, os.getpid(), file=ledger, flush=True)"""
WORKS = """\
mine = Path(os.environ["SMALLSCALE_RUN_FOLDER"])
for number in range(20):
    with open(mine / "out.txt", "a") as file:
        print(seed, number, file=file)
    time.sleep(PAUSE)
display({CLAIMS: {"claims": [], "metrics": {"twice": 2 * seed}}}, raw=True)"""


def cells(pause: float) -> tuple[str, str]:
    """The cells of a notebook whose run takes twenty times this long."""
    return TELLS, WORKS.replace("PAUSE", f"{pause}")


class Field:
    """A folder with a sweep in it, whose processes all carry a mark."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = folder / "ledger.txt"
        self.ledger.touch()
        self.mark = f"field {folder}"
        self.environment = environment(
            SMALLSCALE_TEST=self.mark, LEDGER=str(self.ledger)
        )
        self.finished: dict[str, str] = {}  # when each finished run had started
        self.starts_then: dict[str, int] = {}  # and how often it had, by then

    def start(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command("run", *words),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def records(self) -> dict[str, dict[str, object]]:
        """What lies in the folder of each run."""
        return {
            path.parent.name: json.loads(path.read_text())
            for path in self.folder.glob("results/runs/nb-*/run.json")
        }

    def done(self) -> int:
        return sum(run["status"] == "completed" for run in self.records().values())

    def starts(self) -> list[tuple[str, int]]:
        """The seed and the process of each start of a run, in order."""
        lines = [line.split() for line in self.ledger.read_text().splitlines()]
        return [(seed, int(pid)) for seed, pid in lines]

    def note_finished(self) -> None:
        """Note what has finished by now: none of it may be done again.

        The starts are counted last, since a run may start and finish between two looks.
        """
        records = self.records()
        counts = Counter(seed for seed, _ in self.starts())
        for run, record in records.items():
            if record["status"] == "completed" and run not in self.finished:
                self.finished[run] = str(record["started"])
                seed = str(record["parameters"]["seed"])  # type: ignore[index]
                self.starts_then[seed] = counts[seed]

    def nothing_was_repeated(self) -> None:
        records = self.records()
        assert {run: records[run]["started"] for run in self.finished} == self.finished
        counts = Counter(seed for seed, _ in self.starts())
        assert {seed: counts[seed] for seed in self.starts_then} == self.starts_then

    def every_run_is_there_once(self, seeds: Iterable[int]) -> None:
        """Check the table, the log and each run's folder."""
        wanted = sorted(map(str, seeds))
        with (self.folder / "results" / "runs.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert sorted(row["seed"] for row in rows) == wanted
        assert all(float(row["twice"]) == 2 * int(row["seed"]) for row in rows)
        assert {row["status"] for row in rows} == {"completed"}
        runs = self.folder / "results" / "runs"
        assert sorted(path.name for path in runs.iterdir()) == sorted(
            row["run"] for row in rows
        )
        for row in rows:
            notebook = json.loads((runs / row["run"] / "notebook.ipynb").read_text())
            assert notebook["cells"][-1]["outputs"]
            out = (runs / row["run"] / "files" / "out.txt").read_text()
            assert out == "".join(f"{row['seed']} {n}\n" for n in range(20))
        log = (self.folder / "results" / "runs.jsonl").read_text().splitlines()
        logged = [json.loads(line) for line in log]
        done = [entry["run"] for entry in logged if entry["status"] == "completed"]
        assert sorted(done) == sorted(row["run"] for row in rows)
        left = {path.name for path in (self.folder / "results").iterdir()}
        assert left == {
            "runs",
            "runs.csv",
            "runs.jsonl",
            "runs.jsonl.lock",
            "columns.csv",
            ".last-asked",
            "index.html",
        }

    def alive(self) -> list[psutil.Process]:
        """The processes that carry the mark, zombies aside."""
        found = []
        for process in psutil.process_iter():
            try:
                mark = process.environ().get("SMALLSCALE_TEST")
                if mark == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def none_is_left(self) -> None:
        until(lambda: not self.alive(), 20)

    def end(self) -> None:
        for process in self.alive():
            process.kill()


class Cluster:
    """A scheduler and a worker, as processes of a field."""

    def __init__(self, field: Field) -> None:
        self.field = field
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = str(probe.getsockname()[1])
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self.scheduler = self._dask("scheduler", "--host", "127.0.0.1", "--port")
        self.worker = self.add_worker()

    def add_worker(self) -> "subprocess.Popen[bytes]":
        words = ("--nthreads", "2", "--memory-limit", "0", "--no-nanny")
        return self._dask("worker", *words)

    def _dask(self, kind: str, *words: str) -> "subprocess.Popen[bytes]":
        last = self.port if kind == "scheduler" else self.address
        place = self.field.folder / f"{kind}-{time.monotonic_ns()}"
        place.mkdir()
        return subprocess.Popen(
            [sys.executable, "-m", "dask", kind, "--no-dashboard", *words, last],
            cwd=place,
            env=self.field.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def end(self) -> None:
        for process in (self.scheduler, self.worker):
            process.kill()
            process.wait()


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def kill_group(process: "subprocess.Popen[str]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
