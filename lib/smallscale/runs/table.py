"""What do the runs say, in columns? The table behind `runs.csv` and `load`."""

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smallscale.runs.record import MetricDetail, RunRecord, claims_held, is_float

if TYPE_CHECKING:
    import pandas as pd

# The columns that come first, what they mean, and their units.
FIRST_COLUMNS = {
    "run": ("the run's identity, and the name of its folder", ""),
    "notebook": ("the notebook's name", ""),
    "status": ("completed, failed or timed-out", ""),
    "claims": ("how many of the judged claims held", ""),
    "seconds": ("how long the cells took", "s"),
    "peak_mb": ("the most memory that the kernel used", "MB"),
}
STARTED = "when the run started, in UTC"
COMMIT = "the git commit that the notebook lay in; -dirty: with changes"
KINDS = {bool: "truth", int: "whole", float: "number", str: "text"}
# How pandas keeps each kind, with room for what a run has not.
DTYPES = {"truth": "boolean", "whole": "Int64", "number": "float64", "text": "string"}
SAFE = 2**63  # whole numbers from here on are kept as Python's own


@dataclass(frozen=True)
class Column:
    """One column of the table of runs."""

    heading: str
    meaning: str
    unit: str
    values: list[Any]  # one for each run; None where it has none

    @property
    def kind(self) -> str:
        """What its values are: one of KINDS, or mixed; number where there are none."""
        kinds = {type(value) for value in self.values if value is not None}
        if kinds <= {int, float} and kinds != {int}:
            numbers = (value for value in self.values if value is not None)
            return "number" if all(map(is_float, numbers)) else "mixed"
        if kinds == {int} and any(abs(value or 0) >= SAFE for value in self.values):
            return "mixed"
        return KINDS[kinds.pop()] if len(kinds) == 1 else "mixed"


class _Columns:
    """Columns in the making, no two of one heading."""

    def __init__(self, records: list[RunRecord], reserved: Iterable[str]) -> None:
        self.records = records
        self.made: list[Column] = []
        self._reserved = set(reserved)  # headings that a prefix must not lead to
        self._taken: set[str] = set()

    def add(
        self,
        name: str,
        value: Callable[[RunRecord], Any],
        *,
        meaning: str,
        unit: str = "",
        prefix: str = "run_",
    ) -> None:
        """Add a column, called by its name, or with the prefix where that is taken."""
        heading = name
        while heading in self._taken or (heading != name and heading in self._reserved):
            heading = prefix + heading
        self._taken.add(heading)
        values = [value(record) for record in self.records]
        self.made.append(Column(heading, meaning, unit, values))


def columns(records: list[RunRecord]) -> list[Column]:
    """Return the columns of these runs, each with a value for each run.

    They are FIRST_COLUMNS, then the parameters, then the metrics of all runs, then the
    intervals and sizes that came with metrics, then when and with what each was made. A
    parameter whose name is taken is called `parameter_<name>`, a metric
    `metric_<name>`.
    """
    parameters = _names(record.parameters for record in records)
    metrics = _names(record.metrics for record in records)
    table = _Columns(records, [*FIRST_COLUMNS, *parameters, *metrics])
    for name, (meaning, unit) in FIRST_COLUMNS.items():
        value = _claims_in_words if name == "claims" else _field(name)
        table.add(name, value, meaning=meaning, unit=unit)
    for name in parameters:
        table.add(
            name,
            _item("parameters", name),
            meaning=f"the parameter {name}",
            prefix="parameter_",
        )
    for name in metrics:
        table.add(
            name,
            _number(name),
            meaning=f"the metric {name}",
            unit=_unit(records, name),
            prefix="metric_",
        )
    for name in metrics:
        _add_details(table, name)
    table.add("started", _field("started"), meaning=STARTED)
    table.add("commit", _field("commit"), meaning=COMMIT)
    for name in _names(record.versions for record in records):
        table.add(
            f"version_{name}",
            _item("versions", name),
            meaning=f"the version of {name}",
        )
    return table.made


def _add_details(table: _Columns, name: str) -> None:
    """Add columns for a metric's interval and size, where any run gave them."""
    unit = _unit(table.records, name)
    for part, meaning, its_unit in (
        ("low", f"the lower end of {name}'s interval", unit),
        ("high", f"the upper end of {name}'s interval", unit),
        ("n", f"how many {name} is measured on", ""),
    ):
        value = _detail(name, part)
        if any(value(record) is not None for record in table.records):
            table.add(
                f"{name}_{part}",
                value,
                meaning=meaning,
                unit=its_unit,
                prefix="metric_",
            )


