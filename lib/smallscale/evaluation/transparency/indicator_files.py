"""Who disclosed what? The index's files of indicators, an edition a file.

The published files differ: one starts with a byte-order mark, two end in a row of
totals, one has a column of totals, two leave the domains out, and names have spaces at
their ends. What the files leave open is read from those beside them, and said.
"""

import csv
import io
from datetime import datetime
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from smallscale.core.validation import require, shown
from smallscale.evaluation.transparency.editions import (
    DOMAINS,
    Edition,
    aliases,
    published_editions,
)
from smallscale.evaluation.transparency.separation import FEWEST_DEVELOPERS

ABOUT = ("Domain", "Subdomain", "Indicator", "Definition", "Notes", "Total")
DEFINITION = "Definition"  # a file that has this column defines indicators
SCORES = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}
SAME_IN_ORDER = 0.9  # of the names, for two files to be joined by the order of rows
NEARLY_A_NAME = 0.85
FORMATS = ("%B%Y", "%b%Y", "%B %Y", "%b %Y")  # October2023, Dec2025


class Indicators(NamedTuple):
    """One edition, indicator by indicator.

    name: its month and year, or its file's name. scores: (indicators, developers) of 0
    and 1. domains: by indicator. renamed: old name -> new name, of indicators that were
    joined by the order of rows.
    """

    name: str
    scores: pd.DataFrame
    domains: pd.Series
    renamed: dict[str, str]

    def edition(self) -> Edition:
        """Return its totals by domain."""
        known = published_editions().get(self.name)
        yeses = self.scores.groupby(self.domains.to_numpy(), sort=False).sum().T
        order = [name for name in DOMAINS if name in yeses] or list(yeses)
        sizes = self.domains.value_counts()[order]
        none = pd.Series("", yeses.index)
        return Edition(
            name=self.name,
            collected=known.collected if known else "Read from a file.",
            sizes=sizes,
            yeses=yeses[order],
            models=known.models.reindex(yeses.index) if known else none,
            published=(
                known.published.reindex(yeses.index) if known else yeses.sum(axis=1)
            ),
        )


class _Table(NamedTuple):
    """A file: its rows by column, without its totals."""

    path: Path
    columns: list[str]
    rows: list[dict[str, str]]

    @property
    def indicators(self) -> list[str]:
        return [row["Indicator"] for row in self.rows]


def read_index(folder: str | Path) -> list[Indicators]:
    """Return the editions whose scores are in a folder's CSV files, the oldest first.

    A file of scores has the column Indicator and a column of 0 and 1 for each
    developer. It may have Domain, Subdomain and Total, and a last row Total, whose
    numbers must then be the sums. Where Domain is missing it is taken from another file
    of the folder: from one that names the same indicators, or one that has as many rows
    of which nine in ten have the same name, row by row. A file with a column Definition
    defines indicators and is no edition.
    A file whose name is a month and a year, such as May2024.csv or May2024_scores.csv,
    is that edition: where it is one of the three published, its totals must be those
    that were published. Developers have one name in all editions.
    Raises ValueError, in one line with the file's name, for a folder without such
    files, columns that are missing or come twice, scores other than 0 and 1, indicators
    or developers that come twice, totals that are not the sums, fewer than three
    developers, and two names that seem to be of one developer.
    """
    folder = Path(folder).expanduser()
    require(folder.is_dir(), f"{folder} is no folder; give one with CSV files")
    tables = [_read_table(path) for path in sorted(folder.glob("*.csv"))]
    editions = [
        _indicators(table, tables)
        for table in tables
        if DEFINITION not in table.columns
    ]
    require(editions, f"{folder} holds no CSV file of indicator scores")
    editions.sort(key=lambda each: _when(each.name))
    names = [each.name for each in editions]
    require(
        len(set(names)) == len(names),
        f"{folder} holds two files of one edition; their editions are "
        f"{', '.join(names)}",
    )
    _require_one_name_each(editions, folder)
    return editions


