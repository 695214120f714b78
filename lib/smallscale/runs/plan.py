"""What is to do? Every run that notebooks and parameters ask for, less what was completed before.

A run is known by its name: a hash of everything that its result depends on.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
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

inputs_hash = lru_cache(maxsize=None)(contents_hash)  # a sweep reads its data once


class Identifier:
    """Names the runs of one notebook; what does not depend on the parameters is hashed once.

    That is the notebook's code cells, the bare code of the library modules it imports, and the versions.
    """

    def __init__(self, notebook: Notebook) -> None:
        found = modules("\n".join(notebook.imports(ast.walk)), notebook.path.parent)
        self.code = {
            "cells": notebook.code,
            "modules": module_hashes(found),
            "versions": versions(),
        }
        self.stem = notebook.path.stem
        self.paths = [
            name for name, parameter in notebook.parameters.items() if parameter.path
        ]

    def run(self, parameters: Mapping[str, Value]) -> tuple[str, dict[str, str]]:
        """The run's name (the notebook's file name and twelve hexadecimal digits), and a hash of each path's contents.

        A path counts by what it holds, not by where it lies.
        """
        data = {
            name: inputs_hash(Path(str(parameters[name])))
            for name in self.paths
            if parameters[name]
        }
        record = json.dumps([self.code, {**parameters, **data}], sort_keys=True)
        return f"{self.stem}-{hashlib.sha256(record.encode()).hexdigest()[:12]}", data


@dataclass(frozen=True)
class Task:
    """Everything one run needs to know; plain data, so that it can go to another process or machine."""

    run: str
    notebook: Notebook
    parameters: dict[str, Value]
    data: dict[str, str]
    folder: Path  # where the run lies when it is over
    html: bool = True
    timeout: float | None = None
    threads: int = 1
    warm: Path | None = None  # the warm process's socket


@dataclass
class Plan:
    """What a command asks for: runs done before, runs to do, and what their notebooks import."""

    done: list[RunRecord]
    todo: list[Task]
    imports: list[str]


def plan(
    notebooks: Iterable[Notebook],
    asked: Mapping[str, str],
    caller: Path,
    results: Results,
    *,
    fresh: bool = False,
) -> Plan:
    """Every run that the notebooks and parameters ask for. Raises Refused before anything has started."""
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
            else:
                todo[run] = Task(
                    run, notebook, parameters, data, results.folder / "runs" / run
                )
        imports |= dict.fromkeys(notebook.imports())
    return Plan(list(done.values()), list(todo.values()), list(imports))
