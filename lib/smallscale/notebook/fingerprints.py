"""Which code does a result depend on? Hashes of code and of files.

The bench names runs by these hashes, and `remember` names its steps by them. Code is
hashed without its comments and docstrings. Imports are followed by reading the source,
not by importing.
"""

import ast
import hashlib
import importlib.metadata
import itertools
import platform
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
HAS_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
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


def bare(source: str) -> str:
    """Return source without comments, docstrings and layout.

    Two sources that differ only in these give the same text.

    >>> bare("x = 1  # one") == bare("x=1")
    True
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if not isinstance(node, HAS_DOCSTRING):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


# ---- the modules that code imports ---------------------------------------------------


def modules(
    source: str, folder: Path | None = None, package: str = ""
) -> dict[str, Path]:
    """Return the modules of smallscale that this source imports, by name.

    Those that they import in turn are included, and so are the data files beside the
    modules of a package, as `package/file`.

    folder: where other modules are looked for as well, such as those beside a notebook.
    package: the package that relative imports start from.
    """
    found: dict[str, Path] = {}
    todo = [(source, package)]
    while todo:
        text, importer = todo.pop()
        for module in _imported(ast.parse(text), importer):
            path = None if module in found else _file(module, folder)
            if not path:
                continue
            found[module] = path
            is_package = path.name == "__init__.py"
            if is_package:
                found |= _data_files(module, path.parent)
            inside = module if is_package else module.rpartition(".")[0]
            todo.append((path.read_text(encoding="utf-8"), inside))
    return found


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the names of all modules that this code may import, outer ones first."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            # Each imported name may be a module itself.
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            yield from itertools.accumulate(name.split("."), "{}.{}".format)


def _base(node: ast.ImportFrom, package: str) -> str:
    """Return the module that `from … import` names, with its dots resolved."""
    parts: list[str] = []
    if node.level:
        inside = package.split(".")
        parts = inside[: len(inside) - node.level + 1]
    if node.module:
        parts.append(node.module)
    return ".".join(parts)


def _file(module: str, folder: Path | None) -> Path | None:
    """Return the file of a module of smallscale or in this folder, or None."""
    root = PACKAGE.parent if module.split(".")[0] == PACKAGE.name else folder
    if not root:
        return None
    base = root.joinpath(*module.split("."))
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def _data_files(package: str, folder: Path) -> dict[str, Path]:
    """Return the files of a package that are neither code nor hidden, by name."""
    return {
        f"{package}/{file.name}": file
        for file in folder.glob("[!.]*")
        if file.is_file() and file.suffix != ".py"
    }


# ---- hashes of files -----------------------------------------------------------------


def module_hashes(found: dict[str, Path]) -> dict[str, str]:
    """Return a hash of each of these files, by name, as `modules` found them.

    Of a module the bare source counts, of a data file its bytes.
    """
    return {
        name: _file_hash(path, path.stat().st_mtime_ns)
        for name, path in sorted(found.items())
    }


def data_hashes(module: str) -> dict[str, str]:
    """Return the hashes of the data files beside a module of smallscale, by name."""
    parts = module.split(".")[1:]
    folder = PACKAGE.joinpath(*parts)
    if not folder.is_dir():
        folder = folder.parent
    return module_hashes(_data_files(folder.name, folder))


@cache
def _file_hash(path: Path, changed: int) -> str:
    """Return the file's hash; `changed`, its time of change, renews what is cached."""
    if path.suffix != ".py":
        return contents_hash(path)
    return hashlib.sha256(bare(path.read_text(encoding="utf-8")).encode()).hexdigest()


def contents_hash(path: Path) -> str:
    """Return a hash of what a file or folder holds, wherever it lies.

    Of a folder, the names of the files below it and their bytes count.
    """
    if path.is_file():
        files = {"": path}
    else:
        below = (file for file in path.rglob("*") if file.is_file())
        files = {file.relative_to(path).as_posix(): file for file in sorted(below)}
    total = hashlib.sha256()
    for name, file in files.items():
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{name}\0{digest}\n".encode())
    return total.hexdigest()
