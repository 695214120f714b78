"""Is there real text on every machine that has Python? The standard library's code.

Megabytes of it, by many hands: without comments and docstrings, one statement's head or
body a line, so that what a model learns is code and not licences.
"""

import ast
import re
import sysconfig
import warnings
from functools import cache
from hashlib import sha256
from pathlib import Path

from smallscale.core.syntax import parsed

# Folders and files of the standard library that are tests, data, or hardly code.
LEFT_OUT = {
    "test",
    "tests",
    "site-packages",
    "idlelib",
    "lib2to3",
    "ensurepip",
    "turtledemo",
    "encodings",
    "pydoc_data",
    "distutils",
    "__pycache__",
    "tkinter",
    "turtle.py",
    "_pydecimal.py",
    "this.py",
}
LONGEST_LINE = 120  # characters


@cache
def stdlib_modules(characters: int) -> tuple[str, ...]:
    """Return the source of the standard library's modules until there are that many
    characters, in an order that is the same everywhere.

    Comments, docstrings and blank lines are gone, and indentation is one tab a level.
    Lines that are not ASCII or have over 120 characters are left out.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    names = [
        file.relative_to(root)
        for file in root.rglob("*.py")
        if not file.name.startswith("_sysconfigdata")
    ]
    # By a hash of the name: neither alphabet nor folder decides what comes first.
    names.sort(key=lambda name: sha256(name.as_posix().encode()).digest())
    modules: list[str] = []
    length = 0
    for name in names:
        if length >= characters:
            break
        if not LEFT_OUT & set(name.parts):
            source = _plain_source(root / name)
            modules.append(source)
            length += len(source)
    return tuple(filter(None, modules))


def _plain_source(file: Path) -> str:
    """Return a module's code without comments, docstrings, blank and long lines."""
    try:
        # The library's own deprecated escapes would warn.
        with warnings.catch_warnings(action="ignore"):
            tree = parsed(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, OSError):
        return ""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            code = [statement for statement in body if not _is_constant(statement)]
            node.body = code or [ast.Pass()]  # type: ignore[attr-defined]
    lines = [_tabbed(line) for line in ast.unparse(tree).splitlines()]
    return "\n".join(
        line
        for line in lines
        if line.strip() and line.isascii() and len(line) <= LONGEST_LINE
    )


def _is_constant(statement: ast.AST) -> bool:
    """Say whether a statement is a constant alone, such as a docstring."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _tabbed(line: str) -> str:
    """Return the line with a tab for every four spaces at its start."""
    return re.sub("^( {4})+", lambda indent: "\t" * (len(indent[0]) // 4), line)
