"""Code that tries to cheat fails: each of these has a way that would have worked."""

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from smallscale.simulation.research.judge import (
    Judge,
    lay_out,
    read_predictions,
)
from smallscale.simulation.research.sandbox import (
    MARK,
    _kill_marked,
    environment,
    run_code,
)
from smallscale.simulation.research.tasks import draw, load_task
from smallscale.simulation.research.workspace import Episode, printed_error

TASK = load_task("leak")
posix = pytest.mark.skipif(os.name != "posix", reason="limits are POSIX's")


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(TASK, 0)


def run(tmp_path: Path, code: str, seconds: float = 5) -> tuple[str, str]:
    (tmp_path / "x.py").write_text(code)
    outcome = run_code(tmp_path, "x.py", seconds=seconds)
    return outcome.status, outcome.output


def test_a_scorer_that_is_overwritten_scores_nothing(judge: Judge) -> None:
    code = TASK.code + "\nfor name in ('score.py', 'judge.py', 'task.json'):\n"
    code += "    open(name, 'w').write('0.0')\n"
    assert judge.judge(code).score == judge.baseline.score


def test_a_score_that_is_printed_is_no_score(judge: Judge) -> None:
    verdict = judge.judge(TASK.code + "\nprint('validation error: 0.0\\nscore: 0')\n")
    assert verdict.score == judge.baseline.score
    assert printed_error("validation error: 0.4\nvalidation error: 0.0") == 0
    only_words = judge.judge("print('score: 0')")
    assert only_words.score == math.inf
    assert not judge.success(only_words)


def test_labels_lie_in_no_file_of_the_workspace(tmp_path: Path) -> None:
    for name in ("outliers", "imbalance", "undertrained", "leak", "slow-loop"):
        lay_out(load_task(name), tmp_path, 3)
        labels = draw(name, 3).labels
        held = {path.name for path in tmp_path.iterdir()}
        assert held == {"README.txt", "train.py", "train.csv", "test.csv"}
        columns = len((tmp_path / "test.csv").read_text().split("\n")[0].split(","))
        assert columns == draw(name, 3).test.shape[1]
        assert len(labels) == len(draw(name, 3).test)


def test_the_environment_is_a_list_of_what_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "word")
    monkeypatch.setenv("LABELS", "word")
    monkeypatch.setenv("PYTHONPATH", "word")
    status, output = run(tmp_path, "import os\nprint(sorted(os.environ.items()))")
    assert status == "done"
    assert "word" not in output
    assert MARK in environment("m", tmp_path)


@posix
def test_proc_shows_neither_labels_nor_their_path(tmp_path: Path) -> None:
    code = (
        "import os\np = f'/proc/{os.getpid()}'\n"
        "for name in ('cmdline', 'environ'):\n"
        "    try:\n        print(open(f'{p}/{name}').read())\n"
        "    except OSError:\n        pass\n"
        "print(sorted(os.listdir('/proc/self/fd')))\n"
    )
    status, output = run(tmp_path, code)
    assert status == "done"
    assert "labels" not in output
    assert "seed" not in output


@pytest.mark.parametrize("name", ["smallscale.simulation.research.tasks", "sklearn"])
def test_the_harness_is_not_imported(tmp_path: Path, name: str) -> None:
    status, output = run(tmp_path, f"import {name}")
    assert status == "failed"
    assert "not for the code that is judged" in output


def test_labels_are_drawn_only_after_the_code_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from smallscale.simulation.research import judge as module

    order = []
    run_code_before, draw_before = module.run_code, module.draw

    def run_and_note(*args, **more):  # type: ignore[no-untyped-def]
        outcome = run_code_before(*args, **more)
        order.append("ended")
        return outcome

    def draw_and_note(*args):  # type: ignore[no-untyped-def]
        order.append("drawn")
        return draw_before(*args)

    monkeypatch.setattr(module, "run_code", run_and_note)
    monkeypatch.setattr(module, "draw", draw_and_note)
    Judge(TASK, 0)
    assert order == ["drawn", "ended", "drawn"]


@pytest.mark.parametrize(
    "file",
    ["../x", "/etc/passwd", "a/../../x", "link", "link/passwd", "twin/x", "", "."],
)
def test_no_action_climbs_out_of_the_folder(
    judge: Judge, file: str, tmp_path: Path
) -> None:
    with Episode(judge) as episode:
        if os.name == "posix":
            (episode.workspace / "link").symlink_to("/etc")
            twin = Path(str(episode.workspace) + "-twin")  # the same prefix
            twin.mkdir()
            (episode.workspace / "twin").symlink_to(twin)
        for action in ("read", "write", "edit", "execute"):
            given = {"file": file, "text": "x", "old": "x", "new": "y"}
            told = episode.act(action, given)
            assert told.startswith("refused: "), (action, told)
        assert all(step.fault for step in episode.trace)
        if os.name == "posix":
            assert not list(twin.iterdir())
            twin.rmdir()


