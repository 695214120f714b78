"""Is a Polis export read as it stands, and is what is wrong with one said in a line?"""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from smallscale.votes import Votes, read_polis
from smallscale.votes.polis import group_labels, vote_matrix
from tests.conftest import DATA

HEAD = "timestamp,datetime,comment-id,voter-id,vote"


def test_an_export_by_hand(export: Callable[..., Path]) -> None:
    votes = read_polis(
        export(people="3,1,0,1,0,0,0,,\n7,,0,2,1,1,1,-1,\n12,0,0,0,0,0,,,\n")
    )
    assert votes.matrix.index.tolist() == [3, 7, 12]  # 12 is listed and never voted
    assert votes.matrix.columns.tolist() == [
        0,
        1,
        4,
    ]  # 4 is listed and nobody voted on it
    expected = [[0, math.nan, math.nan], [1, -1, math.nan], [math.nan] * 3]
    np.testing.assert_array_equal(votes.matrix, expected)
    assert votes.groups is not None
    np.testing.assert_array_equal(votes.groups.loc[[3, 7, 12]], [1, math.nan, 0])
    assert votes.statements.loc[0, "comment-body"] == "Yes, we can"
    assert votes.moderated_out == [1]


def test_groups_are_none_where_nobody_published_any(
    export: Callable[..., Path],
) -> None:
    assert read_polis(export()).groups is None
    assert (
        read_polis(export(people="3,,0,1,0,0,0,,\n7,,0,2,1,1,1,-1,\n")).groups is None
    )


@pytest.mark.parametrize(
    ("votes", "last"),
    [
        ("1,x,0,7,1\n2,x,0,7,-1\n", -1),
        ("2,x,0,7,-1\n1,x,0,7,1\n", -1),  # the later time wins, wherever it stands
        ("5,x,0,7,-1\n5,x,0,7,0\n5,x,0,7,1\n", 1),  # of one time, the later line
        ("3,x,0,7,1\n1,x,0,7,-1\n2,x,0,7,0\n", 1),
    ],
)
def test_the_last_vote_wins(export: Callable[..., Path], votes: str, last: int) -> None:
    assert read_polis(export(votes)).matrix.loc[7, 0] == last


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("9", "10"),  # as text, 10 would be the earlier one
        ("9", "9.5"),
        ("1600000000000000001", "1600000000000000002"),  # beyond a float's digits
        ("2020-02-07", "2020-02-07T00:01"),
        ("2020-01-01T12:00+02:00", "2020-01-01T11:00+00:00"),
    ],
)
def test_times_are_compared_as_times(
    export: Callable[..., Path], earlier: str, later: str
) -> None:
    lines = [f"{later},x,0,7,-1\n", f"{earlier},x,0,7,1\n"]
    for order in (lines, lines[::-1]):
        assert read_polis(export("".join(order))).matrix.loc[7, 0] == -1


def test_ids_of_one_kind_are_of_one_type_in_all_files(
    export: Callable[..., Path],
) -> None:
    votes = read_polis(
        export("1,x,0,1,1\n", people="x,1,0,1,0,0,0,,\n1,0,0,1,0,0,0,,\n")
    )
    assert votes.matrix.index.tolist() == ["1", "x"]
    assert votes.groups is not None
    assert votes.groups.to_dict() == {"1": 0, "x": 1}
    assert votes.matrix.columns.tolist() == [0, 1, 4]  # all of them whole numbers


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("01", "1"),
        ("1", "x"),
        ("0.5", "0.50"),
        ("9007199254740993", "9007199254740992"),  # beyond a float's digits
    ],
)
def test_two_groups_stay_two(
    export: Callable[..., Path], first: str, second: str
) -> None:
    rest = "0,1,0,0,0,,"
    people = f"3,{first},{rest}\n7,{second},{rest}\n12, ,{rest}\n"
    groups = read_polis(export(people=people)).groups
    assert groups is not None
    assert groups.loc[[3, 7]].tolist() == [first, second]
    assert np.isnan(groups.loc[12])


@pytest.mark.parametrize("zero", ["", ".0"])
def test_whole_groups_are_numbers(export: Callable[..., Path], zero: str) -> None:
    rest = "0,1,0,0,0,,"
    people = f"3,1{zero},{rest}\n7, 0{zero} ,{rest}\n"
    groups = read_polis(export(people=people)).groups
    assert groups is not None
    assert groups.dtype == "int64"
    assert groups.to_dict() == {3: 1, 7: 0}


