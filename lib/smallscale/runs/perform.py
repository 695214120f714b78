"""What happens once it is known which runs to do? They are done, and told of."""

import importlib.util
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from smallscale.runs import Refused, refusing
from smallscale.runs.plan import Plan
from smallscale.runs.progress import ProgressReporter, console, count
from smallscale.runs.record import RunRecord, passed
from smallscale.runs.results import Results
from smallscale.runs.search import Search
from smallscale.runs.shown import (
    JsonReporter,
    print_best,
    print_json_best,
    print_json_summary,
    print_summary,
    tell,
    terminal_table,
)
from smallscale.runs.streams import silence_output

TABLE_RUNS = 50  # up to so many runs, a terminal is shown their table at the end


@dataclass(frozen=True)
class Ways:
    """How the runs are done, as the command line says it."""

    workers: int
    scheduler: str | None
    timeout: float | None
    fresh: bool
    html: bool
    warm: bool
    json: bool
    out: Path  # as it was given


def perform(
    work: Plan, results: Results, ways: Ways, search: Search | None = None
) -> int:
    """Do what is to do, say how it went, and return the command's exit code.

    Raises Refused where it cannot be started.
    """
    out = ways.out
    with refusing(f"--out {out} cannot be written: ", OSError):
        results.recall(work.done)
    total = search.left if search else len(work.todo)
    new: list[RunRecord] = []
    if total:
        code, new = _do(work, results, ways, search, total)
        if code:
            return code
    else:
        with refusing(f"--out {out} cannot be written: ", OSError):
            results.ensure_outputs()
        if not ways.json:
            print(f"nothing to do: {count(len(work.done), 'run')} completed before")
    every = work.done + new
    best = search.best(every) if search else None
    if ways.json:
        if search and best:
            print_json_best(*best, search.goal.metric, out)
        print_json_summary(every, len(work.done), len(every), out, ended="whole")
    else:
        if console.is_terminal and 1 < len(new) <= TABLE_RUNS:
            print(terminal_table(new))
        if search and best:
            print_best(*best, search.goal.metric, list(search.space))
        print_summary(every, out)
    return 0 if all(map(passed, every)) else 1


def _do(
    work: Plan, results: Results, ways: Ways, search: Search | None, total: int
) -> tuple[int, list[RunRecord]]:
    """Do the runs; return 0, or the exit code where they broke off, and the records."""
    # Imported here: what talks to kernels takes a while to import.
    from smallscale.runs.sweep import SchedulerLost, run_sweep

    if ways.scheduler is not None and not importlib.util.find_spec("distributed"):
        raise Refused("--scheduler needs Dask: pip install 'smallscale[cluster]'")
    results.prepare()
    before = len(work.done)
    progress: ProgressReporter = (
        JsonReporter(total, before=before, out=ways.out)
        if ways.json
        else ProgressReporter(total, before=before)
    )
    if search:
        search.drop = progress.one_less

    def broke_off(why: str) -> None:
        kept = before + len(progress.records)
        every = before + progress.total
        tell(f"{why}interrupted: {kept} of {every} runs are kept in {ways.out}")
        if ways.json:
            records = work.done + progress.records
            with suppress(OSError):
                print_json_summary(
                    records, before, every, ways.out, ended="interrupted"
                )

    try:
        with progress.bar:
            run_sweep(
                work,
                results,
                progress,
                workers=ways.workers,
                timeout=ways.timeout,
                html=ways.html,
                warm=ways.warm,
                fresh=ways.fresh,
                scheduler=ways.scheduler,
                search=search,
            )
    except KeyboardInterrupt:
        broke_off("")
        return 130, progress.records
    except SchedulerLost as lost:
        broke_off(f"{lost}; ")
        return 1, progress.records
    except OSError as failure:  # a full disk; nobody who reads the output
        broke_off(f"{failure.strerror or failure}; ")
        silence_output()
        return 1, progress.records
    return 0, progress.records
