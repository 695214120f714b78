"""What do people and programs see of a sweep, while it goes on and afterwards?"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from smallscale.runs.under_way import State, UnderWay, states, under_way
from tests.conftest import command

Write = Callable[..., Path]
Smallscale = Callable[..., subprocess.CompletedProcess[str]]
MEASURES = (
    "import time\nfrom smallscale.notebook import Claims",
    "while seed == 1: time.sleep(0.1)",
    "if seed == 2: raise ValueError('it broke')",
    "Claims().add('It holds', measured=seed, holds=True)"
    ".metric('loss', eps / 4).show()",
)


def state() -> State:
    return State("here", 1, 0.0, total=3, done=1, failed=0, before=0)


def test_a_watch_shows_what_is_done_running_and_failed(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    write("theme/nb", *MEASURES)
    smallscale("run", "all", "-p", "seed=0,2")
    words = ("run", "all", "-p", "seed=1,0", "-p", "eps=0.5")
    process = subprocess.Popen(
        command(*words), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until = time.monotonic() + 60
    shown = ""
    while "%" not in shown and time.monotonic() < until:
        shown = smallscale("watch", "--once").stdout
    assert "0 of 2 done, 0 failed, 2 runs at work" in shown
    assert "2 runs, 1 failed" in shown
    assert "loss 0.025" in shown
    assert "it broke" in shown
    assert "seed=1" in shown
    # Without --once it shows until nothing is under way.
    watching = subprocess.Popen(
        command("watch", "--every", "0.2"), cwd=tmp_path, stdout=subprocess.PIPE
    )
    time.sleep(1)
    assert watching.poll() is None
    process.kill()
    process.communicate()
    assert b"nothing is under way" in watching.communicate(timeout=60)[0]
    assert watching.returncode == 0


def test_json_is_an_object_a_line(write: Write, smallscale: Smallscale) -> None:
    write("theme/nb", *MEASURES)
    words = ("run", "all", "-p", "seed=0,2", "--json")
    planned = smallscale(*words, "--dry-run")
    assert [json.loads(line)["event"] for line in planned.stdout.splitlines()] == [
        "planned",
        "planned",
        "summary",
    ]
    done = smallscale(*words)
    assert done.returncode == 1
    first, second, summary = map(json.loads, done.stdout.splitlines())
    assert first["metrics"] == {"loss": 0.025}
    assert (first["claims_held"], first["claims_judged"]) == (1, 1)
    assert (first["number"], first["of"]) == (1, 2)
    assert second["status"] == "failed"
    assert "it broke" in second["error"]
    assert (summary["ended"], summary["runs"], summary["failed"]) == ("whole", 2, 1)
    (row, _) = map(json.loads, smallscale("results", "--json").stdout.splitlines())
    assert (row["loss"], row["seed"]) == (0.025, 0)
    (about,) = map(json.loads, smallscale("list", "nb", "--json").stdout.splitlines())
    assert about["parameters"][2]["name"] == "eps"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_json_ends_in_a_summary_after_an_interrupt(
    write: Write, tmp_path: Path
) -> None:
    write("theme/nb", *MEASURES)
    process = subprocess.Popen(
        command("run", "all", "-p", "seed=0,1", "--json"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert json.loads(process.stdout.readline())["status"] == "completed"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    (line,) = out.splitlines()
    summary = json.loads(line)
    assert (summary["ended"], summary["over"], summary["runs"]) == ("interrupted", 1, 2)


def test_a_run_is_taken_by_one_at_a_time_and_nothing_is_left(tmp_path: Path) -> None:
    with under_way(tmp_path, state) as mine, under_way(tmp_path, state) as other:
        assert mine.take("a")
        assert not other.take("a")
        mine.give_back("a")
        assert other.take("a")
        assert mine.take("b")
    assert not list(tmp_path.iterdir())


def test_the_dead_are_not_shown(tmp_path: Path) -> None:
    def on_this_machine() -> State:
        return State(os.uname().nodename, 1, 0.0, total=1, done=0, failed=0, before=0)

    with under_way(tmp_path, on_this_machine) as mine:
        assert len(states(tmp_path)) == 1
        dead = UnderWay(tmp_path, on_this_machine)
        dead._own = mine.folder / "sweep-dead-1"
        dead.beat(now=True)
        dead._own.with_suffix(".lock").touch()
        assert len(states(tmp_path)) == 1
        silent = UnderWay(tmp_path, state)  # of another machine
        silent._own = mine.folder / "sweep-silent-1"
        silent.beat(now=True)
        assert len(states(tmp_path)) == 2
        os.utime(silent._own.with_suffix(".json"), (0, 0))
        assert len(states(tmp_path)) == 1
        (mine.folder / "sweep-broken-1.json").write_text("{")
        assert len(states(tmp_path)) == 1