def test_01_and_1_are_two_people(export: Callable[..., Path]) -> None:
    votes = read_polis(export("1,x,0,01,1\n2,x,0,1,-1\n"))
    assert votes.matrix[0].to_dict() == {"01": 1, "1": -1}


def test_whole_numbers_that_were_written_as_floats_are_whole(
    export: Callable[..., Path],
) -> None:
    votes = read_polis(export("1,x,0.0,7.0,1\n", people="7,1,0,1,0,0,0,,\n"))
    assert votes.matrix.index.tolist() == [7]
    assert votes.matrix.loc[7, 0] == 1


def test_large_ids_are_kept_apart(export: Callable[..., Path]) -> None:
    """Floats would make one of the first two, and 64 bits cannot hold the third."""
    first, second, third = "9007199254740993", "9007199254740992", "9" * 30
    votes = read_polis(export(f"1,x,0,{first},1\n2,x,0,{second},-1\n"))
    assert votes.matrix[0].to_dict() == {int(second): -1, int(first): 1}
    votes = read_polis(export(f"1,x,0,{first},1\n2,x,0,{third},-1\n"))
    assert votes.matrix[0].to_dict() == {first: 1, third: -1}


def test_statements_are_text_whatever_they_say(export: Callable[..., Path]) -> None:
    lines = ["9,x,0,5,1,0,1,None\r\n", "\r\n", "9,x,1,5,1,0,1,12\r\n"]
    statements = read_polis(export(comments="".join(lines))).statements
    assert statements["comment-body"].tolist() == ["None", "12"]


def test_many_votes_of_one_time_keep_their_lines_order(
    export: Callable[..., Path],
) -> None:
    """Sorting that is not stable goes wrong only in longer tables."""
    lines = [f"5,x,0,{person},{vote}\n" for vote in (1, -1, 0) for person in range(200)]
    assert (read_polis(export("".join(lines))).matrix[0] == 0).all()


