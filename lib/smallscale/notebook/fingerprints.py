"""Which code does a result depend on? Hashes of code and of files.

The bench names runs by these hashes, and `remember` names its steps by them. Code is
hashed without its comments and docstrings. Imports are followed by reading the source,
not by importing.
"""

import ast
import hashlib
import importlib.metadata
import itertools
import os
import platform
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from smallscale.core.syntax import parsed

PACKAGE = Path(__file__).parents[1]
HAS_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# What parsing raises where a text is no Python: bad syntax or encoding, or a null byte,
# or so deeply nested that the parser gives up.
NO_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)
IMPORTERS = ("import_module", "__import__", "run_module")  # functions that import
# A result may change with these. The rest of the environment draws, serves or tests.
LIBRARIES = (
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "transformers",
    "safetensors",
)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries a result may depend on."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def bare(source: str | bytes) -> str:
    """Return source without comments, docstrings and layout.

    Two sources that differ only in these give the same text. Bytes are decoded as
    Python decodes a file. Raises SyntaxError or ValueError where it is no Python.

    >>> bare("x = 1  # one") == bare("x=1")
    True
    """
    tree = parsed(source)
    for node in ast.walk(tree):
        if not isinstance(node, HAS_DOCSTRING):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


# ---- the modules that code imports ---------------------------------------------------


def library_file(module: str) -> Path | None:
    """Return the file of a module of smallscale, or None where it is none of its."""
    parts = module.split(".")
    if parts[0] != PACKAGE.name:
        return None
    base = PACKAGE.parent.joinpath(*parts)
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def modules(
    source: str | bytes,
    find: Callable[[str], Path | None] = library_file,
    package: str = "",
) -> dict[str, Path]:
    """Return the files of the modules that this source imports, by the modules' names.

    Those that they import in turn are included, and so are the data files beside the
    modules of a package, as `package/file`. A file that is no Python imports nothing.

    find: returns the file of a module, or None for one that does not count.
    package: the package that relative imports start from.
    """
    found: dict[str, Path] = {}
    todo = [(source, package)]
    while todo:
        text, importer = todo.pop()
        for module in _imported_by(text, importer):
            path = None if module in found else find(module)
            if not path:
                continue
            found[module] = path
            is_package = path.name.startswith("__init__.")
            if is_package:
                found |= _data_files(module, path.parent)
            inside = module if is_package else module.rpartition(".")[0]
            if path.suffix == ".py":
                todo.append((path.read_bytes(), inside))
    return found


def imports(source: str | bytes, names: Collection[str]) -> bool:
    """Tell whether this source imports one of these modules, or of these names."""
    return not set(names).isdisjoint(_imported_by(source, ""))


@lru_cache(2048)  # the notebooks of a sweep share most of the library
def _imported_by(source: str | bytes, package: str) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(imported_names(parsed(source), package)))
    except NO_PYTHON:
        return ()


def imported_names(tree: ast.AST, package: str = "") -> Iterator[str]:
    """Yield the names of all modules that this code may import, outer ones first."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            # Each imported name may be a module itself.
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call):
            names = _named_in_a_call(node)
        for name in names:
            yield from itertools.accumulate(name.split("."), "{}.{}".format)


def _named_in_a_call(call: ast.Call) -> list[str]:
    """Return the module that `importlib.import_module("name")` and its like name."""
    function = getattr(call.func, "attr", getattr(call.func, "id", ""))
    first = call.args[0] if call.args else None
    if function in IMPORTERS and isinstance(first, ast.Constant):
        return [first.value] if isinstance(first.value, str) else []
    return []


def _base(node: ast.ImportFrom, package: str) -> str:
    """Return the module that `from … import` names, with its dots resolved."""
    parts: list[str] = []
    if node.level:
        inside = package.split(".")
        parts = inside[: len(inside) - node.level + 1]
    if node.module:
        parts.append(node.module)
    return ".".join(parts)


def _data_files(package: str, folder: Path) -> dict[str, Path]:
    """Return the files of a package that are neither code nor hidden, by name.

    Those in folders below it count too, unless the folder is a package itself.
    """
    found: dict[str, Path] = {}
    for path in folder.glob("[!._]*"):
        name = f"{package}/{path.name}"
        if path.is_dir() and not (path / "__init__.py").exists():
            found |= _data_files(name, path)
        elif path.is_file() and path.suffix not in (".py", ".pyc"):
            found[name] = path
    return found


# ---- hashes of files -----------------------------------------------------------------


def module_hashes(found: dict[str, Path]) -> dict[str, str]:
    """Return a hash of each of these files, by name, as `modules` found them.

    Of a module the bare source counts, of a data file its bytes.
    """
    return {name: file_hash(path) for name, path in sorted(found.items())}


def data_hashes(module: str) -> dict[str, str]:
    """Return the hashes of the data files beside a module of smallscale, by name."""
    parts = module.split(".")[1:]
    folder = PACKAGE.joinpath(*parts)
    if not folder.is_dir():
        folder = folder.parent
    return module_hashes(_data_files(folder.name, folder))


def file_hash(path: Path) -> str:
    """Return a hash of a module's bare source, or of another file's bytes.

    A module that is no Python counts by its bytes.
    """
    return _source_hash(path.read_bytes()) if path.suffix == ".py" else _digest(path)


@lru_cache(2048)
def _source_hash(source: bytes) -> str:
    try:
        code = bare(source).encode("utf-8", "backslashreplace")
    except NO_PYTHON:
        code = source
    return hashlib.sha256(code).hexdigest()


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def contents_hash(path: Path) -> str:
    """Return a hash of what a file or folder holds, wherever it lies.

    Of a folder, the names of the files below it and their bytes count, also in folders
    that are links. A folder with nothing in it counts by its name.
    """
    files = {"": path}
    if not path.is_file():
        below = sorted(_files_below(path))
        files = {file.relative_to(path).as_posix(): file for file in below}
    total = hashlib.sha256()
    for name, file in files.items():
        digest = _digest(file) if file.is_file() else ""
        line = f"{name}\0{digest}\n"
        total.update(line.encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _files_below(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Yield all that lies below a folder, but of folders only those with nothing in.

    A link that leads back to a folder above it is not followed.
    """
    above |= {os.path.realpath(folder)}
    with os.scandir(folder) as entries:
        for entry in entries:
            path = folder / entry.name
            if not entry.is_dir() or os.path.realpath(path) in above:
                yield path
                continue
            below = _files_below(path, above)
            first = next(below, path)
            yield from (first, *below)