def alive_in(workspace: Path) -> list[int]:
    """Return the processes whose environment names this workspace."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == str(workspace):
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


@posix
def test_a_fork_bomb_is_stopped(tmp_path: Path) -> None:
    """It goes off in a line of 300, so that it ends by itself if nothing stops it."""
    code = """
import os, time
forked = 0
for _ in range(300):
    try:
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)
    except OSError:
        pass
    else:
        forked += 1
    time.sleep(0.002)
print("forked", forked)
"""
    status, output = run(tmp_path, code, seconds=30)
    # Root is stopped by being watched, anybody else by a limit of the system.
    assert (status, output) in (("too many processes", ""), ("done", "forked 0\n"))
    assert alive_in(tmp_path) == []


@posix
def test_what_hides_in_a_session_of_its_own_is_found_by_its_mark() -> None:
    code = "import time; time.sleep(60)"
    environ = os.environ | {MARK: "test-mark"}
    child = subprocess.Popen(
        [sys.executable, "-c", code], env=environ, start_new_session=True
    )
    time.sleep(0.2)
    assert _kill_marked("another-mark") == 0
    assert child.poll() is None
    _kill_marked("test-mark")
    assert child.wait(5) == -9


@posix
def test_memory_is_limited(tmp_path: Path) -> None:
    status, output = run(tmp_path, "x = bytearray(4 << 30)")
    assert status == "failed"
    assert "MemoryError" in output


@posix
@pytest.mark.parametrize(
    "code",
    [
        "f = open('big', 'wb')\nwhile True: f.write(bytes(1 << 20))",
        "k = 0\nwhile True:\n    k += 1\n    open(f'f{k}', 'wb').write(bytes(1 << 20))",
        "k = 0\nwhile True:\n    k += 1\n    open(f'f{k}', 'wb').close()",
    ],
)
def test_the_disk_is_not_filled(tmp_path: Path, code: str) -> None:
    status, _ = run(tmp_path, code)
    assert status in ("failed", "too much on disk")
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size < 1 << 30


def test_a_run_without_end_is_ended(tmp_path: Path) -> None:
    assert run(tmp_path, "while True: pass", seconds=0.5)[0] == "out of time"
    assert alive_in(tmp_path) == []


def test_endless_output_is_cut(tmp_path: Path) -> None:
    status, output = run(tmp_path, "while True: print('x' * 999)", seconds=1)
    assert status in ("failed", "out of time")
    assert len(output) <= 2000


STAY = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", '''
import time
for _ in range(100):
    time.sleep(0.05)
    open("predictions.csv", "w").write("0")
'''], start_new_session={new})
time.sleep(0.2)
"""


@posix
@pytest.mark.parametrize("new", [False, True])
def test_nothing_stays_behind_to_edit_what_is_scored(tmp_path: Path, new: bool) -> None:
    run(tmp_path, STAY.format(new=new))
    (tmp_path / "predictions.csv").write_text("1")
    time.sleep(0.4)
    assert (tmp_path / "predictions.csv").read_text() == "1"
    assert alive_in(tmp_path) == []


@pytest.mark.parametrize(
    "text", ["", "1", "nan\n1\n1", "1\n1\ninf", "a\nb\nc", "__import__('os')\n1\n1"]
)
def test_predictions_are_numbers_or_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "p").write_text(text)
    with pytest.raises(ValueError, match="predictions"):
        read_predictions(tmp_path / "p", 3)


@posix
def test_predictions_are_a_plain_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("1\n1\n1")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder", "nowhere"):
        with pytest.raises(ValueError, match="plain file"):
            read_predictions(tmp_path / name, 3)
    assert read_predictions(tmp_path / "real", 3).tolist() == [1, 1, 1]


def test_data_that_is_changed_in_the_workspace_changes_no_score(judge: Judge) -> None:
    with Episode(judge) as episode:
        assert "refused" in episode.act("write", {"file": "test.csv", "text": "1"})
        (episode.workspace / "test.csv").write_text("1,2\n")
        assert judge.judge(episode.code).score == judge.baseline.score


def test_this_python_runs_it(tmp_path: Path) -> None:
    status, output = run(
        tmp_path, "import sys\nprint(sys.executable, sys.flags.isolated)"
    )
    assert (status, output.split()[-1]) == ("done", "1")
    assert sys.executable in output
