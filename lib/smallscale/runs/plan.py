"""What is to do? Every run that is asked for, less those that were completed before.

A run is known by its identity: a hash of everything that its result depends on. What
is hashed is what runs: a run whose files are no longer those fails (`changed`).
"""

import ast
import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from smallscale.core.syntax import parsed
from smallscale.notebook import fingerprints
from smallscale.notebook.fingerprints import (
    contents_hash,
    file_hash,
    imports,
    module_hashes,
    versions,
)
from smallscale.runs import Refused, refusing
from smallscale.runs.catalogue import Notebook
from smallscale.runs.cell_code import trees
from smallscale.runs.dependencies import Finder, dependencies
from smallscale.runs.lists import Row, given
from smallscale.runs.parameters import MOST_VALUES, Value, grid, unknown
from smallscale.runs.record import RunRecord
from smallscale.runs.results import Results

inputs_hash = cache(contents_hash)  # a plan reads its data once
MODELS = "smallscale.models"
LANGUAGE_MODELS = {
    f"{MODELS}.{name}"
    for name in ("language_model", "smollm2", "recorded", "RecordedModel")
}
NO_MODEL = "not here"
RECORDED = fingerprints.PACKAGE.parents[1] / "data" / "language_model"
OBEYED_TAGS = ("parameters", "raises-exception", "skip-execution")  # by what runs cells


def place_of(notebook: Notebook, results: Path | None) -> str:
    """Return the notebook's folder, as it lies from the folder of the results.

    A checkout that moves with its results keeps its runs, and two notebooks of one name
    in two folders stay two. Without results, or on another drive, the path is absolute.
    """
    folder = notebook.path.parent
    if results is None or folder.drive != results.absolute().drive:
        return str(folder)
    return Path(os.path.relpath(folder, results.resolve())).as_posix()


class Identifier:
    """Names the runs of one notebook.

    What does not depend on the parameters is hashed once: the notebook's name, place
    and code cells, the code that it imports, and the versions. results: the folder of
    the results, from which the place is told.
    """

    def __init__(self, notebook: Notebook, results: Path | None = None) -> None:
        needed = dependencies(notebook.code, notebook.path.parent)
        hashes = module_hashes(needed.files)
        self.files = {
            str(path): hashes[name] for name, path in sorted(needed.files.items())
        }
        self.code: dict[str, Any] = {
            "name": notebook.name,
            "place": place_of(notebook, results),
            "cells": [
                [cell.text, *(tag for tag in OBEYED_TAGS if tag in cell.tags)]
                for cell in notebook.cells
                if cell.kind == "code"
            ],
            "modules": hashes,
            "versions": {**needed.releases, **versions()},
        }
        self.language_model = ""
        if _asks_a_language_model(notebook, needed.files):
            kept = kept_answers()
            self.files |= kept
            self.language_model = language_model_here()
            self.code["language model"] = [self.language_model, *kept.values()]
        self.notebook = notebook
        self.stem = notebook.path.stem
        self.parameters = notebook.parameters

    def run(self, parameters: Mapping[str, Value]) -> tuple[str, dict[str, str]]:
        """Return the run's name, and for each path a hash of what it holds.

        The name is the notebook's file name and twelve hexadecimal digits. A path
        counts by what it holds, not by where it lies.
        """
        data = {}
        for name, parameter in self.parameters.items():
            value = str(parameters[name])
            is_folder = parameter.may_be_folder and os.path.isabs(value)
            if (parameter.path and value) or (is_folder and os.path.isdir(value)):
                with refusing(f"{name}={parameters[name]} cannot be read: ", OSError):
                    data[name] = inputs_hash(Path(str(parameters[name])))
        identity = json.dumps([self.code, {**parameters, **data}], sort_keys=True)
        digits = hashlib.sha256(identity.encode()).hexdigest()[:12]
        return f"{self.stem}-{digits}", data

    def task(
        self, run: str, parameters: dict[str, Value], data: dict[str, str], runs: Path
    ) -> "Task":
        """Return the task of a run that `run` named; `runs` is the folder of all."""
        return Task(
            run,
            self.notebook,
            parameters,
            data,
            runs / run,
            self.files,
            commit=commit_of(self.notebook.path.parent),
            versions=self.code["versions"],
            language_model=self.language_model,
        )


