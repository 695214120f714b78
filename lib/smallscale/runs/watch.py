"""How is a sweep coming along? A table of it, for another terminal.

Only the folder of results is read, so it may be one that many machines share.
"""

import time
from pathlib import Path

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from smallscale.runs.progress import console, count
from smallscale.runs.record import RunRecord
from smallscale.runs.results import Results
from smallscale.runs.terminal_text import shortened
from smallscale.runs.under_way import Running, State, states

ROWS = 12  # runs that are over that are shown, the newest
LONGEST_CELL = 60  # characters


def watch(folder: Path, *, every: float, once: bool) -> None:
    """Show what is done, running and failed, until nothing is under way or at once."""
    results = Results(folder)
    if once:
        console.print(view(results, states(folder)))
        return
    with Live(console=console, auto_refresh=False) as live:
        while True:
            at_work = states(folder)
            results.reread()
            live.update(view(results, at_work), refresh=True)
            if not at_work:
                return
            time.sleep(every)


def view(results: Results, at_work: list[State]) -> Group:
    """Return what is seen of a folder of results and the sweeps that go on in it."""
    lines = [Text(_headline(state)) for state in at_work]
    if not at_work:
        lines = [Text("nothing is under way")]
    records = results.current()
    failed = sum(record.status != "completed" for record in records)
    lines.append(
        Text(f"in {results.folder}: {count(len(records), 'run')}, {failed} failed")
    )
    table = Table("run", "parameters", "state", "seconds", "latest metrics")
    running = [run for state in at_work for run in state.running]
    names = _varied([*records, *running])
    for run in running:
        seconds = f"{max(0.0, time.time() - run.since):.0f}"
        table.add_row(*_cells(run, names, _share(run), seconds, ""))
    for record in reversed(records[-ROWS:]):
        seconds = f"{record.seconds:.1f}"
        measured = _metrics(record)
        table.add_row(*_cells(record, names, record.status, seconds, measured))
    if len(records) > ROWS:
        lines.append(Text(f"the newest {ROWS} of them:"))
    return Group(*lines, table)


def _headline(state: State) -> str:
    left = "" if state.left_seconds is None else f", {_time(state.left_seconds)} left"
    before = f", {state.before} completed before" if state.before else ""
    working = count(len(state.running), "run")
    return (
        f"{state.host}, process {state.pid}: {state.done} of {state.total} done, "
        f"{state.failed} failed, {working} at work{left}{before}"
    )


def _time(seconds: float) -> str:
    """Return a time in a form that people say.

    >>> _time(42), _time(600), _time(9_000)
    ('42 s', '10 min', '2 h 30 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def _share(run: Running) -> str:
    return "at work" if run.share is None else f"{run.share:.0%}"


def _varied(runs: list[RunRecord | Running]) -> list[str]:
    """Name the parameters that differ between the runs."""
    names = dict.fromkeys(name for run in runs for name in run.parameters)
    return [
        name
        for name in names
        if len({repr(run.parameters.get(name)) for run in runs}) > 1
    ]


def _cells(run: RunRecord | Running, names: list[str], *rest: str) -> list[Text]:
    given = " ".join(
        f"{name}={run.parameters[name]}" for name in names if name in run.parameters
    )
    stem, _, digits = run.run.rpartition("-")
    texts = [f"{shortened(stem, 30)}-{digits[:6]}", given, *rest]
    return [Text(shortened(text, LONGEST_CELL)) for text in texts]


def _metrics(record: RunRecord) -> str:
    """Return what a run measured last, or the last line of its error."""
    if record.error:
        return record.error.rstrip("\n").split("\n")[-1]
    return ", ".join(
        f"{name} {value:.4g}"
        for name, value in list(record.metrics.items())[-3:]
        if value is not None
    )
