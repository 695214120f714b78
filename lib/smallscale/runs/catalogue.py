"""Which notebooks are there? Found by path, name, theme or `all`, and not run."""

import ast
import importlib.metadata
import importlib.util
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlparse

from smallscale.runs import Refused, refusing
from smallscale.runs.cell_code import trees
from smallscale.runs.parameters import Parameter, is_text, near, read_parameters

# Notebooks that have moved: the old name and the new one. The old name still works.
MOVED = {"dpo/collective-constitution": "values/collective-constitution"}

HEADING = re.compile(r"^# +(.+)$", re.M)
FIRST_PARAGRAPH = re.compile(r"^# .+\n+([^\n#|].+(?:\n.+)*)", re.M)
KINDS = ("code", "markdown", "raw")
INJECTED = "injected-parameters"  # papermill's tag, for the cell that a run puts in
# Kernels that run another language, for notebooks that do not name their language.
OTHER_KERNELS = re.compile(
    r"(?:ir|julia|bash|sos|octave|scilab|sas|stata|matlab|deno|tslab|java|kotlin|scala|"
    r"rust|go|gophernotes|ruby|iruby|xcpp|xeus-(?!python)|\.net|i?haskell|ocaml|"
    r"i?clojure|i?perl|raku|i?lua|php|i?typescript|i?javascript|nodejs|elixir|erlang|"
    r"powershell|pwsh|evcxr|l?fortran|prolog|racket|common-lisp|wolframlanguage|"
    r"maxima)\b.*",
    re.I,
)


@dataclass(frozen=True)
class Cell:
    """One cell, as far as the bench looks at it."""

    kind: str  # one of KINDS
    text: str
    tags: list[str]


@dataclass(frozen=True)
class Notebook:
    """A notebook file, read once: what was read is what runs.

    Its name is theme/file, or, where it lies outside a notebooks/ folder, its path from
    the caller's folder. What reads the file raises Refused where it is no notebook.
    """

    path: Path
    name: str

    @classmethod
    def from_document(cls, path: Path, document: Any, name: str = "") -> Self:
        """Return a notebook as if it had been read from a file that holds this."""
        notebook = cls(path, name or path.stem)
        notebook.__dict__["document"] = document
        return notebook

    @cached_property
    def document(self) -> dict[str, Any]:
        """The notebook as JSON, which must not be changed.

        It is read as plain JSON: nbformat takes longer to import than most commands
        take to run.
        """
        with refusing(f"{self.path} cannot be read: ", OSError):
            content = self.path.read_bytes()
        # ValueError is also what bytes in no encoding of JSON's raise.
        with refusing(
            f"{self.path} is not a notebook: it is not valid JSON",
            ValueError,
            RecursionError,
        ):
            document: dict[str, Any] = json.loads(content)
        with refusing(
            f"{self.path} is not a notebook: its JSON has no list of cells in format 4",
            KeyError,
            TypeError,
            AttributeError,
        ):
            if document["nbformat"] != 4:
                raise Refused(
                    f"{self.path} is in notebook format {document['nbformat']}; "
                    "save it anew, in format 4"
                )
            iter(document["cells"])
        language = _language(document)
        if language != "python":
            raise Refused(
                f"{self.path} is written for a kernel of {language}; "
                "only notebooks in Python can be run"
            )
        return document

    @cached_property
    def cells(self) -> list[Cell]:
        """The cells in order, without the one that an earlier run has put in."""
        cells = []
        for number, content in enumerate(self.document["cells"], 1):
            with refusing(
                f"{self.path} is not a notebook: its cell {number} is no cell",
                KeyError,
                TypeError,
                AttributeError,
                ValueError,
            ):
                cell = _cell(content)
            if INJECTED not in cell.tags:
                cells.append(cell)
        return cells

    @cached_property
    def markdown(self) -> list[str]:
        """The texts of the prose cells."""
        return [cell.text for cell in self.cells if cell.kind == "markdown"]

    @cached_property
    def code(self) -> list[str]:
        """The texts of the code cells."""
        return [cell.text for cell in self.cells if cell.kind == "code"]

    @cached_property
    def parameters_at(self) -> int:
        """The index of the cell tagged `parameters`; Refused where there is none."""
        for index, cell in enumerate(self.cells):
            if cell.kind == "code" and "parameters" in cell.tags:
                return index
        raise Refused(
            f"{self.path} has no parameters cell: "
            "tag the cell that declares them `parameters`"
        )

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters that it declares, by name."""
        return read_parameters(self.cells[self.parameters_at].text, self.name)

    @cached_property
    def title(self) -> str:
        """The text of the H1, or the name where there is none."""
        heading = HEADING.search("\n".join(self.markdown))
        return heading[1].strip() if heading else self.name

    @cached_property
    def question(self) -> str:
        """The first paragraph under the H1: what the notebook asks."""
        paragraph = FIRST_PARAGRAPH.search("\n".join(self.markdown))
        return " ".join(paragraph[1].split()) if paragraph else ""

    def imports(
        self, nodes: Callable[[ast.AST], Iterable[ast.AST]] = ast.iter_child_nodes
    ) -> list[str]:
        """Return the import statements at the top level of its cells.

        With `ast.walk` those within functions and conditions come too.
        """
        return [
            ast.unparse(node)
            for text in self.code
            for tree in trees(text)
            for node in nodes(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]

    @cached_property
    def missing(self) -> list[str]:
        """The top-level modules that it imports and that this machine does not have."""
        beside = {file.stem for file in self.path.parent.glob("*.py")}
        names = set()
        for statement in self.imports(ast.walk):
            name = statement.split()[1].split(".")[0].strip(",")
            if name and name not in beside:  # a relative import has no name
                names.add(name)
        return sorted(name for name in names if not _is_there(name))


def _cell(content: dict[str, Any]) -> Cell:
    """Return a cell of a notebook's JSON; an editor may have left its metadata out."""
    kind = content["cell_type"]
    if kind not in KINDS:
        raise ValueError(kind)
    if not isinstance(content["source"], str | list):
        raise TypeError(content["source"])
    tags = (content.get("metadata") or {}).get("tags") or []
    return Cell(kind, "".join(content["source"]), [str(tag) for tag in tags])


