"""Who said yes to what? Votes as a table, and the files in which Polis exports them.

A conversation is a set of statements that people write and vote on: 1 agrees, -1
disagrees, 0 passes, NaN was never shown. In its database Polis counts the other way
round; its exports, and everything here, have agreement at +1.
"""

from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray
from torch import Tensor

from smallscale.core.validation import require, shown
from smallscale.votes.tables import read_table, shortened

MODERATED_OUT = -1  # in Polis's column `moderated`
NO_VOTES = (str, bytes, bool, np.bool_, complex, np.complexfloating)
WHOLE_NUMBER = "0|-?[1-9][0-9]{0,17}"  # as a program writes one, of 64 bits


class Votes(NamedTuple):
    """A conversation.

    matrix: (participants, statements) of 1, -1, 0 and NaN; its index and columns are
    the ids, in increasing order.
    groups: the group of each participant as published or, for made-up votes, as made
    up; NaN for people outside the conversation. None where nobody said.
    statements: a row for each statement, by id; its words are in the column
    comment-body.
    moderated_out: the ids of the statements that the moderators withdrew.
    """

    matrix: pd.DataFrame
    groups: pd.Series | None
    statements: pd.DataFrame
    moderated_out: list[Any]


def read_polis(folder: str | Path) -> Votes:
    """Return the conversation in a folder of Polis's export: votes.csv, comments.csv,
    and participants-votes.csv if it is there.

    Ids are whole numbers where all of their kind, in all files, are written as such;
    else all of them are text, so that 01 and 1 are two people. Of a whole number that a
    program wrote as 7.0 the zero is left out. The same holds of the ids of groups.
    The last vote of a participant on a statement wins: the one with the latest
    timestamp, and of equal timestamps the later line. Timestamps are numbers, or dates
    of ISO 8601. participants-votes.csv is read for the published group ids alone. The
    totals in comments.csv count every vote, those that were changed later too, so they
    can exceed what the matrix holds.
    Raises ValueError, in one line with the file's name and where it has one the row,
    for files or columns that are missing, rows with a field too many or too few, votes
    other than 1, 0 and -1, timestamps that are missing or cannot be compared, ids that
    are missing or repeated, and votes on statements that comments.csv does not list.
    """
    folder = Path(folder).expanduser()
    votes_file = folder / "votes.csv"
    people_file = folder / "participants-votes.csv"
    votes = read_table(votes_file, ["voter-id", "comment-id"], "vote", text="timestamp")
    statements = _read_statements(folder / "comments.csv")
    people = None
    if people_file.exists():
        people = read_table(
            people_file, ["participant"], "group-id", unique=True, labels="group-id"
        )
        _give_ids_one_type((votes, "voter-id"), (people, "participant"))
    else:
        _give_ids_one_type((votes, "voter-id"))
    _give_ids_one_type((votes, "comment-id"), (statements, "comment-id"))
    statements = statements.set_index("comment-id").sort_index()
    last = _last_votes(votes, statements, votes_file)
    participants = pd.Index(last["voter-id"].unique()).sort_values()
    groups = None
    if people is not None:
        published = people.set_index("participant")["group-id"].rename("group")
        published = _group_ids(published)
        participants = participants.union(published.index)
        if published.notna().any():
            groups = published.reindex(participants).rename_axis("participant")
    matrix = last.pivot(index="voter-id", columns="comment-id", values="vote")
    matrix = matrix.astype(float).reindex(index=participants, columns=statements.index)
    withdrawn = statements.index[statements["moderated"] == MODERATED_OUT]
    return Votes(
        matrix=matrix.rename_axis(index="participant", columns="statement"),
        groups=groups,
        statements=statements.rename_axis("statement"),
        moderated_out=withdrawn.tolist(),
    )


def _read_statements(path: Path) -> pd.DataFrame:
    """Return comments.csv, a row for each statement; a body is text, whatever it says.

    A moderated that is no number would make text of them all, and -1 would not be found
    among them.
    """
    table = read_table(
        path,
        ["comment-id"],
        "moderated",
        "comment-body",
        unique=True,
        text="comment-body",
    )
    moderated = _numbers(table, "moderated", (-1, 0, 1), path)
    return table.assign(moderated=moderated.astype("int64"))


