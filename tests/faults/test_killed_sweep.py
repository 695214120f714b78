"""The plug is pulled 25 times in one sweep of 40 runs: 40 correct rows, none twice."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.faults.battlefield import Cluster, Field, cells, kill_group, until

RUNS = 40
HERE = ("kernel", "command", "group") * 5
THERE = ("worker", "scheduler", "command", "worker", "scheduler") * 2
SWEEP = ("all", "--scale", "tiny", "--seeds", str(RUNS))

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kills by the dozen")


class Sweep:
    """The sweep of this test, started again whenever it has ended."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.random = random.Random(0)
        self.moments = 0
        self.process: subprocess.Popen[str] | None = None
        self.cluster: Cluster | None = None

    def ensure(self) -> "subprocess.Popen[str]":
        """Return the command, at work."""
        if self.process is None or self.process.poll() is not None:
            words = ["--workers", "2"]
            if self.cluster:
                words = ["--scheduler", self.cluster.address]
            self.process = self.field.start(*SWEEP, *words)
        return self.process

    def kill(self, what: str) -> None:
        """Kill something once another run or so has finished, or while it begins."""
        self.moments += 1
        wanted = min(RUNS - 2, self.moments * (RUNS - 2) // len(HERE + THERE))
        process = self.ensure()
        until(
            lambda: self.field.done() >= wanted or process.poll() is not None,
        )
        assert process.poll() is None, process.communicate()[0]
        time.sleep(self.random.uniform(0, 0.4))
        getattr(self, f"kill_{what}")(process)
        self.field.note_finished()

    def kill_kernel(self, process: "subprocess.Popen[str]") -> None:
        def young() -> list[int]:
            pids = [pid for _, pid in self.field.starts()[-3:]]
            return [pid for pid in pids if psutil.pid_exists(pid)]

        until(young)
        psutil.Process(young()[-1]).kill()

    def kill_command(self, process: "subprocess.Popen[str]") -> None:
        process.kill()
        process.communicate()
        if not self.cluster:
            self.field.none_is_left()

    def kill_group(self, process: "subprocess.Popen[str]") -> None:
        kill_group(process)
        process.communicate()
        self.field.none_is_left()

    def kill_worker(self, process: "subprocess.Popen[str]") -> None:
        assert self.cluster
        self.cluster.worker.kill()
        self.cluster.worker.wait()
        self.cluster.worker = self.cluster.add_worker()

    def kill_scheduler(self, process: "subprocess.Popen[str]") -> None:
        assert self.cluster
        self.cluster.scheduler.kill()
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "is gone; interrupted: " in out
        self.cluster.end()
        self.field.none_is_left()
        self.cluster.start()


def test_kill_9_at_25_moments_loses_nothing_and_repeats_nothing(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    pytest.importorskip("distributed", reason="Dask, for clusters, is not installed")
    write("theme/nb", *cells(0.01))
    field = Field(tmp_path)
    sweep = Sweep(field)
    try:
        for what in HERE:
            sweep.kill(what)
        assert sweep.process
        if sweep.process.poll() is None:
            kill_group(sweep.process)
            sweep.process.communicate()
        sweep.cluster = Cluster(field)
        for what in THERE:
            sweep.kill(what)
        out, _ = sweep.ensure().communicate(timeout=120)
        # A kernel that was killed has failed its run, which the next command does.
        out, _ = sweep.ensure().communicate(timeout=120)
        sweep.cluster.end()
        assert f"{RUNS} runs, 0 failed" in out
        assert sweep.moments == 25
        assert len(field.finished) >= RUNS - 5
        field.nothing_was_repeated()
        field.every_run_is_there_once(range(RUNS))
        field.none_is_left()
    finally:
        field.end()