def _language(document: dict[str, Any]) -> str:
    """Return the language that a notebook's kernel runs, "python" if none is named."""
    metadata = document.get("metadata")
    parts = metadata if isinstance(metadata, dict) else {}
    kernel = parts.get("kernelspec")
    kernel = kernel if isinstance(kernel, dict) else {}
    info = parts.get("language_info")
    info = info if isinstance(info, dict) else {}
    for stated in (kernel.get("language"), info.get("name")):
        if stated and not str(stated).lower().startswith(("python", "ipython")):
            return str(stated)
    if not kernel.get("language") and not info.get("name"):
        name = str(kernel.get("name") or "")
        if OTHER_KERNELS.fullmatch(name):
            return name
    return "python"


def _is_there(module: str) -> bool:
    """Tell whether a top-level module can be imported."""
    if module in sys.modules:
        return True
    return importlib.util.find_spec(module) is not None


# ---- where notebooks lie -------------------------------------------------------------


def notebooks_folder(start: Path) -> Path | None:
    """Return the nearest notebooks/ folder upward from here.

    Where there is none, it is that of the checkout the package was installed from.
    """
    places = [start, *start.parents, Path(__file__).resolve().parents[3]]
    with suppress(importlib.metadata.PackageNotFoundError):
        package = importlib.metadata.distribution("smallscale")
        record = json.loads(package.read_text("direct_url.json") or "{}")
        places.append(Path(unquote(urlparse(record.get("url", "")).path)))
    for place in places:
        if (place / "notebooks").is_dir():
            return place / "notebooks"
    return None


def find_all(
    start: Path, tell: Callable[[str], None] = lambda line: None
) -> dict[str, Notebook]:
    """Return every notebook of the nearest notebooks/ folder, by name.

    `tell` is given one line for each that is no file, or whose name is no text.
    """
    folder = notebooks_folder(start)
    found: dict[str, Notebook] = {}
    if folder:
        for file in sorted(folder.rglob("*.ipynb")):
            if ".ipynb_checkpoints" in file.parts:
                continue
            wrong = _wrong_with(file)
            if wrong:
                tell(f"{_shown(file)} {wrong} and is left out")
            else:
                name = _name(file, folder)
                found[name] = Notebook(file.resolve(), name)
    return found


def _wrong_with(file: Path) -> str:
    """Say why a path cannot be that of a notebook, or return an empty text."""
    if not is_text(str(file)):
        return "has a name that is not UTF-8"
    if file.is_file():
        return ""
    return "is a link that leads to no file" if file.is_symlink() else "is no file"


