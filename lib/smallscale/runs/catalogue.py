"""Which notebooks are there? Found by path, name, theme or `all`, and read without running them."""

import ast
import importlib.metadata
import importlib.util
import json
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlparse

from smallscale.runs import Refused, refusing
from smallscale.runs.parameters import Parameter, near, read_parameters

IMPORT = (ast.Import, ast.ImportFrom)


@dataclass(frozen=True)
class Notebook:
    """A notebook file, read once."""

    path: Path
    name: (
        str  # theme/file, or the file's path for a notebook outside a notebooks/ folder
    )

    @cached_property
    def cells(self) -> list[tuple[str, str, list[str]]]:
        """Kind, text and tags of each cell. Raises Refused where the file is no notebook.

        Read as plain JSON: nbformat takes longer to import than most commands take to run.
        """
        with refusing(f"{self.path} cannot be read: ", OSError):
            content = self.path.read_bytes()
        with refusing(
            f"{self.path} is not a notebook: it is not valid JSON", ValueError
        ):  # also what is no UTF-8
            node = json.loads(content)
        no_list = (
            f"{self.path} is not a notebook: its JSON has no list of cells in format 4"
        )
        with refusing(no_list, KeyError, TypeError, AttributeError):
            if node["nbformat"] != 4:
                raise Refused(
                    f"{self.path} is in notebook format {node['nbformat']}; save it anew, in format 4"
                )
            tagged = [
                (cell, list(cell.get("metadata", {}).get("tags", [])))
                for cell in node["cells"]
            ]
            return [
                (cell["cell_type"], "".join(cell["source"]), tags)
                for cell, tags in tagged
            ]

    @cached_property
    def markdown(self) -> list[str]:
        """The text of the prose cells."""
        return [text for kind, text, _ in self.cells if kind == "markdown"]

    @cached_property
    def code(self) -> list[str]:
        """The text of the code cells."""
        return [text for kind, text, _ in self.cells if kind == "code"]

    @cached_property
    def parameters_at(self) -> int:
        """Where the cell tagged `parameters` stands. Raises Refused where there is none."""
        for index, (kind, _, tags) in enumerate(self.cells):
            if kind == "code" and "parameters" in tags:
                return index
        raise Refused(
            f"{self.path} has no parameters cell: tag the cell that declares them `parameters`"
        )

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """What may be asked of it, by name."""
        return read_parameters(self.cells[self.parameters_at][1], self.name)

    @cached_property
    def title(self) -> str:
        """The text of the H1, else the name."""
        heading = re.search(r"^# +(.+)$", "\n".join(self.markdown), re.M)
        return heading[1].strip() if heading else self.name

    @cached_property
    def question(self) -> str:
        """The first paragraph under the H1: what the notebook asks."""
        found = re.search(
            r"^# .+\n+([^\n#|].+(?:\n.+)*)", "\n".join(self.markdown), re.M
        )
        return " ".join(found[1].split()) if found else ""

    def imports(
        self, nodes: Callable[[ast.AST], Iterable[ast.AST]] = ast.iter_child_nodes
    ) -> list[str]:
        """The import statements at the top level of its cells, which a warm kernel has run; with ast.walk, all."""
        return [
            ast.unparse(node)
            for tree in self._trees
            for node in nodes(tree)
            if isinstance(node, IMPORT)
        ]

    @cached_property
    def missing(self) -> list[str]:
        """The top-level modules it imports that this machine does not have."""
        names = {
            statement.split()[1].split(".")[0] for statement in self.imports(ast.walk)
        }
        beside = {file.stem for file in self.path.parent.glob("*.py")}
        return sorted(
            name for name in names - beside - {""} if not importlib.util.find_spec(name)
        )

    @property
    def _trees(self) -> list[ast.Module]:
        trees = []
        for source in self.code:
            with suppress(SyntaxError):  # running it will say so, with the cell
                trees.append(ast.parse(re.sub(r"^\s*[%!].*$", "", source, flags=re.M)))
        return trees


def notebooks_folder(start: Path) -> Path | None:
    """The nearest notebooks/ upward from here, else that of the checkout the package was installed from."""
    places = [start, *start.parents, Path(__file__).resolve().parents[3]]
    with suppress(importlib.metadata.PackageNotFoundError):
        record = importlib.metadata.distribution("smallscale").read_text(
            "direct_url.json"
        )
        places.append(
            Path(unquote(urlparse(json.loads(record or "{}").get("url", "")).path))
        )
    return next(
        (place / "notebooks" for place in places if (place / "notebooks").is_dir()),
        None,
    )


def find_all(start: Path) -> dict[str, Notebook]:
    """Every notebook of the nearest notebooks/ folder, by name."""
    folder = notebooks_folder(start)
    if not folder:
        return {}
    files = [
        file
        for file in sorted(folder.rglob("*.ipynb"))
        if ".ipynb_checkpoints" not in file.parts
    ]
    named = [
        (file.relative_to(folder).with_suffix("").as_posix(), file) for file in files
    ]
    return {name: Notebook(file.resolve(), name) for name, file in named}


def choose(asked: Iterable[str], start: Path) -> list[Notebook]:
    """The notebooks asked for by path, name, theme or `all`, each once, in the order asked."""
    known = find_all(start)
    themes = {name.split("/")[0] for name in known if "/" in name}
    chosen: dict[Path, Notebook] = {}
    for word in asked:
        path = (start / Path(word).expanduser()).resolve()
        plain = word.rstrip("/").removesuffix(".ipynb")
        if plain == "all" and known:
            found = list(known.values())
        elif plain in known:
            found = [known[plain]]
        elif path.is_file():
            found = [
                next(
                    (n for n in known.values() if n.path == path),
                    Notebook(path, path.stem),
                )
            ]
        elif plain in themes:
            found = [
                notebook
                for name, notebook in known.items()
                if name.startswith(plain + "/")
            ]
        else:
            stems = {name.split("/")[-1]: name for name in known}
            hint = near(stems.get(plain, plain), [*known, *themes, "all"])
            where = "" if known else "; there is no notebooks/ folder here or above"
            raise Refused(
                f"there is no notebook {word!r}{hint}{where}; `smallscale list` prints them"
            )
        chosen |= {notebook.path: notebook for notebook in found}
    return list(chosen.values())
