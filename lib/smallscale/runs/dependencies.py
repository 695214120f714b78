"""Which code does a notebook run? The files and releases that its imports lead to.

They are found where a kernel in the notebook's folder would find them, by looking and
not by importing. A module that is part of an installed release counts by the release's
version; any other is the user's own and counts by its file, and so do those that it
imports in turn.
"""

import ast
import importlib.metadata
import json
import os
import site
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from urllib.parse import unquote, urlparse

from smallscale.notebook import fingerprints
from smallscale.notebook.fingerprints import modules
from smallscale.runs.cell_code import scripts, trees, written_files

SUFFIXES = (*EXTENSION_SUFFIXES, ".py")  # in the order in which Python looks
# A Python that is told to run a text puts the working directory first.
ASK_PATH = """\
import json, sys
safe = bool(sys.flags.safe_path)
print(json.dumps([safe, sys.path if safe else sys.path[1:]]))"""


@dataclass
class Dependencies:
    """What a notebook's code cells lead to."""

    files: dict[str, Path]  # the user's own modules and scripts, by name
    releases: dict[str, str]  # the version of each installed release, by module


def dependencies(cells: Iterable[str], folder: Path) -> Dependencies:
    """Return what these code cells import and run, in a kernel in this folder."""
    cells = list(cells)
    written = {folder / name for name in written_files(cells)}
    finder = Finder(folder)

    def find(module: str) -> Path | None:
        file = finder.own_file(module)
        return None if file in written else file

    files: dict[str, Path] = {}
    for cell in cells:
        for tree in trees(cell):
            files |= modules(ast.unparse(tree), find)
    for name in sorted(scripts(cells)):
        script = folder / name
        if script.is_file():
            files[name] = script
            files |= modules(script.read_bytes(), find)
    return Dependencies(files, finder.releases)


@dataclass(frozen=True)
class Found:
    """Where a module lies: its file, and where its submodules are looked for."""

    file: Path | None  # None for a package without __init__
    inside: tuple[Path, ...] = ()


class Finder:
    """Finds modules as a kernel in this folder would, by name.

    `releases` fills with the version of each installed release that was met.
    """

    def __init__(self, folder: Path) -> None:
        self.places = kernel_path(folder)
        self.releases: dict[str, str] = {}
        self._found: dict[str, Found | None] = {}

    def own_file(self, module: str) -> Path | None:
        """Return the file of a module that is not part of an installed release."""
        found = self.find(module)
        return found.file if found else None

    def find(self, module: str) -> Found | None:
        """Return where the user's own module lies, or None if it is none, or not there.

        A package without `__init__` may hold installed modules beside own ones.
        """
        if module not in self._found:
            self._found[module] = self._find(module)
        return self._found[module]

    def _find(self, module: str) -> Found | None:
        parent, _, last = module.rpartition(".")
        if parent:
            above = self.find(parent)
            found = _look(last, above.inside) if above else None
        elif module == fingerprints.PACKAGE.name:
            return _look(module, (fingerprints.PACKAGE.parent,))
        elif not module or module in sys.builtin_module_names:
            return None
        else:
            found = _look(module, self.places) or _editable(module)
        if found and found.file and self._is_library(module, found.file):
            return None
        return found

    def _is_library(self, module: str, file: Path) -> bool:
        """Tell whether a module is Python's own or a release's; note the release."""
        if any(file.is_relative_to(place) for place in _installed()):
            top = module.partition(".")[0]
            version = release(top)
            if version:
                self.releases[top] = version
            return bool(version)
        return any(file.is_relative_to(place) for place in _standard())


def _look(name: str, places: Iterable[Path]) -> Found | None:
    """Return what `import name` finds in these places, the first one first."""
    portions = []
    for place in places:
        base = place / name
        for suffix in SUFFIXES:
            if (base / f"__init__{suffix}").is_file():
                return Found(base / f"__init__{suffix}", (base,))
        for suffix in SUFFIXES:
            file = place / f"{name}{suffix}"
            if file.is_file():
                return Found(file)
        if base.is_dir():
            portions.append(base)
    return Found(None, tuple(portions)) if portions else None


def _editable(module: str) -> Found | None:
    """Return where an editable install has put a module, if it is one's."""
    for finder in sys.meta_path:
        if getattr(finder, "__module__", "").startswith("__editable__"):
            spec = finder.find_spec(module, None)
            if spec:
                file = Path(spec.origin) if spec.origin else None
                inside = spec.submodule_search_locations or ()
                return Found(file, tuple(map(Path, inside)))
    return None


# ---- where kernels look, and what lies there -----------------------------------------


def kernel_path(folder: Path) -> tuple[Path, ...]:
    """Return the places in which a kernel in this folder looks for modules, in order.

    As IPython does, the folder stands before the installed packages and after the
    standard library.
    """
    safe, places = _python_path()
    if safe:
        return places
    at = [place.name in ("site-packages", "dist-packages") for place in places]
    index = at.index(True) if True in at else 0
    return (*places[:index], folder, *places[index:])


@cache
def _python_path() -> tuple[bool, tuple[Path, ...]]:
    """Ask a new Python where it looks: this one was started in some other way.

    Returns whether it leaves the folder it is started in alone, and the places.
    """
    done = subprocess.run(
        [sys.executable, "-c", ASK_PATH],
        env={**os.environ, **python_path_variable()},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    safe, places = json.loads(done.stdout.splitlines()[-1])
    return safe, tuple(map(Path, places))


def python_path_variable() -> dict[str, str]:
    """Return PYTHONPATH with absolute places, if it is set.

    A relative place is meant from the caller's folder; a kernel starts in another.
    """
    value = os.environ.get("PYTHONPATH")
    if not value:
        return {}
    return {
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, value.split(os.pathsep)))
    }


@cache
def _standard() -> frozenset[Path]:
    """Return the folders of the standard library."""
    kinds = ("stdlib", "platstdlib")
    return frozenset(Path(sysconfig.get_path(kind)) for kind in kinds)


@cache
def _installed() -> frozenset[Path]:
    """Return the folders that packages are installed in."""
    folders = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    folders |= {*site.getsitepackages(), site.getusersitepackages()}
    return frozenset(map(Path, folders))


def installed_places() -> list[str]:
    """Return every folder whose modules are no one's own, as texts."""
    return sorted(map(str, _standard() | _installed()))


@cache
def release(module: str) -> str:
    """Return the version of the release that installed a top-level module.

    Several releases may share a package without `__init__`: all their versions count.
    Returns an empty text for a module without a release, and for one that was installed
    from a folder of this machine: its version says nothing about its code.
    """
    versions = []
    for name in _distributions_of(module):
        distribution = importlib.metadata.distribution(name)
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        place = urlparse(origin.get("url", ""))
        if place.scheme == "file" and Path(unquote(place.path)).is_dir():
            return ""
        commit = origin.get("vcs_info", {}).get("commit_id", "")
        versions.append(f"{distribution.version} {commit}".rstrip())
    return ", ".join(versions)


def _distributions_of(module: str) -> list[str]:
    """Return the names of the distributions that installed a top-level module."""
    try:
        # Most bear their module's name, and reading what all installed takes a while.
        importlib.metadata.distribution(module)
    except importlib.metadata.PackageNotFoundError:
        return sorted(set(_by_module().get(module, ())))
    return [module]


@cache
def _by_module() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())