def _shown(path: Path | str) -> str:
    """Return a path as text, with escapes for bytes that are no UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def words_for(start: Path) -> list[str]:
    """Return every word that stands for notebooks: names, last parts, themes, all."""
    known = find_all(start)
    themes = [name.split("/")[0] for name in known if "/" in name]
    last_parts = Counter(name.split("/")[-1] for name in known)
    unique = [part for part, count in last_parts.items() if count == 1]
    return sorted({*known, *themes, *unique, "all"})


def _name(file: Path, folder: Path) -> str:
    """Return a notebook's name: its path below notebooks/, without .ipynb."""
    return file.relative_to(folder).with_suffix("").as_posix()


def _name_outside(file: Path, start: Path) -> str:
    """Return the name of a notebook that lies in no notebooks/ folder.

    Notebooks of one file name in two folders have two names.
    """
    start = start.resolve()
    near_by = file.relative_to(start) if file.is_relative_to(start) else file
    return near_by.with_suffix("").as_posix()


# ---- what the command asks for -------------------------------------------------------


def choose(
    asked: Iterable[str], start: Path, tell: Callable[[str], None] = lambda line: None
) -> list[Notebook]:
    """Return the notebooks asked for, each once, in the order asked.

    A word is a path, a name, the last part of a name where that is unique, a theme or
    `all`. `tell` is given one line for each word
    that is the old name of a notebook that has moved. Raises Refused with the nearest
    name where there is no such notebook.
    """
    asked = list(asked)
    left_out: list[str] = []
    known = find_all(start, left_out.append)
    several = {"all", *(name.split("/")[0] for name in known if "/" in name)}
    if several & {word.rstrip("/") for word in asked}:
        for line in left_out:
            tell(line)
    chosen: dict[Path, Notebook] = {}
    for word in asked:
        for notebook in _find(word, known, start, tell):
            chosen[notebook.path] = notebook
    return list(chosen.values())


def _find(
    word: str, known: dict[str, Notebook], start: Path, tell: Callable[[str], None]
) -> list[Notebook]:
    """Return the notebooks that one word asks for."""
    plain = word.rstrip("/").removesuffix(".ipynb")
    if plain == "all" and known:
        return list(known.values())
    if plain in known:
        return [known[plain]]
    path = _path(word, start)
    if path and path.is_file():
        if not is_text(str(path)):
            raise Refused(f"{_shown(path)} has a name that is not UTF-8; rename it")
        found = [notebook for notebook in known.values() if notebook.path == path]
        return found or [Notebook(path, _name_outside(path, start))]
    in_theme = [known[name] for name in known if name.startswith(f"{plain}/")]
    if in_theme:
        return in_theme
    of_that_file = [known[name] for name in known if name.endswith(f"/{plain}")]
    if len(of_that_file) == 1:
        return of_that_file
    if of_that_file:
        names = " or ".join(notebook.name for notebook in of_that_file)
        raise Refused(f"{word!r} may be {names}; write one of these names")
    moved = _new_name(plain, path, start) if path else None
    if moved in known:
        tell(f"{word} has moved: it is {moved} now")
        return [known[moved]]
    raise Refused(_no_such_notebook(word, plain, known))


def _path(word: str, start: Path) -> Path | None:
    """Return the path that a word may be, or None where it can be none.

    It may name nobody's home, be longer than a name can be, or be a circle of links.
    """
    try:
        path = (start / Path(word).expanduser()).resolve()
        path.stat()
    except FileNotFoundError:
        return path
    except (OSError, RuntimeError, ValueError):
        return None
    return path


def _new_name(plain: str, path: Path, start: Path) -> str | None:
    """Return the new name of a notebook that has moved, asked for by name or path."""
    if plain in MOVED:
        return MOVED[plain]
    folder = notebooks_folder(start)
    if folder and path.is_relative_to(folder.resolve()):
        return MOVED.get(_name(path, folder.resolve()))
    return None


def _no_such_notebook(word: str, plain: str, known: dict[str, Notebook]) -> str:
    """Say that there is no such notebook, and which one may have been meant."""
    themes = dict.fromkeys(name.split("/")[0] for name in known if "/" in name)
    by_last_part = {name.split("/")[-1]: name for name in known}
    hint = near(by_last_part.get(plain, plain), [*known, *themes, "all"])
    where = "" if known else "; there is no notebooks/ folder here or above"
    return f"there is no notebook {word!r}{hint}{where}; `smallscale list` prints them"