def _numbers(
    table: pd.DataFrame, name: str, allowed: tuple[int, ...], path: Path
) -> pd.Series:
    """Return a column as numbers, or refuse the first that is not allowed."""
    written = table[name].astype(str).where(table[name].notna(), "nothing")
    numbers = pd.to_numeric(written, errors="coerce")
    wrong = ~numbers.isin(allowed)
    if wrong.any():
        *others, last = map(str, sorted(allowed, reverse=True))
        raise ValueError(
            f"{path}: {name} must be {', '.join(others)} or {last}; row "
            f"{wrong.argmax() + 1} has {shortened(written[wrong].iloc[0])}"
        )
    return numbers


def _last_votes(
    votes: pd.DataFrame, statements: pd.DataFrame, path: Path
) -> pd.DataFrame:
    """Return the last vote of each participant on each statement.

    path: the file that the votes are from, for messages.
    """
    votes = votes.assign(vote=_numbers(votes, "vote", (1, 0, -1), path))
    unknown = sorted_ids(set(votes["comment-id"]) - set(statements.index))
    require(
        not unknown,
        f"{path} votes on statements that comments.csv does not list: "
        f"{', '.join(map(str, unknown))}",
    )
    one_vote = ["voter-id", "comment-id"]
    if "timestamp" in votes:
        # A stable sort: of equal times the later line stays the later one.
        votes = votes.assign(timestamp=_times(votes["timestamp"], path))
        votes = votes.sort_values("timestamp", kind="stable")
    elif votes.duplicated(one_vote).any():
        raise ValueError(
            f"{path} repeats a vote but has no column timestamp to say which is "
            "the last"
        )
    return votes.drop_duplicates(one_vote, keep="last")


def _times(written: pd.Series, path: Path) -> pd.Series:
    """Return timestamps, read as text, as numbers or dates that compare.

    A number is kept to its last digit, be it in nanoseconds.
    """
    times: list[Decimal | datetime] = []
    for row, text in enumerate(written, 1):
        found = _time(text)
        if found is None or (times and _kind(found) != _kind(times[0])):
            raise ValueError(
                f"{path}: timestamp must be a number, or in every row a date of ISO "
                f"8601 such as 2020-01-31T12:00; row {row} has "
                f"{shortened(text or 'nothing')}"
            )
        times.append(found)
    return pd.Series(times, index=written.index, dtype=object)


def _time(text: str) -> Decimal | datetime | None:
    """Return the number or the date that a text is, else None."""
    with suppress(InvalidOperation):
        number = Decimal(text)
        return number if number.is_finite() else None
    with suppress(ValueError):
        return datetime.fromisoformat(text)
    return None


def _kind(time: Decimal | datetime) -> tuple[type, bool]:
    """Return what two times must have in common to be compared: a date knows its zone
    or does not."""
    return type(time), isinstance(time, datetime) and time.tzinfo is not None


def _give_ids_one_type(*columns: tuple[pd.DataFrame, str]) -> None:
    """Make the ids of one kind whole numbers, in all tables or in none."""
    if all(table[name].str.fullmatch(WHOLE_NUMBER).all() for table, name in columns):
        for table, name in columns:
            table[name] = table[name].astype("int64")


def _group_ids(written: pd.Series) -> pd.Series:
    """Return the ids of groups as numbers where each is written as one, else as text.

    People without a group have NaN, beside which a large whole number would be rounded.
    """
    ids = written.dropna()
    if not ids.str.fullmatch(WHOLE_NUMBER).all():
        return written
    numbers = pd.to_numeric(written)
    kept = numbers.dropna().astype("int64").astype(str)
    return numbers if (kept == ids).all() else written


