"""However the command ends, finished runs are kept and nothing is left running."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import command, environment

Write = Callable[..., Path]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


def alive(mark: str) -> list[int]:
    """The processes that carry this mark in their environment, zombies aside."""
    found = []
    for process in psutil.process_iter():
        try:
            if (
                process.environ().get("SMALLSCALE_TEST") == mark
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def none_left(mark: str) -> bool:
    until = time.monotonic() + 10
    while alive(mark) and time.monotonic() < until:
        time.sleep(0.1)
    return not alive(mark)


@pytest.fixture
def started(
    write: Write, tmp_path: Path
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A command amid a sweep: one run finished, one hangs with a child, one waits."""
    write(
        "theme/nb",
        "import subprocess, time",
        "if seed:\n    p = subprocess.Popen(['sleep', '600'])\n    time.sleep(600)",
    )

    def start(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command("run", "all", "-p", "seed=0,1,2", *words),
            cwd=tmp_path,
            env=environment(SMALLSCALE_TEST=str(tmp_path)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        until = time.monotonic() + 60
        while time.monotonic() < until:
            children = [
                psutil.Process(pid).name()
                for pid in alive(str(tmp_path))
                if psutil.pid_exists(pid)
            ]
            if "sleep" in children and list(tmp_path.glob("results/runs/nb-*")):
                return process
            time.sleep(0.1)
        process.kill()
        raise AssertionError(f"the sweep did not get going: {process.communicate()}")

    yield start
    for pid in alive(str(tmp_path)):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("cold", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_keeps_what_is_finished(
    started: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
    number: int,
    cold: bool,
) -> None:
    process = started(*(["--cold"] if cold else []))
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted: 1 of 3 runs are kept in results" in errors
    assert none_left(str(tmp_path))
    (folder,) = (tmp_path / "results" / "runs").iterdir()
    assert json.loads((folder / "run.json").read_text())["status"] == "completed"
    assert len((tmp_path / "results" / "runs.csv").read_text().splitlines()) == 2


def test_a_closed_terminal_does_not_end_a_command_under_nohup(
    write: Write, tmp_path: Path
) -> None:
    write("theme/nb", "import time; open('../../going', 'w').close(); time.sleep(3)")
    process = subprocess.Popen(
        ["nohup", *command("run", "all")],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 60
    while not (tmp_path / "going").exists() and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "1 run, 0 failed" in out


@pytest.mark.parametrize("cold", [False, True])
def test_kill_9_leaves_no_process_and_no_half_written_run(
    started: Callable[..., subprocess.Popen[str]],
    write: Write,
    tmp_path: Path,
    cold: bool,
) -> None:
    process = started(*(["--cold"] if cold else []))
    process.kill()
    process.wait()
    assert none_left(str(tmp_path))
    runs = tmp_path / "results" / "runs"
    whole, cut = sorted(runs.iterdir(), key=lambda path: path.name.startswith("."))
    assert json.loads((whole / "run.json").read_text())["status"] == "completed"
    assert cut.name.startswith(".partial-")
    listed = subprocess.run(
        command("results"), cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert len(listed.stdout.splitlines()) == 2
    assert not listed.stderr
    # What was cut off is swept up by the next command that runs anything.
    write("theme/nb", "1")
    subprocess.run(command("run", "all"), cwd=tmp_path, check=True, capture_output=True)
    assert not cut.exists()
    assert whole.exists()
    assert not list(runs.glob(".*"))


def test_what_a_killed_command_left_half_written_is_swept_up(
    write: Write, tmp_path: Path
) -> None:
    write("theme/nb", "1")
    import socket

    dead = subprocess.Popen(["true"])
    dead.wait()
    stale = (
        tmp_path
        / "results"
        / "runs"
        / f".partial-{socket.gethostname()}-{dead.pid}-nb-000000000000"
    )
    stale.mkdir(parents=True)
    other = (
        tmp_path / "results" / "runs" / f".partial-elsewhere-{dead.pid}-nb-000000000000"
    )
    other.mkdir()
    subprocess.run(command("run", "all"), cwd=tmp_path, check=True, capture_output=True)
    assert not stale.exists()
    assert other.exists()  # another machine's, which may be at work


def test_a_sweep_leaves_the_unfinished_runs_of_another_command(
    started: Callable[..., subprocess.Popen[str]], write: Write, tmp_path: Path
) -> None:
    process = started()
    (at_work,) = tmp_path.glob("results/runs/.partial-*")
    write("theme/nb", "1")
    subprocess.run(command("run", "all"), cwd=tmp_path, check=True, capture_output=True)
    assert at_work.exists()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert not at_work.exists()


def test_damaged_results_are_read_around_and_made_again(
    write: Write, tmp_path: Path
) -> None:
    write("theme/nb", "1")

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command("run", "all"), cwd=tmp_path, capture_output=True, text=True
        )

    assert run().returncode == 0
    (record,) = tmp_path.glob("results/runs/*/run.json")
    record.write_text('{"run": "nb')
    (tmp_path / "results" / "runs.jsonl").write_text('{"cut in ha')
    assert "1 run to do" in run().stdout
    assert json.loads(record.read_text())["status"] == "completed"
