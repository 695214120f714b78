"""Which Python does a cell run? IPython's own syntax is made Python before it is read.

What a magic or a shell command runs is looked into as well: `%time import helper`
imports, and `%run helper.py` runs a file.
"""

import ast
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from smallscale.core.syntax import parsed
from smallscale.notebook.fingerprints import NO_PYTHON

WRITES = ("writefile", "file")  # cell magics whose body becomes a file
LOADS = ("load_ext", "reload_ext", "aimport")  # line magics that import a module
SHELL = ("sx", "system", "!")  # magics that give their line to a shell
SCRIPT = re.compile(r"[^\s'\"|&;<>()]+\.(?:py|ipy|ipynb|sh)(?=$|[\s'\"|&;<>()])")
RUN_MODULE = re.compile(r"(?:^|\s)-m\s+([A-Za-z_][\w.]*)")
# It ends at a quote: a shell is told `python -c 'import helper'`.
IMPORT = re.compile(r"\b(?:import|from)[ \t][^'\"\n;&|]*")
NAME = re.compile(r"[A-Za-z_][\w.]*")


def trees(cell: str) -> list[ast.Module]:
    """Return the Python of a cell, and that of its magics, as syntax trees.

    A cell that is wrong has none: it says so when it is run.
    """
    try:
        tree = parsed(cell)
    except NO_PYTHON:
        try:
            tree = parsed(_as_python(cell))
        except NO_PYTHON:
            return []
    found = [tree]
    for magic in _magics(tree):
        found += [tree for text in magic.texts for tree in _trees_of_text(text)]
        if magic.name in LOADS:
            found += [parsed(f"import {name}") for name in NAME.findall(magic.line)]
    for module in RUN_MODULE.findall(" ".join(_commands(tree))):
        found.append(parsed(f"import {module}"))
    return found


def scripts(cells: Iterable[str]) -> set[str]:
    """Return the names of the files that these cells run, as `%run helper.py` does.

    A file that a cell writes itself (`%%writefile`) is not among them: what it holds
    stands in the cell.
    """
    found: set[str] = set()
    written: set[str] = set()
    for cell in cells:
        for tree in trees(cell):
            found |= set(SCRIPT.findall("\n".join(_commands(tree))))
            written |= _written(tree)
    return found - written


def written_files(cells: Iterable[str]) -> set[str]:
    """Return the names of the files that these cells write with `%%writefile`."""
    return {name for cell in cells for tree in trees(cell) for name in _written(tree)}


def named_files(cells: Iterable[str], folder: Path) -> set[str]:
    """Return the files that texts in these cells name, as seen from this folder.

    A text names a file, or, as a line for a shell does, one of its words does. What
    reads a file in another language than Python tells nobody.
    """
    found = set()
    for cell in cells:
        for tree in trees(cell):
            for text in _texts(ast.walk(tree)):
                for word in {text, *text.split()}:
                    path = os.path.abspath(os.path.join(folder, word.strip("'\"")))
                    if os.path.isfile(path):
                        found.add(path)
    return found


class _Magic:
    """A magic, or a shell command, that a cell calls."""

    def __init__(self, call: ast.Call, texts: list[str]) -> None:
        self.is_cell = _called(call) == "run_cell_magic"
        by_function = _called(call) in ("system", "getoutput")
        self.name = "" if by_function or not texts else texts[0]
        self.is_shell = by_function or self.name in SHELL
        self.line = " ".join(texts[0 if by_function else 1 :][:1])
        self.body = texts[2] if self.is_cell and len(texts) > 2 else ""
        self.texts = [self.line, self.body]  # `%%timeit import helper` has both


def _as_python(cell: str) -> str:
    """Return a cell as the Python that IPython runs."""
    # Imported here: IPython takes a while, and most cells are Python already.
    from IPython.core.inputtransformer2 import TransformerManager

    manager: Any = TransformerManager
    python: str = manager().transform_cell(cell)
    return python


def _called(call: ast.Call) -> str:
    name: str = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return name


def _magics(tree: ast.AST) -> Iterator[_Magic]:
    kinds = ("run_line_magic", "run_cell_magic", "system", "getoutput")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in kinds:
            yield _Magic(node, _texts(node.args))


def _texts(nodes: Iterable[ast.AST]) -> list[str]:
    return [
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def _trees_of_text(text: str) -> list[ast.Module]:
    """Return the Python in a magic's text, or at least the imports in it."""
    found = trees(text)
    if found:
        return found
    # It has options before the code (`%timeit -n 1 import helper`), or is no Python.
    return [tree for line in IMPORT.findall(text) for tree in _parsed(line)]


def _parsed(line: str) -> list[ast.Module]:
    try:
        return [parsed(line.strip())]
    except NO_PYTHON:
        return []


def _commands(tree: ast.AST) -> Iterator[str]:
    """Yield the texts in which a file may be named that is run.

    They are the lines of magics and of the shell, the bodies of cell magics, and what
    `exec` and `runpy.run_path` are given.
    """
    for magic in _magics(tree):
        if magic.is_shell or magic.is_cell or magic.name == "run":
            yield magic.line
            yield magic.body
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in ("exec", "run_path"):
            yield from _texts(ast.walk(node))


def _written(tree: ast.AST) -> set[str]:
    return {
        words[-1]
        for magic in _magics(tree)
        if magic.is_cell and magic.name in WRITES and (words := magic.line.split())
    }
