"""What the tests share: notebooks made on the spot, the command, the real data."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from hypothesis import settings

os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # read when torch loads; threads that spin slow a busy machine
settings.register_profile(
    "house", deadline=None, derandomize=True
)  # the same examples every time, however slow
settings.load_profile("house")

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
PARAMETERS = """\
scale: str = "small"  # how much work; one of: tiny, small, medium, full
seed: int = 0  # random seed
eps: float = 0.1  # radius [0, 1]
data: str = ""  # a folder; empty: what is bundled
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, which is what `~` leads to, and another working directory."""
    place = tmp_path / "home"
    work = tmp_path / "work"
    place.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setenv("USERPROFILE", str(place))
    monkeypatch.chdir(work)
    return place


@pytest.fixture(autouse=True)
def own_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No test reads what another run remembered."""
    monkeypatch.setenv("SMALLSCALE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return write("theme/name", cell, …), which makes notebooks/theme/name.ipynb.

    The cell of parameters comes first.
    """

    def make(
        name: str, *cells: str, parameters: str = PARAMETERS, title: str = "A title"
    ) -> Path:
        notebook = nbformat.v4.new_notebook()
        notebook.cells = [
            nbformat.v4.new_markdown_cell(f"# {title}\n\nWhat is asked?"),
            nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
            *map(nbformat.v4.new_code_cell, cells),
        ]
        path = tmp_path / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        return path

    return make


@pytest.fixture
def smallscale(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return smallscale("run", "all", …), which runs the command in the test's folder.

    The command is a process of its own.
    """

    def run(*words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*words),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "smallscale.runs.command", *words]


def environment(**changed: str) -> dict[str, str]:
    return {**os.environ, **changed}