def test_without_timestamps_only_repeated_votes_are_refused(
    export: Callable[..., Path],
) -> None:
    heads = ("comment-id,voter-id,vote", "comment-id,moderated,comment-body")
    comments = "0,1,Yes\n1,1,No\n"
    assert read_polis(export("0,7,1\n1,7,-1\n", comments, heads=heads)).matrix.loc[
        7
    ].tolist() == [1, -1]
    with pytest.raises(ValueError, match="repeats a vote but has no column timestamp"):
        read_polis(export("0,7,1\n0,7,-1\n", comments, heads=heads))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {
                "heads": (
                    "timestamp,x,comment-id,voter-id,v",
                    "comment-id,a,b,c,d,e,f,g",
                )
            },
            "no column vote;",
        ),
        (
            {"heads": (HEAD, "comment-id,m,a,b,c,d,e,f")},
            "no column moderated, comment-body;",
        ),
        ({"votes": "1,x,0,7,2\n"}, r"vote must be 1, 0 or -1; row 1 has 2"),
        (
            {"votes": "1,x,0,7,1\n2,x,0,8,yes\n"},
            r"vote must be 1, 0 or -1; row 2 has yes",
        ),
        ({"votes": "1,x,0,7,1\n1,x,0,8,\n"}, r"row 2 has nothing"),
        ({"votes": "1,x,0,7,yes\n"}, r"row 1 has yes"),
        ({"votes": "1,x,0,,1\n"}, r"row 1 has no voter-id"),
        ({"votes": "1,x,99,7,1\n1,x,98,7,1\n"}, r"does not list: 98, 99"),
        ({"votes": ""}, "votes.csv holds no rows"),
        ({"votes": "1,x,0,7,True\n"}, r"vote must be 1, 0 or -1; row 1 has True"),
        ({"votes": ",x,0,7,1\n2,x,0,7,-1\n"}, "row 1 has nothing"),
        ({"votes": "1,x,0,7,1\n2x,x,1,7,-1\n"}, "timestamp must .* row 2 has 2x"),
        ({"votes": "nan,x,0,7,1\n"}, "timestamp must .* row 1 has nan"),
        (
            {"votes": "Wed Jan 01 2020,x,0,7,1\nFri Feb 07 2020,x,0,7,-1\n"},
            "timestamp must .* row 1 has Wed Jan 01 2020",
        ),
        ({"votes": "5,x,0,7,1\n2020-01-01,x,0,7,-1\n"}, "row 2 has 2020-01-01"),
        (
            {"votes": "2020-01-01,x,0,7,1\n2020-01-02T00:00+01:00,x,0,7,-1\n"},
            "row 2 has 2020-01-02T00:00",
        ),
        ({"votes": "1,x,0,7,1,9\n"}, "votes.csv: row 1 has 6 fields.* names 5"),
        ({"votes": "1,x,0,7,1\n2,x,0,7\n"}, "votes.csv: row 2 has 4 fields"),
        ({"comments": "9,x,0,5,1,0,1,Yes, we can\n"}, "comments.csv: row 1 has 9"),
        ({"comments": '9,x,0,5,1,0,1,"Yes\n'}, "not a table .* row 1: unexpected end"),
        ({"comments": '9,x,0,5,1,0,1,"Yes" no\n'}, "not a table .* row 1: ',' expect"),
        ({"comments": "9,x,0,5,1,0,1,Y\0es\n"}, "not a table .* null"),
        (
            {"comments": "9,x,0,5,1,0,1,Yes\n9,x,1,5,1,0,yes,No\n"},
            "moderated must be 1, 0 or -1; row 2 has yes",
        ),
        ({"comments": "9,x,0,5,1,0,,Yes\n"}, "moderated must .* row 1 has nothing"),
        (
            {"heads": (f"{HEAD},vote", "comment-id,moderated,comment-body,a,b,c,d,e")},
            "votes.csv: row 1 has 5",
        ),
        (
            {"votes": "1,x,0,7,1,1\n", "heads": (f"{HEAD},vote", "")},
            "has the column vote twice",
        ),
        (
            {"comments": "9,x,0,5,1,0,1,Yes\n9,x,0,5,1,0,1,No\n"},
            "comment-id 0 comes twice",
        ),
        ({"people": "3,1,0,1,0,0,0,,\n3,0,0,1,0,0,0,,\n"}, "participant 3 comes twice"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    export: Callable[..., Path], changes: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read_polis(export(**changes))
    assert "\n" not in str(error.value)
    assert ".csv" in str(error.value)


def test_files_that_are_missing_or_damaged_are_named(
    tmp_path: Path, export: Callable[..., Path]
) -> None:
    with pytest.raises(ValueError, match=r"votes\.csv cannot be read: No such file"):
        read_polis(tmp_path)
    folder = export()
    (folder / "comments.csv").write_bytes(
        b"comment-id,moderated,comment-body\n0,1,\xff\n"
    )
    with pytest.raises(
        ValueError,
        match=r"comments\.csv is not a table of comma-separated values in UTF-8: "
        r"'utf-8'",
    ):
        read_polis(folder)
    (folder / "comments.csv").write_text("")
    with pytest.raises(ValueError, match=r"comments\.csv is not a table"):
        read_polis(folder)


def test_a_byte_order_mark_is_no_part_of_a_name(export: Callable[..., Path]) -> None:
    folder = export()
    for name in ("votes.csv", "comments.csv"):
        (folder / name).write_bytes(b"\xef\xbb\xbf" + (folder / name).read_bytes())
    assert read_polis(folder).matrix.shape == (2, 3)


def test_real_exports_agree_with_themselves(real: Votes) -> None:
    """The export's own table of last votes, which is not read, is the matrix; it counts
    agreement where we have +1."""
    folder = next(
        f
        for f in (DATA / "polis").iterdir()
        if len(pd.read_csv(f / "comments.csv")) == len(real.statements)
    )
    table = pd.read_csv(folder / "participants-votes.csv").set_index("participant")
    listed = table.iloc[:, 5:].rename(columns=int)
    pd.testing.assert_frame_equal(
        listed.loc[real.matrix.index, real.matrix.columns],
        real.matrix,
        check_names=False,
        check_dtype=False,
    )
    assert (
        (real.matrix == 1).sum(axis=1) == table["n-agree"].loc[real.matrix.index]
    ).all()
    ever = real.statements["agrees"]  # of all votes, also those changed later
    assert (ever >= (real.matrix == 1).sum()).all()
    assert (real.matrix == 1).sum().sum() > 0.95 * ever.sum()
    assert real.groups is not None
    assert real.groups.index.equals(real.matrix.index)


def test_a_matrix_comes_as_a_frame_an_array_a_tensor_or_lists() -> None:
    frame = pd.DataFrame([[1, None], [-1, 0]])
    for form in (
        frame.to_numpy(dtype=float),
        torch.tensor([[1, math.nan], [-1, 0]]),
        [[1, None], [-1, 0]],
    ):
        pd.testing.assert_frame_equal(vote_matrix(form), frame.astype(float))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 2]], "must hold only 1 .*got 2"),
        ([[1, 0.5]], "got 0.5"),
        ([[1, math.inf]], "got inf"),
        ([["yes", 1]], "matrix must be"),
        ([["1", "-1"]], "as numbers; got \\['1', '-1'\\]"),
        ([[b"1", 1]], "as numbers; got"),
        ([[True, False]], "as numbers; got \\[True, False\\]"),
        ([[True, None], [None, None]], "as numbers; got \\[True\\]"),
        (torch.tensor([[True, False]]), "as numbers; got"),
        (np.array([[1 + 0j, 0]]), "as numbers; got"),
        (np.zeros((2, 2, 2)), "matrix must be"),
        (np.zeros((0, 2)), r"got shape \(0, 2\)"),
        (np.zeros((2, 0)), r"got shape \(2, 0\)"),
        (
            pd.DataFrame([[1], [1]], index=["a", "a"]),
            "participants once; 'a' comes twice",
        ),
        (pd.DataFrame([[1, 1]], columns=[3, 3]), "statements once; 3 comes twice"),
    ],
)
def test_a_matrix_that_cannot_be_right_is_refused(matrix: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vote_matrix(matrix)


def test_groups_are_matched_by_participant_or_by_position() -> None:
    matrix = pd.DataFrame([[1], [0], [-1]], index=["a", "b", "c"])
    by_name = group_labels(matrix, pd.Series({"c": "z", "a": "x", "unknown": "y"}))
    assert by_name.to_dict() == {"a": "x", "b": by_name["b"], "c": "z"}
    assert pd.isna(by_name["b"])
    assert group_labels(matrix, ["x", "y", "z"]).tolist() == ["x", "y", "z"]
    assert group_labels(matrix, torch.tensor([2, 0, 1])).tolist() == [2, 0, 1]
    with pytest.raises(
        ValueError, match="groups must have a label for each of 3 participants; got 2"
    ):
        group_labels(matrix, [0, 1])
    with pytest.raises(ValueError, match="got none"):
        group_labels(
            matrix, pd.Series([0, 1, 2])
        )  # positions, where the matrix has names
    with pytest.raises(ValueError, match="each participant once"):
        group_labels(matrix, pd.Series([0, 1], index=["a", "a"]))


@pytest.mark.parametrize(
    "groups",
    [
        {0: "a", 1: "a", 2: "b"},
        {0, 1, 2},
        {"a": 0, "b": 1, "c": 2}.keys(),
        "aab",
        3,
        None,
        np.zeros((3, 2)),
        pd.DataFrame({0: "a", 1: "a", 2: "b"}, index=[0, 1, 2]),
    ],
)
def test_groups_without_an_order_are_refused(groups: object) -> None:
    """Of a dict the keys came as labels: three people, each a group alone."""
    matrix = pd.DataFrame([[1], [0], [-1]])
    with pytest.raises(ValueError, match="groups must be a list of labels in the"):
        group_labels(matrix, groups)
    assert group_labels(matrix, pd.Series({0: "a", 1: "a", 2: "b"})).nunique() == 2


def test_groups_come_in_every_kind_of_list() -> None:
    matrix = pd.DataFrame([[1], [0], [-1]])
    names = ["a", "a", "b"]
    for groups in (names, tuple(names), np.array(names), pd.Index(names)):
        assert group_labels(matrix, groups).tolist() == names
    assert group_labels(matrix, pd.Categorical(names)).tolist() == names
    assert group_labels(matrix, range(3)).tolist() == [0, 1, 2]
    assert group_labels(matrix, [("a", 1), ("a", 1), ("b", 2)]).nunique() == 2
