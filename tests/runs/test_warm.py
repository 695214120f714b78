"""Is a warm kernel an ordinary one, only sooner: clean, separate, gone in time?"""

import json
import os
import subprocess
import sys
import time
import xml.dom
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from smallscale.runs import warm

Write = Callable[..., Path]
Smallscale = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.skipif(
    not warm.SUPPORTED, reason="kernels are forked on Linux only"
)

REPORT = """\
import json, os, random, signal, subprocess, sys
import numpy, torch
with open(f"../../report-{seed}.json", "w") as file:
    json.dump({
        "modules": "sklearn.datasets" in sys.modules,
        "draws": [random.random(), float(numpy.random.rand()), float(torch.rand(()))],
        "threads": torch.get_num_threads(),
        "leader": os.getsid(0) == os.getpid(),
        "chld": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
        "backend": __import__("matplotlib").get_backend(),
        "variable": os.environ.get("SMALLSCALE_TEST_VARIABLE"),
    }, file)
# OpenMP works in a fork whose parent never used it.
big = torch.rand(800, 800) @ torch.rand(800, 800)
assert float(big.sum()) > 0
assert subprocess.run(["true"]).returncode == 0"""


def test_kernels_are_warm_separate_and_have_the_callers_environment(
    write: Write,
    smallscale: Smallscale,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SMALLSCALE_TEST_VARIABLE", "handed down")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    write(
        "theme/nb", "import sklearn.datasets\nimport matplotlib.pyplot, torch", REPORT
    )
    done = smallscale("run", "all", "-p", "seed=0,1", "--workers", "2")
    assert done.returncode == 0, done.stdout
    reports = [
        json.loads((tmp_path / f"report-{seed}.json").read_text()) for seed in (0, 1)
    ]
    for report in reports:
        assert report["modules"]
        assert report["leader"]
        assert report["threads"] == max(1, (os.cpu_count() or 1) // 2)
        assert report["chld"]
        assert "inline" in report["backend"]
        assert report["variable"] == "handed down"
    assert all(
        a != b for a, b in zip(reports[0]["draws"], reports[1]["draws"], strict=True)
    )
    records = [
        json.loads(path.read_text())
        for path in tmp_path.glob("results/runs/*/run.json")
    ]
    assert {record["kernel"] for record in records} == {"warm"}


def test_cold_and_warm_give_the_same_result(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    write(
        "theme/nb",
        "import torch",
        "from smallscale.notebook import Claims\n"
        "draw = torch.rand((), generator=torch.Generator().manual_seed(seed))\n"
        "order = hash('the order of a set')\n"
        "Claims().metric('draw', draw).metric('order', order).show()",
    )
    assert smallscale("run", "all", "--out", "warm").returncode == 0
    assert smallscale("run", "all", "--out", "cold", "--cold").returncode == 0
    records = [
        json.loads(next(tmp_path.glob(f"{kind}/runs/*/run.json")).read_text())
        for kind in ("warm", "cold")
    ]
    assert [record["kernel"] for record in records] == ["warm", "cold"]
    assert records[0]["metrics"] == records[1]["metrics"]
    assert records[0]["run"] == records[1]["run"]


def test_where_no_warm_process_answers_an_ordinary_kernel_steps_in(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smallscale.runs.catalogue import Notebook
    from smallscale.runs.execute import execute
    from smallscale.runs.plan import plan
    from smallscale.runs.results import Results

    results = Results(tmp_path / "results")
    results.prepare()
    notebook = Notebook(write("theme/nb", "print(1)"), "theme/nb")
    (task,) = plan([notebook], {}, tmp_path, results).todo
    dead = tmp_path / "dead"
    dead.touch()
    record = execute(replace(task, warm=dead))
    assert (record.status, record.kernel) == ("completed", "cold")


# ---- which module is imported, and what it may do meanwhile --------------------------


@pytest.mark.parametrize("cold", [False, True])
def test_modules_come_from_beside_the_notebook_and_not_from_the_callers_folder(
    write: Write, smallscale: Smallscale, tmp_path: Path, cold: bool
) -> None:
    path = write(
        "theme/nb",
        "import helper, second_helper, json",
        "with open(f'../../seen', 'w') as file:\n"
        "    json.dump([helper.__file__, second_helper.__file__], file)",
    )
    beside = [path.parent / f"{name}.py" for name in ("helper", "second_helper")]
    for file in (*beside, tmp_path / "helper.py", tmp_path / "second_helper.py"):
        file.touch()
    words = ["--cold"] if cold else []
    assert smallscale("run", "all", *words).returncode == 0
    seen = json.loads((tmp_path / "seen").read_text())
    assert [Path(file) for file in seen] == beside
    beside[0].unlink()  # now it lies in the caller's folder only
    done = smallscale("run", "all", *words)
    assert done.returncode == 1
    assert "No module named 'helper'" in done.stdout


@pytest.mark.parametrize("cold", [False, True])
def test_a_relative_place_on_the_path_is_meant_from_the_callers_folder(
    write: Write,
    smallscale: Smallscale,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cold: bool,
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "helper.py").write_text("x = 1\n")
    monkeypatch.setenv("PYTHONPATH", "mine", prepend=os.pathsep)
    write("theme/nb", "import helper")
    words = ["--cold"] if cold else []
    assert "1 run, 0 failed" in smallscale("run", "all", *words).stdout
    assert "nothing to do" in smallscale("run", "all", *words).stdout
    (tmp_path / "mine" / "helper.py").write_text("x = 2\n")
    assert "1 run to do" in smallscale("run", "all", *words).stdout


def test_a_helper_that_computes_or_hangs_as_it_is_imported_harms_its_own_runs_alone(
    write: Write,
    smallscale: Smallscale,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "mine"), prepend=os.pathsep)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "computes.py").write_text(
        "import torch\nx = float(torch.ones(1 << 20).exp().sum())\n"
    )
    (tmp_path / "mine" / "hangs.py").write_text("import time\ntime.sleep(600)\n")
    write("good/computes", "import computes, torch", "torch.ones(1 << 20).exp().sum()")
    write("bad/hangs", "import hangs")
    done = smallscale("run", "good", "bad", "-p", "seed=0,1", "--timeout", "15")
    assert "4 runs, 2 failed" in done.stdout
    statuses = {
        (record["notebook"], record["status"], record["kernel"])
        for record in map(
            json.loads,
            (path.read_text() for path in tmp_path.glob("results/runs/*/run.json")),
        )
    }
    assert statuses == {
        ("good/computes", "completed", "warm"),
        ("bad/hangs", "timed-out", "warm"),
    }


@pytest.mark.parametrize("content", ["time.sleep(600)", "torch.ones(1 << 20).exp()"])
def test_where_an_import_keeps_the_warm_process_ordinary_kernels_step_in(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    """As an installed package may; the user's own are not imported there."""
    from smallscale.runs.catalogue import Notebook
    from smallscale.runs.execute import execute
    from smallscale.runs.plan import plan
    from smallscale.runs.results import Results

    (tmp_path / "odd_package.py").write_text(f"import time, torch\n{content}\n")
    results = Results(tmp_path / "results")
    results.prepare()
    notebook = Notebook(write("theme/nb", "1"), "theme/nb")
    tasks = plan([notebook], {"seed": "0,1"}, tmp_path, results).todo
    monkeypatch.setattr(warm, "IMPORT_SECONDS", 8.0)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with warm.warm_process(["import odd_package"], warm.kernel_env(2)) as path:
        records = [execute(replace(task, warm=path)) for task in tasks]
    for record in records:
        assert (record.status, record.kernel) == ("completed", "cold")


def test_a_fork_that_cannot_compute_is_noticed() -> None:
    computes = (
        "import torch\n"
        "from smallscale.runs import warm\n"
        "warm.PROBE_SECONDS = 3\n"
        "torch.set_num_threads(2)\n"
        "before = warm._forks_can_compute()\n"
        "torch.ones(1 << 20).exp().sum()\n"
        "print(before, warm._forks_can_compute())"
    )
    done = subprocess.run(
        [sys.executable, "-c", computes], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True False\n"


def test_a_fork_that_waits_for_ever_ends_with_the_warm_process() -> None:
    waits = (
        "import torch\n"
        "from smallscale.runs import warm\n"
        "torch.set_num_threads(2)\n"
        "torch.ones(1 << 20).exp().sum()\n"
        "warm._forks_can_compute()"
    )
    with subprocess.Popen([sys.executable, "-c", waits]) as process:
        it = psutil.Process(process.pid)
        while not it.children() and process.poll() is None:
            time.sleep(0.02)
        (fork,) = it.children()
        time.sleep(1)  # until it waits for threads
        assert fork.is_running()
        process.kill()
    with suppress(psutil.Error):
        fork.wait(10)
    left = fork.is_running()
    if left:
        fork.kill()
    assert not left


def test_a_long_path_for_temporary_files_is_no_hindrance(
    write: Write,
    smallscale: Smallscale,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long = tmp_path / ("long" * 25)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    write("theme/nb", "import os", "assert 'long' in os.environ['TMPDIR']")
    for words in ([], ["--cold", "--fresh"]):
        done = smallscale("run", "all", *words)
        assert done.returncode == 0, done.stdout + done.stderr


def test_an_import_that_fails_is_told_in_its_own_cell(
    write: Write, smallscale: Smallscale
) -> None:
    write("theme/nb", "import no_such_module")
    done = smallscale("run", "all")
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'no_such_module'" in done.stdout


def test_import_statements_are_done_by_name_and_nothing_else_is_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("json.tool", "xml.dom.minidom", "wave"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.delattr(xml.dom, "minidom", raising=False)
    warm._import(
        "import json.tool, no_such_module, wave\n"
        "from no_such_module import anything\n"
        "from xml.dom import nothing, minidom\n"
        "from string import *\n"
        "boom = 1 / 0"
    )
    for module in ("json.tool", "xml.dom.minidom", "wave"):
        assert module in sys.modules


@pytest.mark.parametrize("cold", [False, True])
def test_what_a_notebook_started_ends_with_it(
    write: Write, smallscale: Smallscale, tmp_path: Path, cold: bool
) -> None:
    import psutil

    write(
        "theme/nb",
        "from subprocess import Popen\n"
        "near = Popen(['sleep', '600'])\n"
        "far = Popen(['sleep', '600'], start_new_session=True)\n"
        "open('../../pids', 'w').write(f'{near.pid} {far.pid}')\n"
        "if eps > .5: raise SystemExit",
    )
    for eps in ("0.1", "0.9"):
        smallscale("run", "all", "-p", f"eps={eps}", *(["--cold"] if cold else []))
        for pid in (tmp_path / "pids").read_text().split():
            assert (
                not psutil.pid_exists(int(pid))
                or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE
            )


def test_exit_functions_run(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    write(
        "theme/nb",
        "import atexit\natexit.register(lambda: open('../../left', 'w').close())",
    )
    assert smallscale("run", "all").returncode == 0
    assert (tmp_path / "left").exists()


def test_lasting_warm_processes_are_few_and_the_longest_unused_makes_way() -> None:
    from smallscale.runs import warm

    def start(number: int) -> Path:
        return warm.lasting_warm_process((f"import json as j{number}",), 1)

    paths = [start(number) for number in range(warm.MOST_LASTING)]
    assert start(0) == paths[0]  # used again, so that number 1 is the oldest
    newest = start(warm.MOST_LASTING)
    assert [path.exists() for path in paths] == [True, False, True, True]
    assert newest.exists()
    assert start(0) == paths[0]
    assert len(warm._LASTING) == warm.MOST_LASTING
    warm._end_lasting()
    warm._LASTING.clear()
    assert not newest.exists()
