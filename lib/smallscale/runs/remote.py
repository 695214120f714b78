"""How does a run go to another machine, and come back? On a Dask cluster.

A parcel holds the notebook, the modules of the user's own that lie beside it, and
hashes of everything that the machines must have in common: the library, the versions
of what is installed, the language model and its kept answers where a notebook asks it,
and the data, which every machine must see under the same path. The run's folder comes
back as a zip file. What was hashed is what runs: a module that was edited since the run
was planned fails it, here or there.
"""

import io
import logging
import os
import platform
import re
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import distributed
from distributed.comm.core import CommClosedError

from smallscale.notebook.fingerprints import PACKAGE, contents_hash, file_hash, versions
from smallscale.runs import Refused
from smallscale.runs.catalogue import Notebook
from smallscale.runs.dependencies import release
from smallscale.runs.execute import broken_off, execute, put_in_place
from smallscale.runs.plan import (
    NO_MODEL,
    RECORDED,
    Task,
    language_model_here,
    place_of,
)
from smallscale.runs.progress import ProgressReporter
from smallscale.runs.record import RunRecord
from smallscale.runs.results import partial_folder
from smallscale.runs.sweep import Pool, SchedulerLost
from smallscale.runs.warm import SUPPORTED, lasting_warm_process

ADDRESS = re.compile(r"(?:tcp|tls|ws|wss)://\S+:\d+")
CONNECT_SECONDS = 10.0
AHEAD = 2  # runs, for each that a worker does at a time, that are handed over
POLL_SECONDS = 0.5  # between a worker's looks at whether its run is still wanted


@dataclass(frozen=True)
class Module:
    """A file of the user's own that travels with a run."""

    content: bytes
    digest: str  # as the run's name counts it


@dataclass(frozen=True)
class Parcel:
    """All that a worker needs for a run, as plain data."""

    run: str
    name: str
    file: str  # the notebook's file name
    document: dict[str, Any]
    parameters: dict[str, Any]
    data: dict[str, str]  # a hash of what each path parameter points at
    modules: dict[str, Module]  # beside the notebook, by relative path
    library: dict[str, str]  # hashes of the library's files, by relative path
    answers: dict[str, str]  # hashes of the language model's kept answers, by name
    language_model: str  # which is on the command's machine; empty where none is asked
    versions: dict[str, str]  # of what is installed, by module
    imports: tuple[str, ...] | None  # of the worker's warm process; None: no such
    html: bool
    timeout: float | None
    commit: str


def parcel(task: Task, imports: list[str] | None) -> Parcel:
    """Return a run as a parcel.

    imports: what a warm process may import; None for an ordinary kernel.
    Raises OSError for a module that is gone.
    """
    modules: dict[str, Module] = {}
    library: dict[str, str] = {}
    answers: dict[str, str] = {}
    for name, digest in task.files.items():
        path = Path(name)
        if path.is_relative_to(PACKAGE):
            library[path.relative_to(PACKAGE).as_posix()] = digest
        elif path.is_relative_to(RECORDED):
            answers[path.relative_to(RECORDED).as_posix()] = digest
        else:
            beside = path.relative_to(task.notebook.path.parent).as_posix()
            modules[beside] = Module(path.read_bytes(), digest)
    document = task.notebook.document
    bare = [
        {**cell, "outputs": []} if "outputs" in cell else cell
        for cell in document["cells"]
    ]
    return Parcel(
        run=task.run,
        name=task.notebook.name,
        file=task.notebook.path.name,
        document={**document, "cells": bare},
        parameters=dict(task.parameters),
        data=task.data,
        modules=modules,
        library=library,
        answers=answers,
        language_model=task.language_model,
        versions=task.versions,
        imports=None if imports is None else tuple(imports),
        html=task.html,
        timeout=task.timeout,
        commit=task.commit,
    )


def check_travels(tasks: Iterable[Task]) -> None:
    """Refuse a module of the user's own that lies elsewhere than beside its notebook.

    Where it would be found on a worker is not known. Asked of all runs before any has
    started.
    """
    for task in tasks:
        home = task.notebook.path.parent
        for path in map(Path, task.files):
            if not any(map(path.is_relative_to, (home, PACKAGE, RECORDED))):
                raise Refused(
                    f"{task.notebook.name} uses {path}, which does not lie beside the "
                    "notebook and cannot travel; put it there, or install it everywhere"
                )


