"""A sweep on a real Dask cluster: a scheduler and workers as processes on loopback."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer

import psutil
import pytest

pytest.importorskip("distributed", reason="Dask, for clusters, is not installed")

from smallscale.runs.progress import ProgressReporter
from smallscale.runs.remote import cluster_pool
from smallscale.runs.sweep import SchedulerLost
from tests.conftest import command, environment

Write = Callable[..., Path]
CELLS = (
    "import os, time, helper\nfrom smallscale.notebook import Claims",
    "time.sleep(eps)",
    "mine = os.environ['SMALLSCALE_RUN_FOLDER']",
    "open(f'{mine}/pid.txt', 'w').write(str(os.getpid()))",
    "Claims().add('It adds', measured=helper.twice(seed), holds=True)"
    ".metric('twice', helper.twice(seed)).show()",
)


class Cluster:
    """A scheduler and workers, each a process of its own, with a mark of this test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = environment(SMALLSCALE_TEST=f"cluster {folder}")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", self.address.split(":")[-1]
        )
        self.workers = [self.add_worker() for _ in range(2)]

    def add_worker(self, **changed: str) -> "subprocess.Popen[bytes]":
        words = (self.address, "--nthreads", "1", "--memory-limit", "0")
        return self._start("worker", *words, **changed)

    def _start(self, *words: str, **changed: str) -> "subprocess.Popen[bytes]":
        place = self.folder / f"{words[0]}-{time.monotonic_ns()}"
        place.mkdir()
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *words, "--no-dashboard"],
            cwd=place,  # not the notebooks' folder: nothing is to be found by chance
            env={**self.environment, **changed},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def processes(self) -> list[psutil.Process]:
        """All that carry the mark, zombies aside."""
        found = []
        for process in psutil.process_iter():
            try:
                mark = process.environ().get("SMALLSCALE_TEST")
                alive = process.status() != psutil.STATUS_ZOMBIE
            except psutil.Error:
                continue
            if alive and mark == self.environment["SMALLSCALE_TEST"]:
                found.append(process)
        return found

    def end(self) -> None:
        for process in self.processes():
            process.kill()
        for started in (self.scheduler, *self.workers):
            started.wait(10)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    started = Cluster(tmp_path)
    yield started
    started.end()


@pytest.fixture
def notebook(write: Write) -> Path:
    path = write("theme/nb", *CELLS)
    (path.parent / "helper.py").write_text("def twice(x):\n    return 2 * x\n")
    return path


