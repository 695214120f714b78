"""How are many runs done? Side by side, each kept as it finishes, none left running."""

import os
import signal
import threading
import time
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

from smallscale.runs.drive import Interrupted
from smallscale.runs.execute import execute
from smallscale.runs.plan import Plan, Task, is_done
from smallscale.runs.progress import ProgressReporter
from smallscale.runs.record import RunRecord
from smallscale.runs.results import Results, kept
from smallscale.runs.search import Search
from smallscale.runs.under_way import UnderWay, under_way
from smallscale.runs.warm import SUPPORTED, kernel_env, warm_process


class SchedulerLost(Exception):
    """The cluster does not answer any more; the message says so in a line."""


POLL_SECONDS = 0.2  # between looks at what is over
LOOKS = 50  # at tasks that another command may be doing, each time
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
    fresh: bool = False,
    scheduler: str | None = None,
    search: Search | None = None,
) -> None:
    """Do the runs that are to do, and keep each as it finishes.

    workers: how many run at a time, here. scheduler: a Dask cluster's address; then its
    workers decide how many run at a time.
    timeout: the seconds that a run may take.
    html: make a page for each run, however many there are.
    warm: fork kernels from a warm process, where that is supported.
    fresh: do them even if another command has completed them meanwhile.

    search: hands out the runs instead, one after another is over.

    On an interrupt, also by SIGTERM or a closed terminal, everything that runs is
    ended, what has finished is kept, and KeyboardInterrupt is raised. Raises
    SchedulerLost where the cluster is gone; what has finished is kept. Called from the
    main thread.
    """
    html = html or (search.left if search else len(plan.todo)) <= PAGES

    def prepared(tasks: list[Task]) -> list[Task]:
        return [replace(task, timeout=timeout, html=html) for task in tasks]

    with ExitStack() as stack:
        # The last runs may finish too close together for each to renew the outputs.
        stack.callback(_written, results.refresh, progress)
        if scheduler is None:
            pool = stack.enter_context(_local_pool(plan, progress, workers, warm=warm))
        else:
            # Imported here: Dask takes a while to import, and need not be installed.
            from smallscale.runs.remote import check_travels, cluster_pool

            check_travels([search.sample] if search else plan.todo)
            imports = plan.imports if warm else None
            pool = stack.enter_context(cluster_pool(scheduler, imports, progress))
        mine = stack.enter_context(under_way(results.folder, progress.state))
        stack.callback(_written, results.clear_up, progress)
        sweep = _Sweep(pool, results, progress, mine, fresh=fresh)
        if search:
            first = search.first(pool.room() // 2)
            sweep.do(prepared(first), lambda record: prepared(search.over(record)))
        else:
            sweep.do(prepared(plan.todo))


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


class _Sweep:
    """Runs at work in a pool, each of them in no other command at the same time."""

    def __init__(
        self,
        pool: Pool,
        results: Results,
        progress: ProgressReporter,
        mine: UnderWay,
        *,
        fresh: bool,
    ) -> None:
        self.pool = pool
        self.results = results
        self.progress = progress
        self.mine = mine
        self.fresh = fresh
        self.waiting: dict[Future[Any], Task] = {}

    def do(
        self,
        tasks: list[Task],
        more: Callable[[RunRecord], list[Task]] = lambda record: [],
    ) -> None:
        """Do these tasks; on an interrupt, end them and keep what is done.

        more: returns what is to do besides, now that this run is over.

        Only as many are handed over as there is room for, so that a sweep of thousands
        takes no more memory than one of ten.
        """
        left = deque(tasks)
        _on_interrupt(signal.default_int_handler)
        try:
            while left or self.waiting:
                for record in self._hand_over(left):
                    left += more(record)
                finished, _ = wait(self.waiting, POLL_SECONDS, FIRST_COMPLETED)
                for future in finished:
                    left += more(self._keep(future))
                if not self.waiting and left:  # another command does all that is left
                    time.sleep(POLL_SECONDS)
                self.mine.beat()
        except BaseException:
            _on_interrupt(signal.SIG_IGN)  # once is enough: all is being ended already
            self.pool.stop()
            for future in [future for future in self.waiting if future.done()]:
                with suppress(CancelledError, Interrupted, SchedulerLost):
                    self._keep(future)  # one may have finished meanwhile
            raise

    def _hand_over(self, left: "deque[Task]") -> list[RunRecord]:
        """Hand tasks to the pool while it has room; return those over without it.

        What another command does at the moment goes to the end of the line. It is over
        when that command has completed it, and else done here.
        """
        over = []
        for _ in range(min(len(left), LOOKS)):
            if len(self.waiting) >= self.pool.room():
                break
            task = left.popleft()
            if not self.mine.take(task.run):
                left.append(task)
                continue
            record = None if self.fresh else kept(task.folder)
            if record and is_done(record):
                self.mine.give_back(task.run)
                self.progress.over(record)
                over.append(record)
                continue
            self.waiting[self.pool.submit(task)] = task
            self.progress.handed_over(task)
        return over

    def _keep(self, future: "Future[Any]") -> RunRecord:
        task = self.waiting.pop(future)
        record = self.pool.receive(task, future)
        problem = ""
        try:
            self.results.add(record)
        except OSError as failure:  # the other runs may still fit
            problem = f"the table could not be renewed: {failure}"
        self.mine.give_back(task.run)
        # Last: whoever reads what is told may have gone.
        self.progress.over(record)
        if problem:
            self.progress.warn(problem)
        return record


def _written(write: Callable[[], None], progress: ProgressReporter) -> None:
    try:
        write()
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