def _names(dicts: Iterable[Iterable[str]]) -> list[str]:
    """Return the keys of all dicts, each once, in the order in which they come."""
    return list(dict.fromkeys(name for keys in dicts for name in keys))


def _field(name: str) -> Callable[[RunRecord], Any]:
    return lambda record: getattr(record, name)


def _item(field: str, name: str) -> Callable[[RunRecord], Any]:
    return lambda record: getattr(record, field).get(name)


def _detail(name: str, part: str) -> Callable[[RunRecord], Any]:
    """Return what reads an end of a metric's interval, or its whole n."""

    def value(record: RunRecord) -> Any:
        found = getattr(record.details.get(name, MetricDetail()), part)
        return found if part == "n" or found is None else float(found)

    return value


def _number(name: str) -> Callable[[RunRecord], Any]:
    """Return what reads a metric: a count stays whole, and 1.0 is no count."""

    def value(record: RunRecord) -> Any:
        number = record.metrics.get(name)
        whole = record.details.get(name, MetricDetail()).whole
        return number if whole or number is None else float(number)

    return value


def _unit(records: list[RunRecord], name: str) -> str:
    """Return a metric's unit as the newest run that names one gives it."""
    units = [record.details[name].unit for record in records if name in record.details]
    return next((unit for unit in reversed(units) if unit), "")


def _claims_in_words(record: RunRecord) -> str:
    held, judged = claims_held(record)
    return f"{held} of {judged}" if judged else ""


# ---- as text -------------------------------------------------------------------------


def rows(records: list[RunRecord]) -> list[list[Any]]:
    """Return the table of runs: a row of headings, then a row for each run."""
    made = columns(records)
    cells = zip(*(column.values for column in made), strict=True)
    return [[column.heading for column in made], *map(list, cells)]


def table(records: list[RunRecord]) -> str:
    """Return runs.csv as text."""
    return "".join(map(csv_line, rows(records)))


def dictionary(records: list[RunRecord]) -> str:
    """Return columns.csv as text: what each column of the table means."""
    lines = [
        [column.heading, column.kind, column.unit, column.meaning]
        for column in columns(records)
    ]
    return "".join(map(csv_line, [["column", "type", "unit", "meaning"], *lines]))


def csv_line(row: list[Any]) -> str:
    """Return a row as a line of CSV, ended by a newline.

    Written with its own ending, "\\r\\n", the csv module puts quotes round a field that
    holds either of the two.
    """
    text = io.StringIO(newline="")
    csv.writer(text).writerow(row)
    return text.getvalue().removesuffix("\r\n") + "\n"


# ---- as a frame ----------------------------------------------------------------------


def load(folder: str | Path = "results") -> "pd.DataFrame":
    """Return the table of runs as a DataFrame whose columns have their types.

    folder: where `smallscale run` kept its results. The columns are those of
    `runs.csv`: whole numbers, numbers, texts and truth values, with NA where a run has
    none, and `started` as a time in UTC. `frame.attrs["units"]` holds the unit of each
    column that has one. A column whose runs disagree on the type keeps Python's values,
    as does one with whole numbers beyond 64 bits. The frame is made from the runs' own
    records, so it needs no runs.csv. `frame.to_parquet(file)` keeps its types; Parquet
    has no place for a column of Python's values, so make that one text before, with
    `frame.astype({"name": "string"})`.

    Raises ValueError for a folder that holds no results.
    """
    import pandas as pd

    from smallscale.runs.results import Results

    home = Path(folder).expanduser()
    if not (home / "runs").is_dir():
        raise ValueError(
            f"folder must be one that `smallscale run` filled; {home} holds no runs"
        )
    made = columns(Results(home.absolute()).current())
    frame = pd.DataFrame(
        {
            column.heading: pd.Series(
                column.values, dtype=DTYPES.get(column.kind, "object")
            )
            for column in made
        }
    )
    started = next(c.heading for c in made if c.meaning == STARTED)
    frame[started] = pd.to_datetime(frame[started], utc=True)
    frame.attrs["units"] = {c.heading: c.unit for c in made if c.unit}
    return frame