# ---- on the worker -------------------------------------------------------------------


def do(sent: Parcel) -> tuple[str, bytes]:
    """Do a run on a worker: return its record as JSON, and its folder as a zip file.

    Where this machine has not what the run needs, the record says so, and the run has
    failed. A run that is no longer wanted, as its command has gone, is ended.
    """
    with tempfile.TemporaryDirectory(prefix="smallscale-") as scratch:
        home = Path(scratch) / "notebook"
        task = _unpacked(sent, home, Path(scratch) / "results" / "runs" / sent.run)
        task.folder.parent.mkdir(parents=True)
        lacking = _lacking(sent)
        if lacking:
            return broken_off(task, lacking).to_json(), b""
        with _stopped_when_unwanted() as stop:
            record = execute(task, stop)
        # What it read in its own scratch folder travelled here with it.
        code = {
            name: digest
            for name, digest in record.code.items()
            if not Path(name).is_relative_to(scratch)
        }
        lies = task.folder if task.folder.is_dir() else None
        return replace(record, code=code).to_json(), _zipped(lies) if lies else b""


def _unpacked(sent: Parcel, home: Path, folder: Path) -> Task:
    """Write the notebook's modules into a folder, and return the run as a task there.

    The notebook itself is read from the parcel.
    """
    home.mkdir(parents=True)
    # What the run's name was made from, so that what is otherwise here fails it.
    files = {str(PACKAGE / name): digest for name, digest in sent.library.items()}
    files |= {str(RECORDED / name): digest for name, digest in sent.answers.items()}
    for name, module in sent.modules.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(module.content)
        files[str(path)] = module.digest
    notebook = Notebook.from_document(home / sent.file, sent.document, sent.name)
    threads = max(1, (os.cpu_count() or 1) // _slots())
    warm = None
    if SUPPORTED and sent.imports is not None:
        warm = lasting_warm_process(sent.imports, threads)
    return Task(
        run=sent.run,
        notebook=notebook,
        parameters=sent.parameters,
        data=sent.data,
        folder=folder,
        files=files,
        html=sent.html,
        timeout=sent.timeout,
        threads=threads,
        warm=warm,
        commit=sent.commit,
    )


def _lacking(sent: Parcel) -> str:
    """Return what this worker has not, or has otherwise, in a line; else nothing."""
    where = f"the worker on {platform.node() or 'another machine'}"
    return next((f"{where} {wrong}" for wrong in _differences(sent)), "")


def _differences(sent: Parcel) -> Iterator[str]:
    """Yield what the run was planned with and this machine has not, or otherwise."""
    here = versions()
    for name, wanted in sent.versions.items():
        found = here.get(name) or release(name)
        if found != wanted:
            yield (
                f"has {name} {found or 'not at all'}, and the run is of {wanted}; "
                "install the same everywhere"
            )
    for name, digest in sent.library.items():
        if _hash_here(PACKAGE / name) != digest:
            yield (
                f"has another version of smallscale: {name} differs; install the same "
                "everywhere"
            )
    if sent.language_model and language_model_here() != sent.language_model:
        wanted = "without" if sent.language_model == NO_MODEL else "with"
        yield (
            f"differs in the language model, and the run was planned {wanted} it; "
            "`smallscale model` fetches it"
        )
    for name, digest in sent.answers.items():
        if _hash_here(RECORDED / name) != digest:
            yield (
                f"has not the kept answers of the language model, {name}; install "
                "smallscale there from the same checkout, with pip install -e"
            )
    for name, digest in sent.data.items():
        path = Path(str(sent.parameters[name]))
        if _hash_here(path, contents_hash) != digest:
            yield (
                f"does not see {name}={path} as it is here; put it into a folder that "
                "all machines share"
            )


def _hash_here(path: Path, hashed: Callable[[Path], str] = file_hash) -> str:
    """Return a hash of what lies there on this machine; empty where nothing does."""
    try:
        return hashed(path) if path.exists() else ""
    except OSError:
        return ""


def _slots() -> int:
    """Return how many runs this worker does at a time."""
    try:
        return int(distributed.get_worker().state.nthreads)
    except ValueError:  # no worker: called by hand
        return 1


@contextmanager
def _stopped_when_unwanted() -> Iterator[threading.Event]:
    """Yield an event that is set when nobody waits for this worker's task any more.

    The scheduler takes a task back when the command that asked for it cancels it, or is
    gone; the worker then knows it no longer as one that executes.
    """
    stop, over = threading.Event(), threading.Event()
    try:
        worker = distributed.get_worker()
        key = worker.get_current_task()
    except ValueError:  # no worker: called by hand
        yield stop
        return

    def watch() -> None:
        while not over.wait(POLL_SECONDS):
            state = worker.state.tasks.get(key)
            if state is None or state.state not in ("executing", "long-running"):
                stop.set()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield stop
    finally:
        over.set()
        watcher.join()


def _zipped(folder: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder))
    return content.getvalue()


