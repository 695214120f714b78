"""What is to do? Every run that is asked for, less those that were completed before.

A run is known by its identity: a hash of everything that its result depends on.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from smallscale.notebook.fingerprints import (
    contents_hash,
    module_hashes,
    modules,
    versions,
)
from smallscale.runs.catalogue import Notebook
from smallscale.runs.parameters import Value, grid, unknown
from smallscale.runs.record import RunRecord
from smallscale.runs.results import Results

inputs_hash = cache(contents_hash)  # a sweep reads its data once


class Identifier:
    """Names the runs of one notebook.

    What does not depend on the parameters is hashed once: the notebook's code cells,
    the bare code of the library modules that it imports, and the versions.
    """

    def __init__(self, notebook: Notebook) -> None:
        imports = "\n".join(notebook.imports(ast.walk))
        self.code = {
            "cells": notebook.code,
            "modules": module_hashes(modules(imports, notebook.path.parent)),
            "versions": versions(),
        }
        self.stem = notebook.path.stem
        self.paths = [
            name for name, parameter in notebook.parameters.items() if parameter.path
        ]

    def run(self, parameters: Mapping[str, Value]) -> tuple[str, dict[str, str]]:
        """Return the run's name, and for each path a hash of what it holds.

        The name is the notebook's file name and twelve hexadecimal digits. A path
        counts by what it holds, not by where it lies.
        """
        data = {
            name: inputs_hash(Path(str(parameters[name])))
            for name in self.paths
            if parameters[name]
        }
        identity = json.dumps([self.code, {**parameters, **data}], sort_keys=True)
        digits = hashlib.sha256(identity.encode()).hexdigest()[:12]
        return f"{self.stem}-{digits}", data


@dataclass(frozen=True)
class Task:
    """Everything that one run needs to know.

    It is plain data, so that it can go to another process or machine.
    """

    run: str
    notebook: Notebook
    parameters: dict[str, Value]
    data: dict[str, str]  # a hash of what each path parameter points at
    folder: Path  # where the run lies when it is over
    html: bool = True
    timeout: float | None = None  # seconds
    threads: int = 1
    warm: Path | None = None  # the warm process's socket


@dataclass
class Plan:
    """What a command asks for."""

    done: list[RunRecord]  # runs that were completed before
    todo: list[Task]
    imports: list[str]  # the import statements of the chosen notebooks


def plan(
    notebooks: Iterable[Notebook],
    asked: Mapping[str, str],
    caller: Path,
    results: Results,
    *,
    fresh: bool = False,
) -> Plan:
    """Return every run that the notebooks and parameters ask for.

    asked: the values of each parameter, as the command line has them.
    caller: the folder that relative paths start from.
    fresh: runs that were completed before are to do as well.
    Raises Refused before anything has started.
    """
    done: dict[str, RunRecord] = {}
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
            if record and record.status == "completed" and not fresh:
                done[run] = record
                continue
            folder = results.folder / "runs" / run
            todo[run] = Task(run, notebook, parameters, data, folder)
        imports |= dict.fromkeys(notebook.imports())
    return Plan(list(done.values()), list(todo.values()), list(imports))