def sweep(folder: Path, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command("run", "theme/nb", "--scale", "tiny", *words),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "results" / "runs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def until(condition: Callable[[], object], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


def done(folder: Path) -> int:
    return len(list(folder.glob("results/runs/nb-*/run.json")))


def test_a_sweep_on_two_workers_brings_back_every_folder(
    cluster: Cluster, notebook: Path, tmp_path: Path
) -> None:
    words = ("--seeds", "5", "-p", "eps=0.2", "--scheduler", cluster.address)
    code, _, err = finished(sweep(tmp_path, *words))
    assert code == 0, err
    rows = table(tmp_path)
    assert sorted((row["seed"], row["twice"]) for row in rows) == [
        (str(seed), str(2 * seed)) for seed in range(5)
    ]
    folders = [tmp_path / "results" / "runs" / row["run"] for row in rows]
    pids = {(folder / "files" / "pid.txt").read_text() for folder in folders}
    assert len(pids) == 5  # a kernel of its own for each
    for folder in folders:
        record = json.loads((folder / "run.json").read_text())
        assert record["place"] == "../notebooks/theme"  # as seen from the results
        assert record["kernel"] == ("warm" if sys.platform == "linux" else "cold")
        assert (folder / "notebook.ipynb").is_file()
        assert (folder / "notebook.html").is_file()
    # What was done there is done here too, with or without the cluster.
    assert "nothing to do: 5 runs" in finished(sweep(tmp_path, *words))[1]
    assert "nothing to do: 5 runs" in finished(sweep(tmp_path, *words[:4]))[1]
    # An edited helper makes new runs.
    (notebook.parent / "helper.py").write_text("def twice(x):\n    return x + x + 1\n")
    assert finished(sweep(tmp_path, *words))[0] == 0
    assert {row["twice"] for row in table(tmp_path)} == {"1", "3", "5", "7", "9"}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_worker_costs_nothing_but_its_run_is_done_again(
    cluster: Cluster, notebook: Path, tmp_path: Path
) -> None:
    words = ("--seeds", "6", "-p", "eps=0.8", "--scheduler", cluster.address)
    process = sweep(tmp_path, *words)
    until(lambda: done(tmp_path) >= 1)
    first = cluster.workers[0]  # its nanny, and with it the worker
    for each in [*psutil.Process(first.pid).children(recursive=True)]:
        each.kill()
    first.kill()
    code, _, err = finished(process)
    assert code == 0, err
    assert sorted(row["seed"] for row in table(tmp_path)) == list("012345")
    assert done(tmp_path) == 6


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_command_that_ends_leaves_no_kernel_on_the_workers(
    cluster: Cluster, notebook: Path, tmp_path: Path, number: int
) -> None:
    words = ("--seeds", "3", "-p", "eps=1,0", "--scheduler", cluster.address)
    process = sweep(tmp_path, *words, "--cold")
    until(lambda: done(tmp_path) >= 1)
    process.send_signal(number)
    code, _, err = finished(process)
    if number == signal.SIGINT:
        assert code == 130
        assert "runs are kept in results" in err
    until(
        lambda: (
            not [
                process
                for process in cluster.processes()
                if "ipykernel" in " ".join(process.cmdline())
            ]
        ),
        30,
    )
    kept = done(tmp_path)
    code, out, err = finished(sweep(tmp_path, *words))
    assert code == 0, err
    assert f"{6 - kept} run" in out.splitlines()[0]  # what was done is not repeated
    assert len(table(tmp_path)) == 6


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_lost_scheduler_is_a_line_and_what_was_done_is_kept(
    cluster: Cluster, notebook: Path, tmp_path: Path
) -> None:
    words = ("--seeds", "4", "-p", "eps=1", "--scheduler", cluster.address)
    process = sweep(tmp_path, *words)
    until(lambda: done(tmp_path) >= 1)
    os.kill(cluster.scheduler.pid, signal.SIGKILL)
    code, _, err = finished(process)
    assert code == 1
    assert err.count("\n") == 1
    assert f"the scheduler at {cluster.address} is gone" in err
    kept = done(tmp_path)
    assert 1 <= kept < 4
    code, out, _ = finished(sweep(tmp_path, *words[:4]))  # here, without the cluster
    assert code == 0
    assert f"{4 - kept} run" in out.splitlines()[0]
    assert len(table(tmp_path)) == 4


def test_a_scheduler_lost_while_it_is_asked_for_room_is_named(
    cluster: Cluster,
) -> None:
    """Its death breaks the connection in the middle of a question, mostly."""
    with cluster_pool(cluster.address, None, ProgressReporter(1)) as pool:
        Timer(0.2, cluster.scheduler.kill).start()
        with pytest.raises(SchedulerLost, match=f"at {cluster.address} is gone"):
            list(iter(pool.room, 0))  # again and again


def test_what_a_worker_lacks_fails_the_run_in_words(
    cluster: Cluster, notebook: Path, tmp_path: Path
) -> None:
    """The only worker left has another library: one file of it differs."""
    import smallscale

    cluster.end()
    copied = tmp_path / "other" / "smallscale"
    source = Path(smallscale.__path__[0])
    for file in source.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            target = copied / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    changed = copied / "notebook" / "claims.py"
    changed.write_text(changed.read_text() + "\nSOMETHING_ELSE = 1\n")
    other = Cluster.__new__(Cluster)
    other.__dict__.update(cluster.__dict__)
    other.scheduler = other._start(
        "scheduler", "--host", "127.0.0.1", "--port", other.address.split(":")[-1]
    )
    other.workers = [other.add_worker(PYTHONPATH=str(copied.parent))]
    try:
        code, out, _ = finished(sweep(tmp_path, "--scheduler", other.address))
    finally:
        other.end()
    assert code == 1
    assert "another version of smallscale: notebook/claims.py differs" in out
    assert done(tmp_path) == 0


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("tcp://127.0.0.1:9", "no Dask scheduler answers there"),
        ("nowhere", "is no address; write it as tcp://host:8786"),
        ("ftp://x:1", "is no address; write it as tcp://host:8786"),
    ],
)
def test_no_scheduler_is_one_line_and_exit_code_2(
    notebook: Path, tmp_path: Path, address: str, line: str
) -> None:
    code, _, err = finished(sweep(tmp_path, "--scheduler", address))
    assert code == 2
    assert f"--scheduler {address}" in err
    assert line in err
    assert err.count("\n") == 1


def test_a_module_that_cannot_travel_is_refused(
    cluster: Cluster, write: Write, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "faraway.py").write_text("x = 1\n")
    write("theme/nb", "import faraway")
    process = subprocess.Popen(
        command("run", "theme/nb", "--scheduler", cluster.address),
        cwd=tmp_path,
        env=environment(PYTHONPATH=os.pathsep.join([str(elsewhere), *sys.path[:0]])),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    code, _, err = finished(process)
    assert code == 2
    assert "faraway.py, which does not lie beside the notebook" in err