# ---- on the command's side -----------------------------------------------------------


@contextmanager
def cluster_pool(
    address: str, imports: list[str] | None, progress: ProgressReporter
) -> Iterator[Pool]:
    """Yield a pool of the workers of a Dask cluster.

    imports: what their warm processes may import; None for ordinary kernels. progress:
    is told where no worker has joined yet.
    Raises Refused where no scheduler answers at the address.
    """
    if not ADDRESS.fullmatch(address):
        raise Refused(
            f"--scheduler {address} is no address; write it as tcp://host:8786"
        )
    connect: Any = distributed.Client  # Dask has no types
    # What happens to the connection is told in a line of ours.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL + 1)
    try:
        client = connect(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as failure:
        raise Refused(
            f"--scheduler {address}: no Dask scheduler answers there ({failure}); "
            "start one with `dask scheduler`"
        ) from None
    sent: dict[Future[Any], Any] = {}  # what is waited for, and Dask's own future of it

    def slots() -> int:
        gone = SchedulerLost(f"the scheduler at {address} is gone")
        if client.status != "running":
            raise gone
        try:
            return sum(client.nthreads().values())
        except OSError:  # it went before the client has noticed; Dask's errors are such
            raise gone from None

    def room() -> int:
        return max(1, AHEAD * slots())

    def submit(task: Task) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            asked = client.submit(do, parcel(task, imports), pure=False)
        except OSError as failure:  # a module was removed since the run was planned
            future.set_exception(failure)
        else:
            sent[future] = asked
            asked.add_done_callback(partial(_hand_on, to=future))
        return future

    def receive(task: Task, future: "Future[Any]") -> RunRecord:
        sent.pop(future, None)
        try:
            return _received(task, future.result())
        except distributed.KilledWorker:
            why = "it has ended one worker after another"
        except (CancelledError, CommClosedError):
            raise SchedulerLost(f"the scheduler at {address} is gone") from None
        except Exception as failure:
            why = f"{type(failure).__name__}: {failure}"
        return broken_off(task, why)

    def stop() -> None:
        with suppress(Exception):  # a scheduler that is gone
            client.cancel(list(sent.values()))

    try:
        if not slots():
            progress.warn(f"no worker has joined {address} yet; waiting for one")
        yield Pool(submit, receive, room, stop)
    finally:
        with suppress(Exception):  # a scheduler that is gone
            client.close(timeout=2)


def _hand_on(asked: Any, to: "Future[Any]") -> None:
    """Hand on what has come of a run, and tell the scheduler that it is not needed.

    asked: Dask's future, which is done. As long as it is held, the scheduler has the
    run done again where the worker that did it dies, though its result is here.
    """
    try:
        came = asked.result()
    except BaseException as failure:
        to.set_exception(failure)
    else:
        asked.release()
        to.set_result(came)


def _received(task: Task, came: tuple[str, bytes]) -> RunRecord:
    """Put the folder of a run that came back into its place; return its record."""
    text, content = came
    record = RunRecord.from_json(text)
    # A file that only the worker has cannot be looked at from here.
    code = {name: sha for name, sha in record.code.items() if Path(name).is_file()}
    place = place_of(task.notebook, task.folder.parents[1])
    record = replace(record, place=place, code=code)
    if not content:
        return record
    try:
        with partial_folder(task.folder.parent) as scratch:
            part = scratch / "new"
            with zipfile.ZipFile(io.BytesIO(content)) as file:
                file.extractall(part)
            return put_in_place(record, task, part)
    except OSError as failure:  # a full disk: the other runs may still fit
        error = f"the run could not be kept: {failure}"
        return replace(record, status="failed", error=error)
