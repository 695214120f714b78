"""Do the README's lines do what it says, where another Python is the default?"""

import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from smallscale.runs.catalogue import find_all
from tests.conftest import ROOT, command

LAB = "python -m jupyterlab --config=jupyter_server_config.py --notebook-dir=notebooks"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def part(name: str) -> str:
    """Return the README's text from a bold name to the next one."""
    found = re.search(rf"^\*\*{name}[^*]*\*\*(.*?)(?=^\*\*|^## )", README, re.M | re.S)
    assert found
    return found[1]


def blocks(text: str) -> list[str]:
    """Return the blocks of code in a text."""
    return re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)


@pytest.fixture
def bare_python(tmp_path: Path) -> Path:
    """The Python of an environment that has what smallscale needs, but not smallscale.

    It finds the packages of this environment, less those that are installed editable.
    """
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=True, symlinks=os.name == "posix")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    # Some Pythons bring an old one along, which would hide the borrowed one.
    pip = [python, "-m", "pip", "uninstall", "--yes", "--quiet", "setuptools"]
    subprocess.run(pip, check=True)
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    place = subprocess.check_output([python, "-c", ask], text=True).strip()
    (Path(place) / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return python


def test_colabs_cell_installs_what_the_running_kernel_then_finds(
    tmp_path: Path, bare_python: Path
) -> None:
    (cell,) = blocks(part("Colab"))
    assert not re.search(r"(^|\s)(-e|--editable)\b", cell)
    repository = tmp_path / "repository"
    copy_of_what_is_tracked(repository)
    notebook = find_all(ROOT)["robustness/adversarial-images"]
    node = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("import smallscale"),
            nbformat.v4.new_code_cell(cell.replace("REPOSITORY", str(repository))),
            *map(nbformat.v4.new_code_cell, notebook.code[:2]),
            nbformat.v4.new_code_cell("import smallscale; print(smallscale.__file__)"),
        ]
    )
    here = tmp_path / "content"
    here.mkdir()
    kernel = KernelManager()
    spec = kernel.kernel_spec
    assert spec is not None
    spec.argv[0] = str(bare_python)
    spec.metadata = {}
    spec.env = without_checkout()
    folder = {"metadata": {"path": str(here)}}
    NotebookClient(
        node, km=kernel, timeout=400, allow_errors=True, resources=folder
    ).execute()
    before, installed, *after, where = node.cells
    assert before.outputs[0].ename == "ModuleNotFoundError"
    said = str(installed.outputs)
    for cell in (*after, where):
        errors = [o for o in cell.outputs if o.output_type == "error"]
        assert errors == [], said
    assert where.outputs[0].text.startswith(str(bare_python.parents[1])), said


def copy_of_what_is_tracked(folder: Path) -> None:
    """Make a repository of this checkout's files, as they are now."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output(listed, cwd=ROOT, text=True).split("\0")
    for name in names:
        source = ROOT / name
        # The package and what builds it.
        needed = name.startswith("lib/") or "/" not in name
        if needed and source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(source.read_bytes())
    for words in (
        ["init", "--quiet"],
        ["add", "--all"],
        [
            "-c",
            "user.name=somebody",
            "-c",
            "user.email=somebody@localhost",
            "commit",
            "--quiet",
            "--message=all",
        ],
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)


def without_checkout() -> dict[str, str]:
    """Return variables with which Python finds no checkout, and pip fetches nothing."""
    return {
        "PYTHONPATH": "",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it as a no: build with what is here
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def test_windows_lines_name_the_environments_own_python() -> None:
    lines = [
        line for block in blocks(part("Windows")) for line in block.splitlines() if line
    ]
    first, *others = lines
    assert first == "python -m venv .venv"
    assert all(line.startswith(".venv\\Scripts\\python -m ") for line in others)


@pytest.mark.parametrize("name", ["Windows", "conda"])
def test_each_way_has_a_line_that_opens_jupyterlab(name: str) -> None:
    assert LAB in part(name)


def test_python_m_runs_what_the_script_runs(tmp_path: Path) -> None:
    module = [sys.executable, "-m", "smallscale.runs", "--version"]
    said = [
        subprocess.check_output(words, cwd=tmp_path, text=True)
        for words in (module, command("--version"))
    ]
    assert said[0] == said[1]


def test_the_line_that_opens_jupyterlab_is_understood() -> None:
    words = [sys.executable, *LAB.split()[1:], "--version"]
    assert subprocess.run(words, cwd=ROOT, capture_output=True).returncode == 0
    options = " ".join(LAB.split()[3:])
    assert f"jupyter lab {options}" in (ROOT / "Makefile").read_text(encoding="utf-8")
