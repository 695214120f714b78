"""Papermill with this engine: its own output, a warm kernel, the claims read back."""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import papermill
import psutil
import pytest
from nbclient.exceptions import DeadKernelError
from papermill.engines import papermill_engines

from smallscale.runs.papermill_engine import SmallscaleEngine
from tests.conftest import environment

Write = Callable[..., Path]
CELLS = (
    "import os\nfrom smallscale.notebook import Claims",
    "print(os.getppid(), 'SMALLSCALE_WARM_SOCKET' in os.environ)",
    "claims = Claims().add('It is small', measured=eps, holds=eps < 0.5)",
    "claims.metric('eps', eps, unit='pixels').show()",
)
KERNEL = {"name": "python3", "language": "python", "display_name": "Python 3"}


@pytest.fixture
def notebook(write: Write) -> Path:
    path = write("theme/nb", *CELLS)
    content = nbformat.read(path, as_version=4)
    content.metadata.kernelspec = KERNEL
    nbformat.write(content, path)
    papermill_engines.register("smallscale", SmallscaleEngine)
    return path


def execute(path: Path, out: Path, **parameters: object) -> nbformat.NotebookNode:
    papermill.execute_notebook(
        path,
        out,
        parameters=parameters,
        engine_name="smallscale",
        progress_bar=False,
        cwd=str(path.parent),
    )
    return nbformat.read(out, as_version=4)


def test_papermill_finds_the_engine_by_its_name() -> None:
    (entry,) = importlib.metadata.entry_points(
        group="papermill.engine", name="smallscale"
    )
    assert entry.load() is SmallscaleEngine


@pytest.mark.parametrize("first", ["papermill", "smallscale.runs.papermill_engine"])
def test_it_does_not_matter_which_of_the_two_is_imported_first(first: str) -> None:
    program = (
        f"import {first}\n"
        "from papermill.engines import papermill_engines\n"
        "print(papermill_engines.get_engine('smallscale').__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout == "SmallscaleEngine\n", done.stderr


def test_kernels_are_warm_and_claims_are_read_back(
    notebook: Path, tmp_path: Path
) -> None:
    first = execute(notebook, tmp_path / "a.ipynb", eps=0.25)
    second = execute(notebook, tmp_path / "b.ipynb", eps=0.75)
    kept = first.metadata["smallscale"]
    assert [claim["holds"] for claim in kept["claims"]] == [True]
    assert kept["metrics"] == {"eps": 0.25}
    assert kept["details"]["eps"]["unit"] == "pixels"
    assert [c["holds"] for c in second.metadata["smallscale"]["claims"]] == [False]
    assert first.metadata.papermill.parameters == {"eps": 0.25}
    if sys.platform == "linux":
        texts = [str(n.cells[4].outputs[0].text) for n in (first, second)]
        assert [text.split()[1] for text in texts] == ["True", "True"]


def test_an_error_is_papermills_own_and_what_was_done_is_kept(
    write: Write, tmp_path: Path
) -> None:
    path = write("theme/bad", "print(1)", "1 / 0", "print(2)")
    content = nbformat.read(path, as_version=4)
    content.metadata.kernelspec = KERNEL
    nbformat.write(content, path)
    papermill_engines.register("smallscale", SmallscaleEngine)
    with pytest.raises(papermill.PapermillExecutionError, match="ZeroDivisionError"):
        execute(path, tmp_path / "out.ipynb", seed=1)
    kept = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    streams = [
        output.text
        for cell in kept.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "stream"
    ]
    assert streams == ["1\n"]


def test_a_kernel_ends_with_its_notebook(notebook: Path, tmp_path: Path) -> None:
    """In a program that executes a thousand of them, none may stay."""
    for name in ("first", "second"):
        execute(notebook, tmp_path / f"{name}.ipynb")
        left = psutil.Process().children(recursive=True)
        # What stays is the warm processes, of this notebook and of other tests'.
        assert all("smallscale.runs.warm" in child.cmdline() for child in left)
        assert all(child.ppid() == os.getpid() for child in left)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("broken", ["json.dumps = None", "pass"])
def test_a_notebook_that_leaves_its_kernel_without_words_ends(
    notebook: Path, tmp_path: Path, broken: str
) -> None:
    content = nbformat.read(notebook, as_version=4)
    content.cells.append(nbformat.v4.new_code_cell(f"import json\n{broken}"))
    nbformat.write(content, notebook)
    out = tmp_path / "out.ipynb"
    if broken == "pass":
        execute(notebook, out)
    else:
        with pytest.raises(DeadKernelError):
            execute(notebook, out)


def test_nothing_outlives_the_program_that_used_papermill(
    notebook: Path, tmp_path: Path
) -> None:
    program = (
        "import os, papermill, sys\n"
        "from papermill.engines import papermill_engines\n"
        "from smallscale.runs.papermill_engine import SmallscaleEngine\n"
        "papermill_engines.register('smallscale', SmallscaleEngine)\n"
        f"papermill.execute_notebook({str(notebook)!r}, {str(tmp_path / 'o.ipynb')!r},"
        " engine_name='smallscale', progress_bar=False)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    mark = f"papermill {tmp_path}"
    subprocess.run(
        [sys.executable, "-c", program],
        env=environment(SMALLSCALE_TEST=mark),
        check=False,
        timeout=120,
    )
    assert (tmp_path / "o.ipynb").is_file()
    from tests.faults.test_interrupts import none_left

    assert none_left(mark)


def test_papermill_reads_what_the_command_wrote(
    notebook: Path,
    smallscale: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    run = smallscale("run", "theme/nb", "-p", "eps=0.25")
    assert run.returncode == 0, run.stderr
    (written,) = tmp_path.glob("results/runs/nb-*/notebook.ipynb")
    known = papermill.inspect_notebook(written)
    assert known["eps"]["default"] == "0.1"
    assert known["eps"]["inferred_type_name"] == "float"
    again = execute(written, tmp_path / "again.ipynb", eps=0.125)
    assert again.metadata["smallscale"]["metrics"] == {"eps": 0.125}
    assert json.dumps(again)  # plain JSON, as papermill's tools expect
