"""Who said yes to what? Votes as a table, and the files in which Polis exports them.

A conversation is a set of statements that people write and vote on: 1 agrees, -1
disagrees, 0 passes, NaN was never shown. In its database Polis counts the other way
round; its exports, and everything here, have agreement at +1.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor

from smallscale.core.validation import require

MODERATED_OUT = -1  # in Polis's column `moderated`


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

    The last vote of a participant on a statement wins: the one with the latest
    timestamp, and of equal timestamps the later line. participants-votes.csv is read
    for the published group ids alone. The totals in comments.csv count every vote,
    those that were changed later too, so they can exceed what the matrix holds.
    Raises ValueError, in one line with the file's name, for files or columns that are
    missing, votes other than 1, 0 and -1, ids that are missing or repeated, and votes
    on statements that comments.csv does not list.
    """
    folder = Path(folder).expanduser()
    votes_file = folder / "votes.csv"
    votes = _read_table(votes_file, ["voter-id", "comment-id"], "vote")
    statements = _read_statements(folder / "comments.csv")
    last = _last_votes(votes, statements, votes_file)
    participants = pd.Index(last["voter-id"].unique()).sort_values()
    published = _read_published_groups(folder / "participants-votes.csv")
    groups = None
    if published is not None:
        participants = participants.union(published.index)
        if published.notna().any():
            groups = published.reindex(participants).rename_axis("participant")
    matrix = last.pivot(index="voter-id", columns="comment-id", values="vote")
    matrix = matrix.astype(float).reindex(index=participants, columns=statements.index)
    withdrawn = statements.index[statements["moderated"] == MODERATED_OUT]
    return Votes(
        matrix=matrix.rename_axis(index="participant", columns="statement"),
        groups=groups,
        statements=statements,
        moderated_out=withdrawn.tolist(),
    )


def _read_statements(path: Path) -> pd.DataFrame:
    """Return comments.csv, a row for each statement by id."""
    table = _read_table(path, ["comment-id"], "moderated", "comment-body", unique=True)
    return table.set_index("comment-id").sort_index().rename_axis("statement")


def _last_votes(
    votes: pd.DataFrame, statements: pd.DataFrame, path: Path
) -> pd.DataFrame:
    """Return the last vote of each participant on each statement.

    path: the file that the votes are from, for messages.
    """
    written = votes["vote"]  # one that is a word makes text of all the others
    votes = votes.assign(vote=pd.to_numeric(written, errors="coerce"))
    wrong = ~votes["vote"].isin((1, 0, -1))
    if wrong.any():
        raise ValueError(
            f"{path}: vote must be 1, 0 or -1; row {wrong.argmax() + 1} has "
            f"{written[wrong].iloc[0]}"
        )
    unknown = sorted_ids(set(votes["comment-id"]) - set(statements.index))
    require(
        not unknown,
        f"{path} votes on statements that comments.csv does not list: "
        f"{', '.join(map(str, unknown))}",
    )
    one_vote = ["voter-id", "comment-id"]
    if "timestamp" in votes:
        # A stable sort: of equal times the later line stays the later one.
        votes = votes.sort_values("timestamp", kind="stable")
    elif votes.duplicated(one_vote).any():
        raise ValueError(
            f"{path} repeats a vote but has no column timestamp to say which is "
            "the last"
        )
    return votes.drop_duplicates(one_vote, keep="last")


def _read_published_groups(path: Path) -> pd.Series | None:
    """Return the published group of each participant; None without the file."""
    if not path.exists():
        return None
    people = _read_table(path, ["participant"], "group-id", unique=True)
    return people.set_index("participant")["group-id"].rename("group")


def _read_table(
    path: Path, ids: list[str], *others: str, unique: bool = False
) -> pd.DataFrame:
    """Return a file of an export that has these columns, its ids complete.

    unique: whether each id must stand in one row only. Messages count rows from 1.
    """
    try:
        table = pd.read_csv(path, encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read: {error.strerror or error}; a Polis export has it"
        ) from error
    except ValueError as error:  # it is no text, or no table
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path} is not a table of comma-separated values in UTF-8: {reason}"
        ) from error
    missing = [name for name in (*ids, *others) if name not in table]
    require(
        not missing,
        f"{path} has no column {', '.join(missing)}; its columns are "
        f"{', '.join(map(str, table))}",
    )
    require(len(table) > 0, f"{path} holds no rows")
    for name in ids:
        absent = table[name].isna()
        if absent.any():
            raise ValueError(f"{path}: row {absent.argmax() + 1} has no {name}")
        again = table[name].duplicated()
        if unique and again.any():
            raise ValueError(
                f"{path}: {name} {table[name][again].iloc[0]} comes twice; an id "
                "belongs to one row"
            )
    return table


def vote_matrix(matrix: Any) -> pd.DataFrame:
    """Return a matrix (participants, statements) of any library as a DataFrame of
    floats, in its own order.

    Arrays, tensors and lists (None for a vote that is missing) get ids counted from 0.
    Raises ValueError for another shape, an empty one, ids that come twice, and votes
    other than 1, -1, 0 and NaN.
    """
    values = matrix.detach().cpu().numpy() if isinstance(matrix, Tensor) else matrix
    try:
        frame = pd.DataFrame(values).astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"matrix must be (participants, statements) of 1, -1, 0 and NaN: {error}"
        ) from error
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


def group_labels(matrix: pd.DataFrame, groups: Any) -> pd.Series:
    """Return groups as a Series over the matrix's participants, NaN for people in none.

    A Series is matched by participant, never by position: rows in another order keep
    their groups. Participants that it leaves out are in no group. Anything else is
    taken in the order of the rows.
    Raises ValueError for a wrong number of labels, participants that come twice, and
    nobody in any group.
    """
    if isinstance(groups, pd.Series):
        require(groups.index.is_unique, "groups must name each participant once")
        labels = groups.reindex(matrix.index)
    else:
        array = isinstance(groups, Tensor | np.ndarray)
        values = groups.tolist() if array else list(groups)
        require(
            len(values) == len(matrix),
            f"groups must have a label for each of {len(matrix)} participants; got "
            f"{len(values)}",
        )
        labels = pd.Series(values, index=matrix.index)
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
