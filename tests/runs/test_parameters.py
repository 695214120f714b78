"""What may be asked of a notebook, and what is refused before anything starts."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallscale.runs import Refused
from smallscale.runs.parameters import Parameter, grid, read_parameters, unknown

CELL = """\
scale: str = "small"  # how much work; one of: tiny, small
seed: int = 0  # random seed
eps: float = .1  # radius [0, 1]
clip: bool = True  # keep to the bounds
name: str = "a, b # not a comment"  # any text
k: int = 4  # neighbours; one of: 1, 4, 16
data: str = ""  # a folder; empty: what is bundled
"""


@pytest.fixture
def cell() -> dict[str, Parameter]:
    return read_parameters(CELL, "theme/nb")


def test_a_cell_is_read_with_types_help_ranges_choices_and_paths(
    cell: dict[str, Parameter],
) -> None:
    assert list(cell) == ["scale", "seed", "eps", "clip", "name", "k", "data"]
    assert cell["scale"].choices == ("tiny", "small")
    assert (cell["eps"].low, cell["eps"].high, cell["eps"].default) == (0, 1, 0.1)
    assert cell["name"].default == "a, b # not a comment"
    assert cell["k"].choices == (1, 4, 16)
    assert cell["data"].path == "folder"
    assert cell["clip"].default is True


def test_a_line_that_a_formatter_has_wrapped_keeps_its_help() -> None:
    cell = read_parameters(
        "eps: float = (\n    0.1  # radius [0, 1]\n)\n"
        "data: str = (\n    ''  # a folder\n)\n"
        "seed: int = 0",
        "theme/nb",
    )
    assert (cell["eps"].low, cell["eps"].high) == (0, 1)
    assert cell["eps"].help == "radius [0, 1]"
    assert cell["data"].path == "folder"
    assert cell["seed"].help == ""


@pytest.mark.parametrize(
    ("help", "path"),
    [
        ("a folder", "folder"),
        ("A folder with images", "folder"),
        ("a folder; empty: what is bundled", "folder"),
        ("a file of preferences, JSON lines", "file"),
        ("a file in SQuAD's format", "file"),
        ("the images: a folder", "folder"),
        ("path of a file", "file"),
        ("ending of a file name", ""),
        ("a file name", ""),
        ("a file's ending", ""),
        ("a folder name below the cache", ""),
        ("how many lines of a file are read", ""),
        ("name or folder of a causal language model", ""),
        ("a folder or the name of a model", ""),
        ("written to a file", ""),
        ("a filename", ""),
    ],
)
def test_a_help_that_says_a_folder_or_a_file_makes_a_path(help: str, path: str) -> None:
    assert read_parameters(f"x: str = ''  # {help}", "nb")["x"].path == path


def test_a_path_asked_for_starts_at_the_caller_and_a_default_at_the_notebook(
    tmp_path: Path,
) -> None:
    for place in ("caller", "notebook"):
        (tmp_path / place / "images").mkdir(parents=True)
    declared = read_parameters("data: str = 'images'  # a folder", "nb")
    caller = tmp_path / "caller"
    beside = tmp_path / "notebook"
    assert grid(declared, {}, caller, beside) == [{"data": str(beside / "images")}]
    asked = {"data": "images"}
    assert grid(declared, asked, caller, beside) == [{"data": str(caller / "images")}]
    (beside / "images").rmdir()
    with pytest.raises(Refused, match="data=images does not exist"):
        grid(declared, {}, caller, beside)


def test_a_word_that_is_not_utf_8_is_refused(cell: dict[str, Parameter]) -> None:
    for name in ("name", "data", "seed", "scale"):
        with pytest.raises(Refused, match=rf"{name}='a\\udcff' is not UTF-8"):
            cell[name].parse("a\udcff")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("x = 1", "line 1 of the parameters cell is not of the form"),
        ("x: int = 1.5", "the default of x is 1.5, which is not int"),
        ("x: int = True", "which is not int"),
        ("x: list = []", "the type of x is list; allowed are str, int, float, bool"),
        ("x: int = len('a')", "the default of x is not a literal"),
        (
            "x: int = 3  # [0, 2]",
            "the default x=3 is out of range; allowed is a whole number in [0, 2]",
        ),
        ("x: str = 'c'  # one of: a, b", "allowed is one of: a, b"),
        (
            "x: int = 1\nx: int = 2",
            "line 2 of the parameters cell: x is declared twice",
        ),
        ("x: int = (", "not valid Python"),
        ("x: float = 1.0  # [zero, one]", "not two numbers"),
    ],
)
def test_a_cell_that_is_wrong_is_refused_with_its_line(
    line: str, complaint: str
) -> None:
    with pytest.raises(Refused) as refusal:
        read_parameters(line, "theme/nb")
    assert complaint in str(refusal.value)
    assert str(refusal.value).startswith("theme/nb")
    assert "\n" not in str(refusal.value).rstrip()


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("seed", "0,1,2", [0, 1, 2]),
        ("seed", " 3 , -4", [3, -4]),
        ("seed", "1_000", [1000]),
        ("seed", "0:6:2", [0, 2, 4, 6]),
        ("seed", "0:5:2", [0, 2, 4]),
        ("seed", "7,0:2:1,7", [7, 0, 1, 2]),
        ("eps", "0:0.3:0.1", [0.0, 0.1, 0.2, 0.3]),
        ("eps", ".05:.25:.1", [0.05, 0.15, 0.25]),
        ("eps", "1", [1.0]),
        ("eps", "1e-3", [0.001]),
        ("clip", "true,False", [True, False]),
        ("name", "007", ["007"]),
        ("name", "1_000,nan,true", ["1_000", "nan", "true"]),
        ("name", '"a,b",c', ["a,b", "c"]),
        ("name", "'a,b','c'", ["a,b", "c"]),
        ("name", "it's", ["it's"]),
        ("name", "a:b:c", ["a:b:c"]),
        ("name", "", [""]),
        ("k", "16,1", [16, 1]),
    ],
)
def test_values_lists_and_ranges(
    cell: dict[str, Parameter], name: str, text: str, values: list[object]
) -> None:
    parsed = cell[name].parse(text)
    assert parsed == values
    assert [type(value) for value in parsed] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("seed", "1.5", "seed='1.5' has the wrong type; allowed is a whole number"),
        ("seed", "1e3", "has the wrong type"),
        ("seed", "", "has the wrong type"),
        ("seed", "1,,2", "has the wrong type"),
        ("seed", "0:1:0.5", "seed='0.5' has the wrong type"),
        ("seed", "1e3:3e3:1e3", "seed='1e3' has the wrong type"),
        ("seed", "0:4", "is not a range; write it as start:end:step"),
        ("eps", "0:1:0", "is an empty range"),
        ("eps", "1:0:0.1", "is an empty range"),
        ("eps", "0:1:1e-9", "at most 100,000 are taken"),
        ("eps", "2", "eps=2.0 is out of range; allowed is a number in [0, 1]"),
        ("eps", "-0.1,0.5", "eps=-0.1 is out of range"),
        ("eps", "nan", "is not finite"),
        ("clip", "1", "allowed is true or false"),
        (
            "scale",
            "smal",
            "scale=smal is not allowed; allowed is one of: tiny, small "
            "(did you mean 'small'?)",
        ),
        ("k", "2", "allowed is one of: 1, 4, 16"),
        ("name", '"a,b', "a quote that is not closed"),
        ("name", '"a"b', "a quote that is not closed"),
    ],
)
def test_what_is_refused_and_in_which_words(
    cell: dict[str, Parameter], name: str, text: str, complaint: str
) -> None:
    with pytest.raises(Refused) as refusal:
        cell[name].parse(text)
    assert complaint in str(refusal.value)
    assert name in str(refusal.value)


@given(
    start=st.integers(-50, 50),
    step=st.integers(1, 9),
    count=st.integers(1, 40),
    decimals=st.integers(0, 4),
)
def test_a_range_holds_both_ends_and_no_rounding_noise(
    start: int, step: int, count: int, decimals: int
) -> None:
    def text(number: int) -> str:
        return f"{number / 10**decimals:.{decimals}f}"

    end = start + step * (count - 1)
    values = Parameter("x", float, 0.0).parse(f"{text(start)}:{text(end)}:{text(step)}")
    assert values == [float(text(start + step * k)) for k in range(count)]


def test_a_grid_is_every_combination_the_others_at_their_defaults(
    cell: dict[str, Parameter], tmp_path: Path
) -> None:
    runs = grid(cell, {"eps": "0.1,0.2", "seed": "0,1"}, tmp_path)
    assert [(run["seed"], run["eps"]) for run in runs] == [
        (0, 0.1),
        (0, 0.2),
        (1, 0.1),
        (1, 0.2),
    ]
    assert all(run["name"] == "a, b # not a comment" for run in runs)


def test_a_grid_that_is_too_large_is_refused(
    cell: dict[str, Parameter], tmp_path: Path
) -> None:
    with pytest.raises(Refused, match="a grid of 1,001,000 runs"):
        grid(cell, {"seed": "1:1000:1", "eps": "0:1:0.001"}, tmp_path)


def test_paths_are_absolute_and_checked(
    cell: dict[str, Parameter], tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "file").touch()
    assert grid(cell, {"data": "images"}, tmp_path)[0]["data"] == str(
        (tmp_path / "images").resolve()
    )
    assert grid(cell, {"data": ""}, tmp_path)[0]["data"] == ""
    for wrong, complaint in (
        ("nowhere", "does not exist"),
        ("file", "is not a folder"),
    ):
        with pytest.raises(Refused, match=complaint):
            grid(cell, {"data": wrong}, tmp_path)


def test_an_unknown_name_is_refused_with_the_nearest(
    cell: dict[str, Parameter],
) -> None:
    refusal = str(unknown("epz", cell, "theme/nb"))
    assert refusal.startswith("theme/nb has no parameter 'epz' (did you mean 'eps'?)")


OR_A_FOLDER = [
    '"known", a folder or a hub name, for `data`; empty: a small one',
    '"known", a folder, or a name',
    'a name or a folder; "known" is here',
]


@pytest.mark.parametrize("help", OR_A_FOLDER)
def test_what_may_be_a_folder_is_the_callers_where_there_is_one(
    tmp_path: Path, help: str
) -> None:
    caller, beside = tmp_path / "caller", tmp_path / "beside"
    for folder in ("owner/model", "known"):
        (caller / folder).mkdir(parents=True)
    (beside / "default").mkdir(parents=True)
    declared = {"model": Parameter("model", str, "default", help)}

    def asked(value: str) -> list[object]:
        found = grid(declared, {"model": value}, caller, beside)
        return [each["model"] for each in found]

    assert asked("owner/model,other/model,known") == [
        str(caller / "owner" / "model"),
        "other/model",  # there is none: a name of the hub
        "known",  # a name, as the help says in quotes
    ]
    assert asked("default") == ["default"]
    assert asked("\0") == ["\0"]
    assert grid(declared, {}, caller, beside) == [{"model": str(beside / "default")}]


@pytest.mark.parametrize(
    "help", ["the name of a folder that is written", "ending of a folder name", ""]
)
def test_a_help_that_speaks_of_folders_makes_no_folder_of_a_name(
    tmp_path: Path, help: str
) -> None:
    (tmp_path / "out").mkdir()
    declared = {"to": Parameter("to", str, "", help)}
    assert grid(declared, {"to": "out"}, tmp_path) == [{"to": "out"}]


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
@pytest.mark.parametrize("help", ["a folder", "a folder or a name"])
def test_a_folder_whose_place_is_not_text_is_refused_in_a_line(
    tmp_path: Path, help: str
) -> None:
    caller = tmp_path / os.fsdecode(b"b\xff")
    (caller / "d").mkdir(parents=True)
    kind = Parameter("data", str, "", help, path="" if "or" in help else "folder")
    with pytest.raises(Refused, match=r"^data=d lies at .*, which is not UTF-8; move"):
        grid({"data": kind}, {"data": "d"}, caller)
    (tmp_path / "link").symlink_to(caller / "d")
    with pytest.raises(Refused, match=r"^data=link lies at"):
        grid({"data": kind}, {"data": "link"}, tmp_path)


def test_a_refusal_does_not_repeat_a_value_of_any_length():
    with pytest.raises(Refused, match=r"^seed='999.* 4,802 characters .*whole") as it:
        Parameter("seed", int, 0).parse("9" * 5000)
    assert len(str(it.value)) < 300


def test_minus_zero_is_zero_and_no_run_of_its_own(cell: dict[str, Parameter]) -> None:
    assert str(cell["eps"].convert("-0")) == str(cell["eps"].convert("-0.0")) == "0.0"
