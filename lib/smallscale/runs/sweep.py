"""Runs side by side, each kept as it finishes, and nothing left running."""

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
from smallscale.runs.plan import Plan
from smallscale.runs.progress import ProgressReporter
from smallscale.runs.record import RunRecord
from smallscale.runs.results import Results
from smallscale.runs.warm import SUPPORTED, kernel_env, warm_process

PAGES = 50  # up to so many runs, each gets its HTML page unasked


def run_sweep(
    plan: Plan,
    results: Results,
    told: ProgressReporter,
    *,
    workers: int,
    timeout: float | None,
    html: bool,
    warm: bool,
) -> None:
    """Do the runs that are to do, so many at a time, and keep each as it finishes.

    timeout: the seconds a run may take. html: a page for each run, however many there are. warm: forked kernels.
    On an interrupt, also by SIGTERM or a closed terminal, everything that runs is ended, what has finished is kept,
    and KeyboardInterrupt is raised. Called from the main thread.
    """
    threads = max(1, (os.cpu_count() or 1) // workers)
    stop = threading.Event()
    how: dict[str, Any] = {
        "timeout": timeout,
        "threads": threads,
        "html": html or len(plan.todo) <= PAGES,
    }

    def keep(record: RunRecord) -> None:
        results.add(record)
        told.over(record)

    with ExitStack() as stack:
        if warm and SUPPORTED:
            env = kernel_env(
                threads
            )  # read when the libraries load, so before the fork
            how["warm"] = stack.enter_context(warm_process(plan.imports, env))
        stack.callback(
            results.refresh
        )  # the last of them may have come within the two seconds
        pool: Executor = stack.enter_context(ThreadPoolExecutor(workers))
        _on_interrupt(signal.default_int_handler)
        waiting: set[Future[RunRecord]] = set()
        try:
            for task in plan.todo:
                waiting.add(
                    pool.submit(
                        execute,
                        replace(task, **how),
                        stop,
                        partial(told.share, task.run),
                    )
                )
            while waiting:
                finished, waiting = wait(
                    waiting, timeout=0.2, return_when=FIRST_COMPLETED
                )
                for future in finished:
                    keep(future.result())
        except BaseException:
            _on_interrupt(
                signal.SIG_IGN
            )  # once is enough: what is running is being ended
            stop.set()
            pool.shutdown(cancel_futures=True)
            for future in waiting:  # one may have finished meanwhile
                with suppress(CancelledError, Interrupted):
                    keep(future.result())
            raise


def _on_interrupt(handler: Any) -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has not all
            signal.signal(getattr(signal, name), handler)
