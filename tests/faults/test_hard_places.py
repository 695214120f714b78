"""Odd places and odd notebooks: a full disk, damage by hand, floods, a wrong clock."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import pytest

from tests.conftest import command
from tests.faults.battlefield import Field, cells, until

Write = Callable[..., Path]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    field = Field(tmp_path)
    yield field
    field.end()


def finished(process: "subprocess.Popen[str]") -> str:
    """What a command says, whose exit code is 0."""
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    return out


def test_two_sweeps_of_the_same_runs_share_them(write: Write, field: Field) -> None:
    write("theme/nb", *cells(0.01))
    words = ("all", "--scale", "tiny", "--seeds", "8")
    both = [field.start(*words) for _ in range(2)]
    for out in map(finished, both):
        assert "8 runs, 0 failed" in out
    assert len(field.starts()) == 8  # each run was done by one of the two
    field.every_run_is_there_once(range(8))
    field.none_is_left()


def test_what_a_killed_sweep_was_doing_is_done_by_the_other(
    write: Write, field: Field
) -> None:
    write("theme/nb", *cells(0.1))
    words = ("all", "--scale", "tiny", "--seeds", "3")
    first = field.start(*words)
    until(field.starts)
    second = field.start(*words)
    until(lambda: len(field.starts()) >= 2)
    first.kill()
    first.communicate()
    assert "3 runs, 0 failed" in finished(second)
    field.every_run_is_there_once(range(3))
    field.none_is_left()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of two megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    try:
        subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk cannot be mounted here, only by root on Linux")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_keeps_what_fits_and_the_rest_is_done_when_there_is_room(
    write: Write, tmp_path: Path, small_disk: Path
) -> None:
    write(
        "theme/nb",
        "import os, random",
        "random.seed(seed)\n"
        "print(random.randbytes(250_000).hex())",  # half a megabyte a run
    )
    words = ["run", "all", "--seeds", "6", "--out", str(small_disk / "results")]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*words), cwd=tmp_path, capture_output=True, text=True, timeout=120
        )

    first = run()
    assert first.returncode == 1
    assert "Traceback" not in first.stdout + first.stderr
    assert "No space left on device" in first.stdout + first.stderr
    whole = list(small_disk.glob("results/runs/nb-*/run.json"))
    assert 1 <= len(whole) < 6
    assert all(json.loads(path.read_text()) for path in whole)
    words_remount = ["mount", "-o", "remount,size=30m", str(small_disk)]
    subprocess.run(words_remount, check=True)
    second = run()
    assert second.returncode == 0, second.stdout + second.stderr
    assert "6 runs, 0 failed" in second.stdout
    assert len(list(small_disk.glob("results/runs/*"))) == 6
    assert len((small_disk / "results" / "runs.csv").read_text().splitlines()) == 7


def test_a_run_that_was_damaged_by_hand_is_told_and_done_again(
    write: Write, field: Field
) -> None:
    write("theme/nb", *cells(0.001))
    words = ("all", "--scale", "tiny", "--seeds", "6")
    finished(field.start(*words))
    folders = {
        str(record["parameters"]["seed"]): field.folder / "results" / "runs" / run  # type: ignore[index]
        for run, record in field.records().items()
    }
    (folders["0"] / "run.json").write_text('{"run": ')
    (folders["1"] / "notebook.ipynb").unlink()
    with (folders["2"] / "files" / "out.txt").open("a") as file:
        file.write("by hand")
    (folders["3"] / "notebook.html").write_text("")
    (folders["4"] / "run.json").unlink()
    (folders["5"] / "mine.txt").write_text("a note of the user's")
    out = finished(field.start(*words))
    assert out.count("is damaged and does not count") == 4
    assert "notebook.ipynb beside it is gone" in out
    assert "files/out.txt beside it has been changed" in out
    assert "6 runs, 0 failed" in out
    assert [seed for seed, _ in field.starts()[6:]] == ["0", "1", "2", "3", "4"]
    assert (folders["5"] / "mine.txt").exists()
    assert not (folders["0"] / "mine.txt").exists()
    assert "nothing to do" in finished(field.start(*words))


def test_a_notebook_that_prints_200_mb_completes_and_its_folder_stays_small(
    write: Write, field: Field
) -> None:
    write(
        "theme/nb",
        "import sys\nline = 'x' * 999_999 + '\\n'\nfor _ in range(200):\n"
        "    sys.stdout.write(line)\n    sys.stdout.flush()",
        "print('the end')\nresult = 1",
    )
    process = field.start("all", "--scale", "tiny")
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, psutil.Process(process.pid).memory_info().rss)
        except psutil.Error:
            break
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    assert "1 run, 0 failed" in finished(process)
    assert peak < 1e9
    ((_, record),) = field.records().items()
    assert record["status"] == "completed"
    (folder,) = field.folder.glob("results/runs/nb-*")
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 60e6
    assert "characters is not kept" in (folder / "notebook.ipynb").read_text()


FORKS = """\
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        time.sleep(600)"""
# A child that is starting others whenever its end comes.
GOES_ON_FORKING = """\
import os, time
if os.fork() == 0:
    os.setsid()
    for _ in range(500):
        if os.fork() == 0:
            time.sleep(600)"""
# What `command &` leaves: a process whose parent is gone.
DAEMON = """\
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
time.sleep(0.5)"""


@pytest.mark.parametrize("words", [[], ["--cold"]], ids=["warm", "cold"])
@pytest.mark.parametrize("cell", [FORKS, GOES_ON_FORKING, DAEMON])
def test_what_a_notebook_forks_ends_with_its_run(
    write: Write, field: Field, cell: str, words: list[str]
) -> None:
    write("theme/nb", cell, "sum(range(10))")
    out = finished(field.start("all", "--scale", "tiny", "--seeds", "2", *words))
    assert "2 runs, 0 failed" in out
    field.none_is_left()


def test_two_notebooks_of_one_name_are_two(write: Write, field: Field) -> None:
    for theme, value in (("one", 1), ("two", 2)):
        path = write(f"{theme}/nb", "import helper\nprint(helper.value)")
        (path.parent / "helper.py").write_text(f"value = {value}\n")
    words = ("all", "--scale", "tiny", "--seeds", "2")
    assert "4 runs, 0 failed" in finished(field.start(*words))
    printed = {
        (record["notebook"], (path / "notebook.ipynb").read_text().count(f'"{n}\\n"'))
        for n in (1, 2)
        for path in field.folder.glob("results/runs/nb-*")
        for record in [json.loads((path / "run.json").read_text())]
        if record["notebook"] == {1: "one/nb", 2: "two/nb"}[n]
    }
    assert printed == {("one/nb", 1), ("two/nb", 1)}
    table = (field.folder / "results" / "runs.csv").read_text().splitlines()
    assert len(table) == 5
    assert "nothing to do: 4 runs" in finished(field.start(*words))


def test_a_clock_that_was_set_back_repeats_nothing_and_loses_no_row(
    write: Write, field: Field
) -> None:
    """What lies there is of tomorrow, as after a clock was set right."""
    path = write("theme/nb", *cells(0.001), "print(open('numbers.txt').read())")
    (path.parent / "numbers.txt").write_text("1 2 3")
    words = ("all", "--scale", "tiny")
    finished(field.start(*words, "--seeds", "2"))
    ahead = timedelta(days=1)
    later = (datetime.now() + ahead).timestamp()
    results = field.folder / "results"
    for run in results.glob("runs/*/run.json"):
        record = json.loads(run.read_text())
        for name in ("started", "finished"):
            moved = datetime.fromisoformat(record[name]) + ahead
            record[name] = moved.isoformat(timespec="seconds")
        run.write_text(json.dumps(record))
    for file in (*results.glob("runs/*/asked"), results / ".last-asked"):
        file.write_text((datetime.fromisoformat(file.read_text()) + ahead).isoformat())
    for file in (*results.rglob("*"), *path.parent.iterdir()):
        os.utime(file, (later, later))
    assert "4 runs, 0 failed" in finished(field.start(*words, "--seeds", "4"))
    assert "nothing to do" in finished(field.start(*words, "--seeds", "4"))
    assert len(field.starts()) == 4
    # The code of today takes the rows of tomorrow's.
    write("theme/nb", *cells(0.002))
    finished(field.start(*words, "--seeds", "4"))
    table = (results / "runs.csv").read_text()
    assert len(table.splitlines()) == 5
    newest = {run for run, record in field.records().items() if run in table}
    assert all(
        "time.sleep(0.002)" in (results / "runs" / run / "notebook.ipynb").read_text()
        for run in newest
    )
