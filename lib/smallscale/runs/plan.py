"""What is to do? Every run that notebooks and parameters ask for, less what was completed before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from smallscale.runs.catalogue import Notebook
from smallscale.runs.identity import Identifier
from smallscale.runs.parameters import Value, grid, unknown
from smallscale.runs.results import Record, Results


@dataclass(frozen=True)
class Task:
    """Everything one run needs to know; plain data, so that it can go to another process or machine."""

    run: str
    notebook: Notebook
    parameters: dict[str, Value]
    data: dict[str, str]
    out: Path
    html: bool = True
    timeout: float | None = None
    threads: int = 1
    warm: Path | None = None  # the warm process's socket

    @property
    def folder(self) -> Path:
        """Where the run lies when it is over."""
        return self.out / "runs" / self.run


@dataclass
class Plan:
    """What a command asks for: runs done before, runs to do, and what their notebooks import."""

    done: list[Record]
    todo: list[Task]
    imports: list[str]


def plan(
    notebooks: Iterable[Notebook], asked: Mapping[str, str], caller: Path, results: Results, *, fresh: bool = False
) -> Plan:
    """Every run that the notebooks and parameters ask for. Raises Refused before anything has started."""
    done: dict[str, Record] = {}
    todo: dict[str, Task] = {}
    imports: dict[str, None] = {}
    for notebook in notebooks:
        for name in asked:
            if name not in notebook.parameters:
                raise unknown(name, notebook.parameters, notebook.name)
        identifier = Identifier(notebook)
        for parameters in grid(notebook.parameters, asked, caller):
            run, data = identifier.run(parameters)
            record = results.records.get(run)
            if record and record["status"] == "completed" and not fresh:
                done[run] = record
            else:
                todo[run] = Task(run, notebook, parameters, data, results.folder)
        imports |= dict.fromkeys(notebook.imports)
    return Plan(list(done.values()), list(todo.values()), list(imports))
