"""Is a warm kernel an ordinary one, only sooner: clean, separate, gone in time?"""

import json
import os
import subprocess
import sys
import xml.dom
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

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
