"""Whose text is it? The standard library's code by package, or a folder by author."""

import ast
import json
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from smallscale.core.syntax import parsed
from smallscale.core.validation import require

# Packages and modules that Python 3.11 to 3.14 all have, in groups of similar size:
# each has at least 185 kB of bare code.
_STDLIB = json.loads(Path(__file__).with_name("stdlib.json").read_text("utf-8"))
CONTRIBUTORS: dict[str, list[str]] = _STDLIB["contributors"]
ELSEWHERE: list[str] = _STDLIB["elsewhere"]
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
LONGEST_LINE = 120  # characters
LARGEST_DOCUMENT = 4 << 20  # bytes
MOST_AUTHORS = 10  # 1,024 coalitions


@dataclass(frozen=True)
class Authors:
    """Texts by author.

    texts: author -> document -> text.
    elsewhere: document -> text, by none of these authors.
    name: what to call the texts in a caption.
    """

    texts: dict[str, dict[str, str]]
    elsewhere: dict[str, str]
    name: str


def authors(folder: str | Path = "") -> Authors:
    """Return texts by several authors: the standard library's packages, or a folder's.

    folder: each subfolder is an author, and every file below it that is UTF-8 text is a
    document; hidden files, links, what is not text and files of more than 4 MiB are
    left out. The last fifth of each document's lines goes to `elsewhere`, since nothing
    else in a folder is by nobody.

    Without a folder, the authors are the groups of the standard library's packages that
    CONTRIBUTORS names; of their files only the code is kept, as `bare_code` leaves it.
    `elsewhere` holds modules that are in no group.

    The texts are only ever counted and shown, never run. Raises ValueError for a folder
    with fewer than 2 authors or more than 10, and for an author without text.

    >>> list(authors().texts)
    ['asyncio', 'email', 'web', 'xml', 'processes', 'config']
    """
    if str(folder):
        return _from_folder(Path(folder).expanduser())
    root = Path(sysconfig.get_paths()["stdlib"])
    texts = {author: _modules(root, parts) for author, parts in CONTRIBUTORS.items()}
    return Authors(texts, _modules(root, ELSEWHERE), "the standard library")


def bare_code(text: str) -> str:
    """Return Python source without comments, docstrings and blank lines.

    Each logical line is one line, as `ast.unparse` writes it; lines of more than 120
    characters, and lines that are not ASCII, are left out.
    Raises SyntaxError for what is not Python.

    >>> bare_code("def f(x):  # a comment\\n    return (x +\\n        1)\\n")
    'def f(x):\\n    return x + 1\\n'
    """
    tree = parsed(text)
    for node in ast.walk(tree):
        if not isinstance(node, DOCUMENTED):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    lines = [line for line in ast.unparse(tree).splitlines() if line.strip()]
    kept = [line for line in lines if line.isascii() and len(line) <= LONGEST_LINE]
    return "".join(f"{line}\n" for line in kept)


def _modules(root: Path, parts: Iterable[str]) -> dict[str, str]:
    """Return the bare code of modules and packages, by path below `root`."""
    texts = {}
    for part in parts:
        for file in sorted([root / f"{part}.py", *(root / part).rglob("*.py")]):
            inside = file.relative_to(root)
            if not file.is_file() or {"test", "tests"} & set(inside.parts):
                continue
            code = bare_code(file.read_text(encoding="utf-8"))
            if code:
                texts[inside.as_posix()] = code
    return texts


def _from_folder(folder: Path) -> Authors:
    """Return the texts of a folder that has a subfolder for each author."""
    wanted = "give one with a subfolder of documents for each author"
    require(folder.is_dir(), f"{folder} is not a folder; {wanted}")
    homes = sorted(path for path in folder.iterdir() if _is_home(path))
    wanted = f"2 to {MOST_AUTHORS} subfolders, one for each author"
    require(
        2 <= len(homes) <= MOST_AUTHORS,
        f"{folder} must hold {wanted}, as every coalition is counted; got {len(homes)}",
    )
    texts: dict[str, dict[str, str]] = {}
    elsewhere: dict[str, str] = {}
    for home in homes:
        texts[home.name] = {}
        for name, text in documents_below(home):
            lines = text.splitlines(keepends=True)
            cut = len(lines) - len(lines) // 5
            rest = "".join(lines[cut:])
            texts[home.name][name] = "".join(lines[:cut])
            if rest.strip():
                elsewhere[f"{home.name}/{name}"] = rest
        advice = "an author needs at least one document, or no folder"
        written = any(text.strip() for text in texts[home.name].values())
        require(written, f"{home} holds no text; {advice}")
    return Authors(texts, elsewhere, folder.name)


def _is_home(path: Path) -> bool:
    """Whether a path is a subfolder that stands for an author."""
    return path.is_dir() and not path.is_symlink() and not path.name.startswith(".")


def documents_below(home: Path) -> list[tuple[str, str]]:
    """Return (name, text) of every text file below a folder, in order of name.

    Hidden files, links, what is not UTF-8 and files of more than 4 MiB are left out.
    """
    found = []
    for file in sorted(home.rglob("*")):
        inside = file.relative_to(home)
        hidden = any(part.startswith(".") for part in inside.parts)
        if hidden or file.is_symlink() or not file.is_file():
            continue
        if file.stat().st_size > LARGEST_DOCUMENT:
            continue
        try:
            text = file.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            found.append((inside.as_posix(), text))
    return found
