"""Which code does a result depend on? Hashes of code, without its comments and docstrings, and of files.

The bench names runs by these hashes and `remember` its steps. Imports are followed by reading, not by importing.
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
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# A result may change with these; the rest of the environment draws, serves or tests.
VERSIONS = (
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "transformers",
    "safetensors",
)


def versions() -> dict[str, str]:
    """Python's version and those of the installed libraries that a result may depend on."""
    found = {"python": platform.python_version()}
    for name in VERSIONS:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def bare(source: str) -> str:
    """Source without comments, docstrings and layout: equal for two texts that do the same thing."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if (
            isinstance(node, DOCUMENTED)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def modules(
    source: str, folder: Path | None = None, package: str = ""
) -> dict[str, Path]:
    """The modules of smallscale that this source imports, theirs in turn included: files by module name.

    The data files beside the modules of a package come with it, as `package/file`.

    folder: where other modules are looked for as well, such as those beside a notebook.
    package: the package that relative imports start from.
    """
    found: dict[str, Path] = {}
    todo = [(source, package)]
    while todo:
        text, package = todo.pop()
        for name in _imported(ast.parse(text), package):
            for module in itertools.accumulate(name.split("."), "{}.{}".format):
                path = None if module in found else _file(module, folder)
                if path:
                    found[module] = path
                    inside = (
                        module
                        if path.name == "__init__.py"
                        else module.rpartition(".")[0]
                    )
                    todo.append((path.read_text(encoding="utf-8"), inside))
                    if inside == module:
                        beside = (
                            file
                            for file in path.parent.glob("[!.]*")
                            if file.is_file() and file.suffix != ".py"
                        )
                        found |= {f"{module}/{file.name}": file for file in beside}
    return found


def module_hashes(found: dict[str, Path]) -> dict[str, str]:
    """A hash of the bare source of each of these modules, and of the bytes of each data file, by name."""
    return {
        name: _file_hash(path, path.stat().st_mtime_ns)
        for name, path in sorted(found.items())
    }


@cache
def _file_hash(path: Path, changed: int) -> str:
    if path.suffix != ".py":
        return contents_hash(path)
    return hashlib.sha256(bare(path.read_text(encoding="utf-8")).encode()).hexdigest()


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = (
                package.split(".")[: len(package.split(".")) - node.level + 1]
                if node.level
                else []
            )
            name = ".".join([*start, *([node.module] if node.module else [])])
            yield name
            yield from (
                f"{name}.{alias.name}" for alias in node.names
            )  # a name may be a module


def _file(module: str, folder: Path | None) -> Path | None:
    root = PACKAGE.parent if module.split(".")[0] == PACKAGE.name else folder
    base = root.joinpath(*module.split(".")) if root else None
    return (
        next(
            filter(Path.is_file, (base / "__init__.py", base.with_suffix(".py"))), None
        )
        if base
        else None
    )


def contents_hash(path: Path) -> str:
    """A hash of what a file or folder holds: its files' names below it and their bytes, not where it lies."""
    total = hashlib.sha256()
    files = (
        [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    )
    for file in files:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        name = "" if file == path else file.relative_to(path).as_posix()
        total.update(f"{name}\0{digest}\n".encode())
    return total.hexdigest()
