"""What does a file of comma-separated values hold? Its rows, each of them whole.

pandas guesses: it makes the first column an index where a row has a field too many,
numbers of text that only looks like them, and text of numbers where one is a word. So
the file's shape is checked first, and what must not be guessed is read as text.
"""

import csv
import io
from pathlib import Path

import pandas as pd

from smallscale.core.validation import require

LONGEST_SHOWN = 40  # characters of what a file holds, in a message


def read_table(
    path: Path,
    ids: list[str],
    *others: str,
    unique: bool = False,
    text: str = "",
    labels: str = "",
) -> pd.DataFrame:
    """Return a file that has these columns, and whatever else it has.

    ids: columns that are complete; they are text, without white space around them, and
    without the .0 that a program wrote behind whole numbers. unique: whether each id
    must stand in one row only. text: a column, where it is there, that is text whatever
    it says. labels: a column that is text too, without white space around it, but NaN
    where pandas finds nothing. The others are of the type that pandas finds.
    Messages count rows from 1, the header and empty lines left out.
    Raises ValueError, in one line with the file's name, for a file that cannot be read,
    is not UTF-8, has a quote that is not closed, a row with a field too many or too
    few, a name in its header twice, or lacks a column, a row or an id.
    """
    content = _content(path)
    header, rows = _checked_rows(content, path)
    missing = [name for name in (*ids, *others) if name not in header]
    require(
        not missing,
        f"{path} has no column {', '.join(missing)}; its columns are "
        f"{', '.join(map(shortened, header))}",
    )
    require(rows, f"{path} holds no rows")
    table = pd.read_csv(
        io.StringIO(content),
        index_col=False,
        low_memory=False,  # one type for a column, not one for each part of the file
        dtype={labels: object} if labels else None,
    )
    require(len(table) == len(rows), f"{path} is not a table of whole rows")
    for place, name in enumerate(header):
        if name in (*ids, text):
            table[name] = [row[place] for row in rows]
    for name in ids:
        table[name] = _checked_ids(table[name], path, unique)
    if labels:
        found = table[labels].str.strip()
        table[labels] = _without_zeros(found.mask(found == ""))
    return table


def shortened(text: object) -> str:
    """Return what a file holds as a message shows it: on one line, and cut."""
    line = " ".join(str(text).split())
    return line if len(line) <= LONGEST_SHOWN else f"{line[:LONGEST_SHOWN]}…"


def _content(path: Path) -> str:
    """Return a file's text, its line ends as they are."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read: {error.strerror or error}; a Polis export has it"
        ) from error
    except UnicodeDecodeError as error:
        raise _no_table(path, error) from error


def _no_table(path: Path, reason: object) -> ValueError:
    words = " ".join(str(reason).split())
    return ValueError(
        f"{path} is not a table of comma-separated values in UTF-8: {words}"
    )


def _checked_rows(content: str, path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the names in the header, and the rows, each with a field for each name."""
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    rows: list[list[str]] = []  # the header is one of them
    try:
        for row in reader:
            if row and rows and len(row) != len(rows[0]):
                raise ValueError(
                    f"{path}: row {len(rows)} has {len(row)} fields, and the header "
                    f"names {len(rows[0])}"
                )
            if row:  # and no empty line
                rows.append(row)
    except csv.Error as error:
        raise _no_table(path, f"row {len(rows)}: {error}") from error
    if not rows or "\0" in content:
        raise _no_table(path, "it holds a null character" if rows else "it is empty")
    header = rows.pop(0)
    for name in header:
        if name and header.count(name) > 1:
            raise ValueError(f"{path} has the column {shortened(name)} twice")
    return header, rows


def _checked_ids(column: pd.Series, path: Path, unique: bool) -> pd.Series:
    """Return ids as text, or refuse the first that is missing or repeated."""
    ids = column.str.strip()
    absent = ids == ""
    if absent.any():
        raise ValueError(f"{path}: row {absent.argmax() + 1} has no {column.name}")
    ids = _without_zeros(ids)
    again = ids.duplicated()
    if unique and again.any():
        raise ValueError(
            f"{path}: {column.name} {shortened(ids[again].iloc[0])} comes twice; an id "
            "belongs to one row"
        )
    return ids


def _without_zeros(ids: pd.Series) -> pd.Series:
    """Return ids without the .0 behind them, if all are whole numbers or missing."""
    if ids.dropna().str.fullmatch(r"-?[0-9]+(\.0+)?").all():
        return ids.str.replace(r"\.0+$", "", regex=True)
    return ids
