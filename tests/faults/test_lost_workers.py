"""A cluster's only worker dies just after a run of its came back."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.battlefield import Cluster, Field, cells, until

RUNS = 8
LOSSES = 2

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_what_came_back_is_not_asked_again_of_another_worker(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    pytest.importorskip("distributed", reason="Dask, for clusters, is not installed")
    write("theme/nb", *cells(0.05))
    field = Field(tmp_path)
    cluster = Cluster(field)
    try:
        words = ("--scale", "tiny", "--seeds", str(RUNS), "--scheduler")
        process = field.start("all", *words, cluster.address)
        for loss in range(LOSSES):
            until(lambda wanted=3 * loss + 1: field.done() >= wanted)
            time.sleep(0.5)
            cluster.worker.kill()
            cluster.worker.wait()
            field.note_finished()
            cluster.worker = cluster.add_worker()
        out, _ = process.communicate(timeout=120)
        assert f"{RUNS} runs, 0 failed" in out
        field.nothing_was_repeated()
        field.every_run_is_there_once(range(RUNS))
    finally:
        field.end()
