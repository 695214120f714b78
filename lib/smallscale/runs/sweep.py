"""How are many runs done? Side by side, each kept as it finishes, none left running."""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from smallscale.runs.execute import Interrupted, execute
from smallscale.runs.plan import Plan, Task
from smallscale.runs.progress import ProgressReporter
from smallscale.runs.record import RunRecord
from smallscale.runs.results import Results
from smallscale.runs.warm import SUPPORTED, kernel_env, warm_process


class SchedulerLost(Exception):
    """The cluster does not answer any more; the message says so in a line."""


PAGES = 50  # up to so many runs, each gets its HTML page unasked


@dataclass(frozen=True)
class Pool:
    """What does the runs: threads of this process, or a cluster's workers."""

    submit: Callable[[Task], "Future[Any]"]
    receive: Callable[[Task, "Future[Any]"], RunRecord]  # of a future that is done
    room: Callable[[], int]  # how many runs may be under way or waiting there
    stop: Callable[[], None]  # ends what is under way


def run_sweep(
    plan: Plan,
    results: Results,
    progress: ProgressReporter,
    *,
    workers: int,
    timeout: float | None,
    html: bool,
    warm: bool,
    scheduler: str | None = None,
) -> None:
    """Do the runs that are to do, and keep each as it finishes.

    workers: how many run at a time, here. scheduler: a Dask cluster's address; then its
    workers decide how many run at a time.
    timeout: the seconds that a run may take.
    html: make a page for each run, however many there are.
    warm: fork kernels from a warm process, where that is supported.

    On an interrupt, also by SIGTERM or a closed terminal, everything that runs is
    ended, what has finished is kept, and KeyboardInterrupt is raised. Raises
    SchedulerLost where the cluster is gone; what has finished is kept. Called from the
    main thread.
    """
    html = html or len(plan.todo) <= PAGES
    tasks = [replace(task, timeout=timeout, html=html) for task in plan.todo]
    with ExitStack() as stack:
        # The last runs may finish too close together for each to renew the outputs.
        stack.callback(_refresh, results, progress)
        if scheduler is None:
            pool = stack.enter_context(_local_pool(plan, progress, workers, warm=warm))
        else:
            # Imported here: Dask takes a while to import, and need not be installed.
            from smallscale.runs.remote import check_travels, cluster_pool

            check_travels(tasks)
            imports = plan.imports if warm else None
            pool = stack.enter_context(cluster_pool(scheduler, imports, progress))
        _do_all(tasks, pool, results, progress)


@contextmanager
def _local_pool(
    plan: Plan, progress: ProgressReporter, workers: int, *, warm: bool
) -> Iterator[Pool]:
    """Yield a pool of threads, each with a kernel at a time."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    stop = threading.Event()
    with ExitStack() as stack:
        socket = None
        if warm and SUPPORTED:
            # Libraries read the environment as they load, so before the fork.
            env = kernel_env(threads)
            socket = stack.enter_context(warm_process(plan.imports, env))
        pool = stack.enter_context(ThreadPoolExecutor(workers))

        def submit(task: Task) -> "Future[RunRecord]":
            here = replace(task, threads=threads, warm=socket)
            on_cell = partial(progress.share, task.run)
            return pool.submit(execute, here, stop, on_cell)

        def end() -> None:
            stop.set()
            pool.shutdown(cancel_futures=True)

        yield Pool(submit, lambda _, future: future.result(), lambda: 2 * workers, end)


def _do_all(
    tasks: list[Task], pool: Pool, results: Results, progress: ProgressReporter
) -> None:
    """Do these tasks in the pool; on an interrupt, end them and keep what is done.

    Only as many are handed over as there is room for, so that a sweep of thousands
    takes no more memory than one of ten.
    """
    left = deque(tasks)
    waiting: dict[Future[Any], Task] = {}

    def keep(future: "Future[Any]") -> None:
        record = pool.receive(waiting.pop(future), future)
        problem = ""
        try:
            results.add(record)
        except OSError as failure:  # the other runs may still fit
            problem = f"the table could not be renewed: {failure}"
        # Last: whoever reads what is told may have gone.
        progress.over(record)
        if problem:
            progress.warn(problem)

    _on_interrupt(signal.default_int_handler)
    try:
        while left or waiting:
            while left and len(waiting) < pool.room():
                task = left.popleft()
                waiting[pool.submit(task)] = task
            finished, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in finished:
                keep(future)
    except BaseException:
        _on_interrupt(signal.SIG_IGN)  # once is enough: all is being ended already
        pool.stop()
        for future in [future for future in waiting if future.done()]:
            with suppress(CancelledError, Interrupted, SchedulerLost):
                keep(future)  # one may have finished meanwhile
        raise


def _refresh(results: Results, progress: ProgressReporter) -> None:
    try:
        results.refresh()
    except OSError as failure:
        progress.warn(f"the table could not be renewed: {failure}")


def _on_interrupt(handler: Any) -> None:
    """Let this handler answer every signal that asks the command to stop.

    A signal that is ignored stays so: `nohup` wants a closed terminal ignored.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has not all of them
        if number and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