def _asks_a_language_model(notebook: Notebook, files: Mapping[str, Path]) -> bool:
    """Tell whether a notebook, or what it imports, imports a language model by name.

    The library's own room of models does not count: whoever imports anything of it
    imports that.
    """
    texts: list[str | bytes] = [
        path.read_bytes()
        for module, path in files.items()
        if path.suffix == ".py" and not f"{module}.".startswith(f"{MODELS}.")
    ]
    cells = [ast.unparse(tree) for cell in notebook.code for tree in trees(cell)]
    return any(imports(text, LANGUAGE_MODELS) for text in [*texts, *cells])


def kept_answers() -> dict[str, str]:
    """Return a hash of each file that keeps answers of SmolLM2, by path."""
    kept = sorted(path for path in RECORDED.glob("*.jsonl") if path.is_file())
    return {str(path): file_hash(path) for path in kept}


def language_model_here() -> str:
    """Return which language model is on this machine: its name, or "not here".

    A run without it leaves out what needs it, and is another run once it is here.
    """
    # Imported here: torch comes with it.
    from smallscale.models import smollm2

    return smollm2.FOLDER if smollm2.is_here() else NO_MODEL


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
    files: dict[str, str] = field(default_factory=dict)  # a hash of each own module
    commit: str = ""  # git's, of the notebook
    # Of Python and of each installed module that it uses, as its name counts them.
    versions: dict[str, str] = field(default_factory=dict)
    language_model: str = ""  # as its name counts it; empty where none is asked
    html: bool = True
    timeout: float | None = None  # seconds
    threads: int = 1
    warm: Path | None = None  # the warm process's socket


def changed(task: Task) -> str:
    """Return what is no longer what the run's name was made from, or an empty text."""
    for file, before in task.files.items():
        if _hash_now(Path(file)) != before:
            return file
    for name, before in task.data.items():
        if _hash_now(Path(str(task.parameters[name])), data=True) != before:
            return f"{name}={task.parameters[name]}"
    return ""


def _hash_now(path: Path, *, data: bool = False) -> str:
    """Return the hash of a file, or of data, as it is now; empty if unreadable."""
    try:
        return contents_hash(path) if data else file_hash(path)
    except OSError:
        return ""


@cache
def commit_of(folder: Path) -> str:
    """Return the git commit that a folder lies in, with -dirty where it was changed.

    Empty where there is no git, no repository or no commit.
    """
    words = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        told = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.strip()


State = tuple[int, ...]


def states(task: Task) -> dict[str, State]:
    """Return the state of each file that the run's name was made from, by path.

    Whatever is written into a file, or put in its place, changes its state, also where
    what it holds is put back afterwards.
    """
    data = [str(task.parameters[name]) for name in task.data]
    files = [*task.files, *(path for place in data for path in _all_below(place))]
    return {path: _state(path) for path in files}


def _all_below(place: str) -> Iterator[str]:
    """Yield a path and all that lies below it; a circle of links is walked once."""
    yield place
    entered = set()
    for folder, folders, names in os.walk(place, followlinks=True):
        if os.path.realpath(folder) in entered:
            folders.clear()
            continue
        entered.add(os.path.realpath(folder))
        yield from (os.path.join(folder, name) for name in [*folders, *names])


def _state(path: str) -> State:
    """Return what changes when a file is written; empty where there is none now."""
    try:
        stat = os.stat(path)
    except OSError:
        return ()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def code_hashes(files: Iterable[str]) -> dict[str, str]:
    """Return a hash of each of these files; it is empty where one cannot be read.

    A folder counts by the names of what lies in it, as one who lists it is told them.
    """
    return {
        file: _names_hash(file)
        if os.path.isdir(file)
        else _hash_in_state(file, _state(file))
        for file in files
    }


def _names_hash(folder: str) -> str:
    """Return a hash of the names in a folder; hidden ones and Python's own aside."""
    try:
        names = sorted(name for name in os.listdir(folder) if name[0] not in "._")
    except OSError:
        return ""
    whole = "\0".join(names).encode("utf-8", "surrogateescape")
    return hashlib.sha256(whole).hexdigest()


@lru_cache(2048)  # the runs of a sweep share their files
def _hash_in_state(file: str, state: State) -> str:
    return _hash_now(Path(file)) if state else ""