def vote_matrix(matrix: Any) -> pd.DataFrame:
    """Return a matrix (participants, statements) of any library as a DataFrame of
    floats, in its own order.

    Arrays, tensors and lists (None for a vote that is missing) get ids counted from 0.
    Raises ValueError for another shape, an empty one, ids that come twice, and votes
    other than 1, -1, 0 and NaN: text, complex numbers, and True and False, of which
    False might be a disagreement or a pass.
    """
    values = matrix.detach().cpu().numpy() if isinstance(matrix, Tensor) else matrix
    wanted = "matrix must be (participants, statements) of 1, -1, 0 and NaN"
    try:
        given = pd.DataFrame(values)
        other = _no_numbers(given)
        frame = given if other else given.astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{wanted}: {error}") from error
    require(not other, f"{wanted}, as numbers; got {shown(other)}")
    require(
        0 not in frame.shape,
        f"matrix must have participants and statements; got shape {frame.shape}",
    )
    wrong = ~(frame.isin((1, -1, 0)) | frame.isna()).to_numpy()
    if wrong.any():
        raise ValueError(
            "matrix must hold only 1 (agree), -1 (disagree), 0 (pass) and NaN (not "
            f"seen); got {frame.to_numpy()[wrong][0]:g}"
        )
    for name, ids in (("participants", frame.index), ("statements", frame.columns)):
        if not ids.is_unique:
            again = ids[ids.duplicated()].tolist()[0]
            raise ValueError(
                f"matrix must name each of its {name} once; {again!r} comes twice"
            )
    return frame


def _no_numbers(frame: pd.DataFrame) -> list[Any]:
    """Return the first value of each column that is text, complex, True or False."""
    odd = [k for k, dtype in enumerate(frame.dtypes) if dtype.kind not in "iuf"]
    found = []
    for k in odd:
        wrong = [each for each in frame.iloc[:, k] if isinstance(each, NO_VOTES)]
        found += wrong[:1]
    return found


def group_labels(matrix: pd.DataFrame, groups: Any) -> pd.Series:
    """Return groups as a Series over the matrix's participants, NaN for people in none.

    A Series is matched by participant, never by position: rows in another order keep
    their groups. Participants that it leaves out are in no group. A list, an array, a
    tensor or an index is taken in the order of the rows.
    Raises ValueError for what has no such order, a dict among them, a wrong number of
    labels, participants that come twice, and nobody in any group.
    """
    if isinstance(groups, pd.Series):
        require(groups.index.is_unique, "groups must name each participant once")
        labels = groups.reindex(matrix.index)
    else:
        kinds = Tensor | np.ndarray | pd.Index | ExtensionArray | Sequence
        in_order = isinstance(groups, kinds) and not isinstance(groups, (str, bytes))
        require(
            in_order and getattr(groups, "ndim", 1) == 1,
            "groups must be a list of labels in the order of the rows, or a Series by "
            f"participant, as pd.Series(a_dict); got {shown(groups)}",
        )
        values = groups.tolist() if hasattr(groups, "tolist") else list(groups)
        require(
            len(values) == len(matrix),
            f"groups must have a label for each of {len(matrix)} participants; got "
            f"{len(values)}",
        )
        labels = pd.Series(values, index=matrix.index)
    odd = [each for each in labels if not isinstance(each, Hashable)]
    require(not odd, f"groups must hold numbers or words; got {shown(odd[:1])}")
    require(
        not labels.isna().all(),
        "groups must put somebody who is in the matrix into a group; got none",
    )
    return labels


def sorted_ids(ids: Iterable[Any]) -> list[Any]:
    """Return ids in increasing order, kind by kind where they are of several kinds that
    do not compare."""
    return sorted(ids, key=lambda each: (type(each).__name__, each))


def sorted_by_id(matrix: pd.DataFrame) -> pd.DataFrame:
    """Return the same votes with rows and columns in the order of their ids.

    Floating-point sums depend on their order in the last bit. This way they run in one
    order, so that shuffled rows change nothing at all.
    """
    rows = sorted_ids(matrix.index)
    columns = sorted_ids(matrix.columns)
    return matrix.reindex(index=rows, columns=columns)
