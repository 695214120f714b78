"""How are many runs done? Side by side, each kept as it finishes, none left running."""

import os
import signal
import threading
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from smallscale.runs.execute import Interrupted, execute
from smallscale.runs.plan import Plan, Task
from smallscale.runs.progress import ProgressReporter
from smallscale.runs.record import RunRecord
from smallscale.runs.results import Results
from smallscale.runs.warm import SUPPORTED, kernel_env, warm_process

PAGES = 50  # up to so many runs, each gets its HTML page unasked


def run_sweep(
    plan: Plan,
    results: Results,
    progress: ProgressReporter,
    *,
    workers: int,
    timeout: float | None,
    html: bool,
    warm: bool,
) -> None:
    """Do the runs that are to do, `workers` at a time, and keep each as it finishes.

    timeout: the seconds that a run may take.
    html: make a page for each run, however many there are.
    warm: fork kernels from a warm process, where that is supported.

    On an interrupt, also by SIGTERM or a closed terminal, everything that runs is
    ended, what has finished is kept, and KeyboardInterrupt is raised. Called from the
    main thread.
    """
    threads = max(1, (os.cpu_count() or 1) // workers)
    with ExitStack() as stack:
        socket = None
        if warm and SUPPORTED:
            # Libraries read the environment as they load, so before the fork.
            env = kernel_env(threads)
            socket = stack.enter_context(warm_process(plan.imports, env))
        # The last runs may finish too close together for each to renew the outputs.
        stack.callback(_refresh, results, progress)
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        tasks = [
            replace(
                task,
                timeout=timeout,
                threads=threads,
                html=html or len(plan.todo) <= PAGES,
                warm=socket,
            )
            for task in plan.todo
        ]
        _do_all(tasks, pool, results, progress)


def _do_all(
    tasks: list[Task], pool: Executor, results: Results, progress: ProgressReporter
) -> None:
    """Do these tasks in the pool; on an interrupt, end them and keep what is done."""
    stop = threading.Event()
    waiting: set[Future[RunRecord]] = set()

    def keep(future: Future[RunRecord]) -> None:
        record = future.result()
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
        for task in tasks:
            on_cell = partial(progress.share, task.run)
            waiting.add(pool.submit(execute, task, stop, on_cell))
        while waiting:
            finished, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in finished:
                keep(future)
    except BaseException:
        _on_interrupt(signal.SIG_IGN)  # once is enough: all is being ended already
        stop.set()
        pool.shutdown(cancel_futures=True)
        for future in waiting:  # one may have finished meanwhile
            with suppress(CancelledError, Interrupted):
                keep(future)
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
