"""What do people and programs see of runs? Tables, a summary, and JSON by the line."""

import json
import sys
from pathlib import Path
from typing import Any

from smallscale.runs.catalogue import Notebook
from smallscale.runs.plan import Plan
from smallscale.runs.progress import ProgressReporter, console, count
from smallscale.runs.record import RunRecord, claims_held
from smallscale.runs.table import csv_line, rows


def tell(line: str) -> None:
    """Print a line that is not a result."""
    print(f"smallscale: {line}", file=sys.stderr)


# ---- for people ----------------------------------------------------------------------


def planned(work: Plan) -> str:
    """Return the table of runs that a command asks for, as CSV."""
    entries = _planned_entries(work)
    names = dict.fromkeys(name for _, _, given in entries for name in given)
    lines = [["status", "run", *names]]
    lines += [
        [status, run, *(str(given.get(name, "")) for name in names)]
        for status, run, given in entries
    ]
    return "".join(map(csv_line, lines)).rstrip("\n")


def _planned_entries(work: Plan) -> list[tuple[str, str, dict[str, Any]]]:
    done = [("completed", record.run, record.parameters) for record in work.done]
    todo = [("to do", task.run, task.parameters) for task in work.todo]
    return [*done, *todo]


def print_summary(records: list[RunRecord], out: Path) -> None:
    """Say how the runs went, and where the results are."""
    counts = [claims_held(record) for record in records]
    held = sum(count.held for count in counts)
    judged = sum(count.judged for count in counts)
    failed = sum(record.status != "completed" for record in records)
    print(
        f"{count(len(records), 'run')}, {failed} failed; "
        f"{held} of {count(judged, 'judged claim')} held"
    )
    print(f"gallery: {out / 'index.html'}")
    print(f"table:   {out / 'runs.csv'}")


def print_best(record: RunRecord, value: float, metric: str, names: list[str]) -> None:
    """Say which run of a search was best, and by which values."""
    given = " ".join(f"{name}={record.parameters[name]}" for name in names)
    print(f"best: {metric} {value:.6g} with {given} ({record.run})")


def terminal_table(records: list[RunRecord]) -> str:
    """Return what differs between the runs, and what they measured, as a text.

    `runs.csv` has the rest.
    """
    import pandas as pd

    columns = zip(*rows(records), strict=True)
    shown = [column for column in columns if _is_shown(*column)]
    headings, *lines = zip(*shown, strict=True)
    frame = pd.DataFrame(lines, columns=list(headings))
    text: str = frame.to_string(
        index=False, na_rep="", float_format="{:.3g}".format, line_width=console.width
    )
    return text


def _is_shown(heading: str, *cells: object) -> bool:
    """Tell whether a terminal is shown this column of the table of runs."""
    if heading in ("claims", "seconds"):
        return True
    if heading in ("run", "peak_mb"):
        return False
    return len(set(map(str, cells))) > 1


# ---- for programs --------------------------------------------------------------------


def print_json(entry: dict[str, Any]) -> None:
    """Print an object as one line of JSON, at once."""
    print(json.dumps(entry), flush=True)


def as_json(record: RunRecord, out: Path) -> dict[str, Any]:
    """Return what a program wants to know of a run that is over."""
    held, judged = claims_held(record)
    return {
        "event": "run",
        "run": record.run,
        "notebook": record.notebook,
        "status": record.status,
        "parameters": record.parameters,
        "metrics": record.metrics,
        "claims_held": held,
        "claims_judged": judged,
        "seconds": record.seconds,
        "peak_mb": record.peak_mb,
        "error": record.error,
        "started": record.started,
        "finished": record.finished,
        "folder": str(out / "runs" / record.run),
    }


class JsonReporter(ProgressReporter):
    """Prints an object for each run that is over, and nothing else, to the output."""

    def __init__(self, total: int, *, before: int, out: Path) -> None:
        super().__init__(total, before=before, quiet=True)
        self._out = out

    def say(self, record: RunRecord) -> None:
        """Print the run's object."""
        number = {"number": len(self.records), "of": self.total}
        print_json(as_json(record, self._out) | number)

    def warn(self, line: str) -> None:
        """Print what is wrong with the sweep to the error output."""
        tell(line)


def print_json_best(record: RunRecord, value: float, metric: str, out: Path) -> None:
    """Print which run of a search was best."""
    best = {"event": "best", "metric": metric, "value": value}
    print_json(as_json(record, out) | best)


def print_json_plan(work: Plan) -> None:
    """Print an object for each run that a command asks for, then a summary."""
    for status, run, given in _planned_entries(work):
        print_json(
            {"event": "planned", "status": status, "run": run, "parameters": given}
        )
    counts = {"completed": len(work.done), "to_do": len(work.todo)}
    print_json({"event": "summary", **counts})


def print_json_summary(
    records: list[RunRecord], before: int, runs: int, out: Path, *, ended: str
) -> None:
    """Print the last object: how the runs of a command went.

    before: how many were completed before. runs: how many were asked for.
    ended: "whole" or "interrupted".
    """
    counts = [claims_held(record) for record in records]
    print_json(
        {
            "event": "summary",
            "ended": ended,
            "runs": runs,
            "over": len(records),
            "completed_before": before,
            "failed": sum(record.status != "completed" for record in records),
            "claims_held": sum(count.held for count in counts),
            "claims_judged": sum(count.judged for count in counts),
            "table": str(out / "runs.csv"),
            "gallery": str(out / "index.html"),
        }
    )


def print_json_notebook(notebook: Notebook) -> None:
    """Print an object that says what a notebook is and which parameters it takes."""
    print_json(
        {
            "notebook": notebook.name,
            "title": notebook.title,
            "question": notebook.question,
            "path": str(notebook.path),
            "parameters": [
                {
                    "name": parameter.name,
                    "type": parameter.kind.__name__,
                    "default": parameter.default,
                    "help": parameter.help,
                }
                for parameter in notebook.parameters.values()
            ],
        }
    )


def print_json_rows(records: list[RunRecord]) -> None:
    """Print an object for each row of the table of runs, its keys the headings."""
    headings, *lines = rows(records)
    for line in lines:
        print_json(dict(zip(headings, line, strict=True)))