def _read_table(path: Path) -> _Table:
    """Return a file's rows, white space around each field left out."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise ValueError(f"{path.name} is no table in UTF-8: {reason}") from error
    cells = [[cell.strip() for cell in row] for row in rows if any(map(str.strip, row))]
    require(cells, f"{path.name} is empty")
    header = cells.pop(0)
    for name in header:
        require(header.count(name) == 1, f"{path.name} has the column {name!r} twice")
    require(
        "Indicator" in header,
        f"{path.name} has no column Indicator; its columns are {shown(header)}",
    )
    for number, row in enumerate(cells, 1):
        require(
            len(row) == len(header),
            f"{path.name}: row {number} has {len(row)} fields, and the header "
            f"{len(header)}",
        )
    records = [dict(zip(header, row, strict=True)) for row in cells]
    require(records, f"{path.name} holds no rows")
    return _Table(path, header, records)


def _indicators(table: _Table, tables: list[_Table]) -> Indicators:
    """Return the edition in a table of scores; tables: all that lie beside it."""
    name = table.path.name
    body = [row for row in table.rows if row["Indicator"] != "Total"]
    totals = [row for row in table.rows if row["Indicator"] == "Total"]
    require(len(totals) <= 1, f"{name} has two rows Total")
    table = table._replace(rows=body)
    require(len(body) >= 2, f"{name} has {len(body)} indicators; at least 2 are needed")
    for indicator in table.indicators:
        require(indicator, f"{name} has a row without the name of an indicator")
        once = table.indicators.count(indicator) == 1
        require(once, f"{name} has the indicator {shown(indicator)} twice")
    scores = _scores(table)
    _require_sums(table, scores, totals)
    domains, renamed = _domains(table, tables)
    scores = scores.rename(columns=aliases())
    again = scores.columns[scores.columns.duplicated()].tolist()
    require(not again, f"{name} has a developer twice, under two names: {shown(again)}")
    found = Indicators(_edition_name(table.path), scores, domains, renamed)
    _require_as_published(found, name)
    return found


def _scores(table: _Table) -> pd.DataFrame:
    """Return the zeros and ones, or refuse the first that is neither."""
    name = table.path.name
    developers = [column for column in table.columns if column not in ABOUT]
    require(
        len(developers) >= FEWEST_DEVELOPERS,
        f"{name} has the developers {shown(developers)}; at least {FEWEST_DEVELOPERS} "
        "are needed",
    )
    require("" not in developers, f"{name} has a column of scores without a developer")
    for row in table.rows:
        for developer in developers:
            require(
                row[developer] in SCORES,
                f"{name}: {developer} has {shown(row[developer])} for "
                f"{shown(row['Indicator'])}; a score is 0 or 1",
            )
    values = [
        [SCORES[row[developer]] for developer in developers] for row in table.rows
    ]
    index = pd.Index(table.indicators, name="indicator")
    return pd.DataFrame(values, index, developers)


def _require_sums(
    table: _Table, scores: pd.DataFrame, totals: list[dict[str, str]]
) -> None:
    """Refuse totals in the file that are not the sums of its scores."""
    name = table.path.name
    for row in totals:
        for developer, total in scores.sum().items():
            require(
                row[str(developer)] == str(total),
                f"{name}: the total of {developer} is {shown(row[str(developer)])}, "
                f"and its scores sum to {total}",
            )
    if "Total" in table.columns:
        for row, total in zip(table.rows, scores.sum(axis=1), strict=True):
            require(
                row["Total"] == str(total),
                f"{name}: the total of {shown(row['Indicator'])} is "
                f"{shown(row['Total'])}, and its scores sum to {total}",
            )


def _domains(table: _Table, tables: list[_Table]) -> tuple[pd.Series, dict[str, str]]:
    """Return each indicator's domain, and which indicators were renamed."""
    name = table.path.name
    index = pd.Index(table.indicators, name="indicator")
    source = table
    renamed: dict[str, str] = {}
    if "Domain" not in table.columns:
        source, renamed = _source_of_domains(table, tables)
    domains = {row["Indicator"]: row["Domain"].capitalize() for row in source.rows}
    new_names = {new: old for old, new in renamed.items()}
    found = [domains[new_names.get(each, each)] for each in table.indicators]
    for indicator, domain in zip(table.indicators, found, strict=True):
        require(
            domain in DOMAINS,
            f"{name}: the domain of {shown(indicator)} is {shown(domain)}; it must be "
            f"one of {', '.join(DOMAINS)}",
        )
    for domain in DOMAINS:
        require(domain in found, f"{name} has no indicator of the domain {domain}")
    return pd.Series(found, index, name="domain"), renamed


def _source_of_domains(
    table: _Table, tables: list[_Table]
) -> tuple[_Table, dict[str, str]]:
    """Return the file beside this one that has its indicators' domains."""
    own = table.indicators
    others = [
        other._replace(rows=[r for r in other.rows if r["Indicator"] != "Total"])
        for other in tables
        if "Domain" in other.columns
    ]
    for other in others:
        if set(own) <= set(other.indicators):
            return other, {}
    for other in others:
        if len(other.indicators) == len(own):
            pairs = list(zip(other.indicators, own, strict=True))
            if np.mean([old == new for old, new in pairs]) >= SAME_IN_ORDER:
                return other, {old: new for old, new in pairs if old != new}
    raise ValueError(
        f"{table.path.name} has no column Domain, and no file beside it has the "
        "domains of its indicators; put the file that defines them into its folder"
    )


def _require_as_published(found: Indicators, file: str) -> None:
    """Refuse a file that has the name of a published edition and other totals."""
    known = published_editions().get(found.name)
    if known is None:
        return
    totals = found.scores.sum()
    strangers = sorted(set(totals.index) ^ set(known.published.index))
    require(
        not strangers,
        f"{file} is not the edition of {known.name}: only one of them has "
        f"{shown(', '.join(strangers))}",
    )
    for developer, total in known.published.items():
        require(
            totals[developer] == total,
            f"{file} is not the edition of {known.name}: {developer} has "
            f"{totals[developer]}, and {total} was published",
        )


def _require_one_name_each(editions: list[Indicators], folder: Path) -> None:
    """Refuse two names, of one edition or of two, that differ by little."""
    names = sorted({name for each in editions for name in each.scores.columns})
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            require(
                not _nearly_same(one, other),
                f"{folder.name} names a developer both {one!r} and {other!r}; give it "
                "one name in all files",
            )


def _nearly_same(one: str, other: str) -> bool:
    """Say whether two names differ in case, spaces or a letter, not in digits."""
    first, second = (
        "".join(filter(str.isalnum, name.casefold())) for name in (one, other)
    )
    digits = ["".join(filter(str.isdigit, name)) for name in (first, second)]
    if digits[0] != digits[1]:
        return False
    return SequenceMatcher(None, first, second).ratio() > NEARLY_A_NAME


def _edition_name(path: Path) -> str:
    """Return month and year where the file's name says them, else the name."""
    stem = path.stem.removesuffix("_scores")
    when = _date(stem)
    return f"{when:%B %Y}" if when else stem


def _date(words: str) -> datetime | None:
    for form in FORMATS:
        try:
            return datetime.strptime(words, form)
        except ValueError:
            continue
    return None


def _when(name: str) -> tuple[datetime, str]:
    """Return what sorts editions: those without a date come last, by name."""
    return _date(name) or datetime.max, name
