"""Whose text is it? The standard library's code by package, or a folder of documents by author."""

import ast
import json
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Packages and modules that Python 3.11 to 3.14 all have, in groups of similar size: at least 185 kB once stripped.
_STDLIB = json.loads(Path(__file__).with_name("stdlib.json").read_text("utf-8"))
CONTRIBUTORS, ELSEWHERE = _STDLIB["contributors"], _STDLIB["elsewhere"]
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
LONGEST_LINE = 120
LARGEST_DOCUMENT = 4 << 20  # bytes
MOST_AUTHORS = 10  # 1,024 coalitions


@dataclass(frozen=True)
class Authors:
    """Texts by author. texts: author -> document -> text; elsewhere: document -> text, by nobody of them.

    name: what to call the texts in a caption.
    """

    texts: dict[str, dict[str, str]]
    elsewhere: dict[str, str]
    name: str


def authors(folder: str | Path = "") -> Authors:
    """Texts by several authors: the standard library's packages where `folder` is empty, else that folder's.

    Of the standard library, code alone is read, as `bare_code` leaves it, from the groups of packages CONTRIBUTORS;
    `elsewhere` are modules of no group. In a folder each subfolder is an author, and every file below it that is
    UTF-8 text is a document; hidden files, links and what is not text are left out. The last fifth of each
    document's lines goes to `elsewhere`: nothing else there is by nobody.
    What is read is only ever counted and shown, never run.
    Raises ValueError for a folder without at least 2 authors, for more than 10, and for an author without text.
    """
    if not str(folder):
        root = Path(sysconfig.get_paths()["stdlib"])
        texts = {name: _modules(root, parts) for name, parts in CONTRIBUTORS.items()}
        return Authors(texts, _modules(root, ELSEWHERE), "the standard library")
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is not a folder; give one with a subfolder of documents for each author"
        )
    homes = sorted(
        p
        for p in folder.iterdir()
        if p.is_dir() and not p.is_symlink() and not p.name.startswith(".")
    )
    if not 2 <= len(homes) <= MOST_AUTHORS:
        wanted = f"2 to {MOST_AUTHORS} subfolders, one for each author, as every coalition is counted"
        raise ValueError(f"{folder} must hold {wanted}; got {len(homes)}")
    texts, elsewhere = {}, {}
    for home in homes:
        texts[home.name] = {}
        for name, text in _documents(home):
            lines = text.splitlines(keepends=True)
            cut = len(lines) - len(lines) // 5
            texts[home.name][name] = "".join(lines[:cut])
            elsewhere[f"{home.name}/{name}"] = "".join(lines[cut:])
        if not any(text.strip() for text in texts[home.name].values()):
            raise ValueError(
                f"{home} holds no text; an author needs at least one document, or no folder"
            )
    return Authors(
        texts,
        {name: text for name, text in elsewhere.items() if text.strip()},
        folder.name,
    )


def bare_code(text: str) -> str:
    """Python source without comments, docstrings, blank lines, and lines over 120 characters or beyond ASCII.

    One logical line a line, as `ast.unparse` writes it. Raises SyntaxError for what is not Python.
    """
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if (
            isinstance(node, DOCUMENTED)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    lines = [line for line in ast.unparse(tree).splitlines() if line.strip()]
    return "".join(
        f"{line}\n" for line in lines if line.isascii() and len(line) <= LONGEST_LINE
    )


def _modules(root: Path, parts: Iterable[str]) -> dict[str, str]:
    """The bare code of modules and whole packages, by their path below the standard library."""
    files = [
        file
        for part in parts
        for file in sorted([root / f"{part}.py", *(root / part).rglob("*.py")])
    ]
    ours = [
        file
        for file in files
        if file.is_file() and not {"test", "tests"} & set(file.relative_to(root).parts)
    ]
    bare = {
        file.relative_to(root).as_posix(): bare_code(file.read_text(encoding="utf-8"))
        for file in ours
    }
    return {name: text for name, text in bare.items() if text}


def _documents(home: Path) -> list[tuple[str, str]]:
    """(name, text) of every text file below a folder, in order of name."""
    found = []
    for file in sorted(home.rglob("*")):
        inside = file.relative_to(home)
        hidden = any(part.startswith(".") for part in inside.parts)
        if (
            hidden
            or file.is_symlink()
            or not file.is_file()
            or file.stat().st_size > LARGEST_DOCUMENT
        ):
            continue
        try:
            text = file.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            found.append((inside.as_posix(), text))
    return found
