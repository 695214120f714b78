"""Who said yes to what? Votes as a table, and the files in which Polis exports a conversation.

A conversation is a set of statements that people write and vote on: 1 agrees, -1 disagrees, 0 passes, NaN was never
shown. In its database Polis counts the other way round; its exports, and everything here, have agreement at +1.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor

MODERATED_OUT = -1


class Votes(NamedTuple):
    """A conversation.

    matrix: (participants, statements) of 1, -1, 0 and NaN; its index and columns are the ids, in increasing order.
    groups: the group of each participant as published or, for made-up votes, as made up; NaN for people outside the
    conversation. None where nobody said.
    statements: a row for each statement, by id; its words are in the column comment-body.
    moderated_out: ids of the statements that the moderators withdrew.
    """

    matrix: pd.DataFrame
    groups: pd.Series | None
    statements: pd.DataFrame
    moderated_out: list[Any]


def read_polis(folder: str | Path) -> Votes:
    """The conversation in a folder of Polis's export: votes.csv and comments.csv, participants-votes.csv if there.

    The last vote of a participant on a statement wins: the latest timestamp, and of equal ones the later line.
    participants-votes.csv is read for the published group ids alone. The totals in comments.csv count every vote,
    those that were changed later too, so they can exceed what the matrix holds.
    Raises ValueError, one line with the file's name, for files or columns that are missing, votes other than 1, 0
    and -1, ids that are missing or repeated, and votes on statements that comments.csv does not list.
    """
    folder = Path(folder).expanduser()
    ballots, comments, people = (
        folder / f"{name}.csv" for name in ("votes", "comments", "participants-votes")
    )
    votes = _table(ballots, ["voter-id", "comment-id"], "vote")
    statements = _table(
        comments, ["comment-id"], "moderated", "comment-body", unique=True
    )
    cast = votes["vote"]
    votes["vote"] = pd.to_numeric(
        cast, errors="coerce"
    )  # a single word makes text of the numbers beside it
    bad = ~votes["vote"].isin((1, 0, -1))
    if bad.any():
        raise ValueError(
            f"{ballots}: vote must be 1, 0 or -1; row {bad.argmax() + 1} has {cast[bad].iloc[0]}"
        )
    unknown = ", ".join(
        map(str, in_order(set(votes["comment-id"]) - set(statements["comment-id"])))
    )
    if unknown:
        raise ValueError(
            f"{ballots} votes on statements that comments.csv does not list: {unknown}"
        )
    if "timestamp" in votes:
        votes = votes.sort_values(
            "timestamp", kind="stable"
        )  # stable: of equal times the later line stays later
    elif votes.duplicated(["voter-id", "comment-id"]).any():
        raise ValueError(
            f"{ballots} repeats a vote but has no column timestamp to say which is the last"
        )
    last = votes.drop_duplicates(["voter-id", "comment-id"], keep="last")
    ids, groups = pd.Index(last["voter-id"].unique()).sort_values(), None
    if people.exists():
        published = _table(people, ["participant"], "group-id", unique=True).set_index(
            "participant"
        )["group-id"]
        ids = ids.union(published.index)
        if published.notna().any():
            groups = published.reindex(ids).rename("group").rename_axis("participant")
    statements = (
        statements.set_index("comment-id").sort_index().rename_axis("statement")
    )
    matrix = last.pivot(index="voter-id", columns="comment-id", values="vote").astype(
        float
    )
    matrix = matrix.reindex(index=ids, columns=statements.index).rename_axis(
        index="participant", columns="statement"
    )
    return Votes(
        matrix,
        groups,
        statements,
        statements.index[statements["moderated"] == MODERATED_OUT].tolist(),
    )


def _table(
    path: Path, ids: list[str], *others: str, unique: bool = False
) -> pd.DataFrame:
    """A file of an export that has these columns, the ids complete; rows are counted from 1."""
    try:
        table = pd.read_csv(path, encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read: {error.strerror or error}; a Polis export has it"
        ) from error
    except ValueError as error:  # no text, or no table
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path} is not a table of comma-separated values in UTF-8: {reason}"
        ) from error
    missing = [name for name in (*ids, *others) if name not in table]
    if missing:
        raise ValueError(
            f"{path} has no column {', '.join(missing)}; its columns are {', '.join(map(str, table))}"
        )
    if len(table) == 0:
        raise ValueError(f"{path} holds no rows")
    for name in ids:
        absent, again = table[name].isna(), table[name].duplicated()
        if absent.any():
            raise ValueError(f"{path}: row {absent.argmax() + 1} has no {name}")
        if unique and again.any():
            raise ValueError(
                f"{path}: {name} {table[name][again].iloc[0]} comes twice; an id belongs to one row"
            )
    return table


def vote_matrix(matrix: Any) -> pd.DataFrame:
    """A matrix (participants, statements) in any form as a DataFrame of floats, in its own order.

    Arrays, tensors and lists (None for a vote that is missing) get ids counted from 0.
    Raises ValueError for another shape, an empty one, ids that come twice, and votes other than 1, -1, 0 and NaN.
    """
    values = matrix.detach().cpu().numpy() if isinstance(matrix, Tensor) else matrix
    try:
        frame = pd.DataFrame(values).astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"matrix must be (participants, statements) of 1, -1, 0 and NaN: {error}"
        ) from error
    if 0 in frame.shape:
        raise ValueError(
            f"matrix must have participants and statements; got shape {frame.shape}"
        )
    strange = ~(frame.isin((1, -1, 0)) | frame.isna()).to_numpy()
    if strange.any():
        allowed = "1 (agree), -1 (disagree), 0 (pass) and NaN (not seen)"
        raise ValueError(
            f"matrix must hold only {allowed}; got {frame.to_numpy()[strange][0]:g}"
        )
    for name, ids in (("participants", frame.index), ("statements", frame.columns)):
        if not ids.is_unique:
            again = ids[ids.duplicated()].tolist()[0]
            raise ValueError(
                f"matrix must name each of its {name} once; {again!r} comes twice"
            )
    return frame


def group_labels(matrix: pd.DataFrame, groups: Any) -> pd.Series:
    """groups as a Series over the matrix's participants, NaN for people in no group.

    A Series is matched by participant, never by position: rows in another order keep their groups. Participants
    it leaves out are in no group. Anything else is taken in the order of the rows.
    Raises ValueError for a wrong number of labels, participants that come twice, and nobody in any group.
    """
    if isinstance(groups, pd.Series):
        if not groups.index.is_unique:
            raise ValueError("groups must name each participant once")
        labels = groups.reindex(matrix.index)
    else:
        values = (
            groups.tolist() if isinstance(groups, Tensor | np.ndarray) else list(groups)
        )
        if len(values) != len(matrix):
            raise ValueError(
                f"groups must have a label for each of {len(matrix)} participants; got {len(values)}"
            )
        labels = pd.Series(values, index=matrix.index)
    if labels.isna().all():
        raise ValueError(
            "groups must put somebody who is in the matrix into a group; got none"
        )
    return labels


def in_order(ids: Iterable[Any]) -> list[Any]:
    """Ids in increasing order; those of several kinds, which do not compare, kind by kind."""
    return sorted(ids, key=lambda each: (type(each).__name__, each))


def canonical(matrix: pd.DataFrame) -> pd.DataFrame:
    """The same votes with rows and columns in the order of their ids: sums then run in one order.

    Floating-point sums depend on their order in the last bit. With this, shuffled rows change nothing at all.
    """
    return matrix.reindex(
        index=in_order(matrix.index), columns=in_order(matrix.columns)
    )