def is_done(record: RunRecord | None) -> bool:
    """Tell whether a run needs no repeating.

    Code that it ran and that no import names (of a folder that the notebook put on the
    path, say), and files that it read beside its code, are not in its name, and must be
    what they were.
    """
    return (
        record is not None
        and record.status == "completed"
        and all(record.code.values())
        and code_hashes(record.code) == record.code
    )


def warm_imports(notebook: Notebook) -> list[str]:
    """Return the imports of a notebook that a warm process may do, one name in each.

    They are those of the library, of installed releases, and of Python itself. The
    user's own modules are left to each kernel: which file is imported depends on the
    notebook's folder, and what they do as they are imported is not known.
    """
    finder = Finder(notebook.path.parent)
    statements = []
    for statement in notebook.imports():
        for alone, module in _one_by_one(parsed(statement).body[0]):
            ours = module.partition(".")[0] == fingerprints.PACKAGE.name
            if ours or not finder.find(module):
                statements.append(ast.unparse(alone))
    return statements


def _one_by_one(node: ast.stmt) -> Iterator[tuple[ast.stmt, str]]:
    """Yield an import of each name that a statement imports, and the module of each."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield ast.Import([alias]), alias.name
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        for alias in node.names:
            yield ast.ImportFrom(node.module, [alias], 0), node.module


@dataclass(frozen=True)
class Listed:
    """Runs that a file lists; relative paths in it start from its own folder."""

    rows: list[Row]
    folder: Path


@dataclass(frozen=True)
class Shard:
    """One part of all runs, number 1 to `parts`, for jobs that share a folder."""

    number: int
    parts: int


def _every(
    notebook: Notebook, asked: Mapping[str, str], caller: Path, listed: Listed | None
) -> Iterator[dict[str, Value]]:
    """Yield the parameters of a notebook's runs; Refused where a value is wrong."""
    runs = grid(notebook.parameters, asked, caller, notebook.path.parent)
    if listed is None:
        yield from runs
        return
    total = len(runs) * len(listed.rows)
    if total > MOST_VALUES:
        raise Refused(f"these are {total:,} runs; at most {MOST_VALUES:,} are taken")
    for row in listed.rows:
        values = {}
        for name, value in row.items():
            if name not in notebook.parameters:
                raise unknown(name, notebook.parameters, notebook.name)
            parameter = notebook.parameters[name]
            values[name] = parameter.admit(given(parameter, value), listed.folder)
        for run in runs:
            yield run | values


@dataclass
class Plan:
    """What a command asks for."""

    done: list[RunRecord]  # runs that were completed before
    todo: list[Task]
    imports: list[str]  # what a warm process may import for them


def plan(
    notebooks: Iterable[Notebook],
    asked: Mapping[str, str],
    caller: Path,
    results: Results,
    *,
    fresh: bool = False,
    listed: Listed | None = None,
    shard: Shard | None = None,
) -> Plan:
    """Return every run that the notebooks and parameters ask for.

    asked: the values of each parameter, as the command line has them.
    caller: the folder that relative paths start from.
    fresh: runs that were completed before are to do as well.
    listed: runs of a file, each with every combination of what is asked.
    shard: only this part of all runs, done ones counted, so that the parts stay apart
        while they finish.
    Raises Refused before anything has started.
    """
    inputs_hash.cache_clear()
    commit_of.cache_clear()
    done: dict[str, RunRecord] = {}
    todo: dict[str, Task] = {}
    imports: dict[str, None] = {}
    numbers: dict[str, int] = {}  # of each run among all that are asked for
    for notebook in notebooks:
        for name in asked:
            if name not in notebook.parameters:
                raise unknown(name, notebook.parameters, notebook.name)
        identifier = Identifier(notebook, results.folder)
        for parameters in _every(notebook, asked, caller, listed):
            run, data = identifier.run(parameters)
            number = numbers.setdefault(run, len(numbers))
            if shard and number % shard.parts != shard.number - 1:
                continue
            record = results.records.get(run)
            if record and is_done(record) and not fresh:
                done[run] = record
                continue
            runs = results.folder / "runs"
            todo[run] = identifier.task(run, parameters, data, runs)
        imports |= dict.fromkeys(warm_imports(notebook))
    return Plan(list(done.values()), list(todo.values()), list(imports))
