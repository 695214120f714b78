"""What is to do? Every run that notebooks and parameters ask for, less what was completed before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from smallscale.runs.catalogue import Notebook
from smallscale.runs.identity import Identifier
from smallscale.runs.parameters import Value, grid, unknown
from smallscale.runs.results import Record, Results


@dataclass(frozen=True)
class Task:
    """Everything one run needs to know; plain data, so that it can go to another process or machine."""

    run: str
    notebook: str
    title: str
    question: str
    path: Path
    parameters_at: int
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
    """What a command asks for: runs done before, and runs to do."""

    done: list[Record] = field(default_factory=list)
    todo: list[Task] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)


def plan(
    notebooks: Iterable[Notebook],
    asked: Mapping[str, str],
    caller: Path,
    results: Results,
    *,
    fresh: bool = False,
) -> Plan:
    """Every run that the notebooks and parameters ask for. Raises Refused before anything has started."""
    tasks: dict[str, Task] = {}
    imports: dict[str, None] = {}
    for notebook in notebooks:
        for name in asked:
            if name not in notebook.parameters:
                raise unknown(name, notebook.parameters, notebook.name)
        identifier = Identifier(notebook)
        for parameters in grid(notebook.parameters, asked, caller):
            task = Task(
                run=identifier.run(parameters),
                notebook=notebook.name,
                title=notebook.title,
                question=notebook.question,
                path=notebook.path,
                parameters_at=notebook.parameters_at,
                parameters=parameters,
                data=identifier.data(parameters),
                out=results.folder,
            )
            tasks.setdefault(task.run, task)
        imports |= dict.fromkeys(notebook.imports)
    earlier = {} if fresh else {run: record for run in tasks if (record := results.completed(run))}
    todo = [task for run, task in tasks.items() if run not in earlier]
    return Plan(list(earlier.values()), todo, list(imports))
