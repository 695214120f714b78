"""Does a file of runs mean what it says, and is a slip in it one line?"""

import csv
import io
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from smallscale.runs import Refused
from smallscale.runs.lists import given, read_rows
from smallscale.runs.parameters import Parameter

Write = Callable[..., Path]
Smallscale = Callable[..., subprocess.CompletedProcess[str]]


def file(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_csv_file_is_a_run_a_row(tmp_path: Path) -> None:
    text = '\ufeffseed, eps,data\n0,.5,"a, b:c"\n1,,\n\n,0.25,x\r\n'
    assert read_rows(file(tmp_path, "runs.csv", text)) == [
        {"seed": "0", "eps": ".5", "data": "a, b:c"},
        {"seed": "1"},  # an empty field is the default
        {"eps": "0.25", "data": "x"},
    ]


def test_yaml_is_a_list_of_runs_or_a_grid(tmp_path: Path) -> None:
    listed = "- {seed: 0, eps: 0.5}\n- eps: 1e-3\n- {}\n"
    assert read_rows(file(tmp_path, "runs.yaml", listed)) == [
        {"seed": 0, "eps": 0.5},
        {"eps": "1e-3"},  # no number in YAML 1.1; the parameter makes it one
        {},
    ]
    grid = "seed: [0, 1]\neps: [0.1, 0.2]\nscale: tiny\n"
    rows = read_rows(file(tmp_path, "grid.yml", grid))
    assert rows == [
        {"seed": seed, "eps": eps, "scale": "tiny"}
        for seed in (0, 1)
        for eps in (0.1, 0.2)
    ]


# Each list holds the one before it nine times: 9 ** 20 items, if each is looked at.
BOMB = "- &a0 [x]\n" + "".join(
    f"- &a{k} [{', '.join(9 * [f'*a{k - 1}'])}]\n" for k in range(1, 20)
)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("runs.txt", "seed\n1\n", "unknown ending; give a .csv, .yaml or .yml file"),
        ("runs.csv", "", "it lists no run"),
        ("runs.csv", "seed,eps\n", "it lists no run"),
        ("runs.csv", "seed,seed\n1,2\n", "names, each once"),
        ("runs.csv", "seed,\n1,2\n", "names, each once"),
        ("runs.csv", "seed,eps\n1\n", "row 2 has 1 fields, and the first has 2"),
        ("runs.csv", 'seed\n"1\n', "it is not CSV"),
        ("runs.csv", b"s\xe9ed\n1\n", "cannot be read"),
        ("runs.yaml", "", "a list of runs, or a mapping"),
        ("runs.yaml", "[]", "it lists no run"),
        ("runs.yaml", "{}", "it lists no run"),
        ("runs.yaml", "seed: []", "it lists no run"),
        ("runs.yaml", "- 3", "item 1 must be a mapping"),
        ("runs.yaml", "- {3: 4}", "3 is no parameter's name"),
        ("runs.yaml", "- {seed: [1]}", "seed in item 1 must be text, a number"),
        ("runs.yaml", "- {seed: null}", "seed in item 1 must be text, a number"),
        ("runs.yaml", "- {data: 2024-01-02}", "is a date; put it in quotes"),
        ("runs.yaml", "seed: [[1]]", "seed in the grid must be text, a number"),
        ("runs.yaml", "seed: 1\nseed: 2", "seed is given twice"),
        ("runs.yaml", "- seed: 1\n  seed: 2", "seed is given twice"),
        ("runs.yaml", "# only a comment", "a list of runs, or a mapping"),
        ("runs.yaml", "- {seed: 010}", "010 is another number in YAML than it"),
        ("runs.yaml", "seed: [1, 1:30]", "1:30 is another number in YAML than it"),
        ("runs.yaml", "eps: [1:30.5]", "1:30.5 is another number in YAML than it"),
        ("runs.yaml", BOMB, "item 1 must be a mapping"),
        ("runs.yaml", "seed: [1", "it is not YAML: expected ',' or ']'"),
        ("runs.yaml", "- {}\n--- 1", "but found another document, line 2"),
        ("runs.yaml", "- {? [a] : 1}", "found unhashable key, line 1"),
        ("runs.yaml", "!!python/object/apply:os.system ['true']", "it is not YAML"),
        ("runs.yaml", "a: &a [1,2]\nb: *a\nc: !!set {x}", "must be text, a number"),
        (
            "runs.yaml",
            "".join(f"p{k}: [0,1,2,3,4,5,6,7,8,9]\n" for k in range(9)),
            "it is a grid of 1,000,000,000 runs; at most 100,000",
        ),
    ],
)
def test_a_slip_is_one_line(
    tmp_path: Path, name: str, text: str | bytes, words: str
) -> None:
    with pytest.raises(Refused) as refusal:
        read_rows(file(tmp_path, name, text))
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).startswith(f"--params {tmp_path / name}")
    with pytest.raises(Refused, match=r"nothing.csv cannot be read"):
        read_rows(tmp_path / "nothing.csv")


def test_a_value_becomes_what_the_parameter_is() -> None:
    eps, seed = Parameter("eps", float, 0.1), Parameter("seed", int, 0)
    flag, text = Parameter("flag", bool, False), Parameter("text", str, "")
    cases = [(eps, "1e-3", 0.001), (eps, 1, 1.0), (seed, "7", 7), (flag, "true", True)]
    for parameter, value, expected in [*cases, (text, "1,2:3", "1,2:3")]:
        found = given(parameter, value)
        assert found == expected
        assert type(found) is type(expected)
    for parameter, wrong in (
        (seed, 1.0),
        (seed, True),
        (text, 7),
        (flag, 1),
        (eps, "x"),
    ):
        with pytest.raises(Refused, match="wrong type"):
            given(parameter, wrong)


def planned(run: subprocess.CompletedProcess[str]) -> list[dict[str, str]]:
    assert run.returncode == 0, run.stderr
    return list(csv.DictReader(io.StringIO(run.stdout)))


def test_a_list_runs_and_a_dry_run_says_what_is_done(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    write("theme/nb", "print(eps)")
    (tmp_path / "lists" / "images").mkdir(parents=True)
    runs = file(
        tmp_path / "lists", "runs.csv", "eps,data\n0.25,images\n0.5,\n0.25,images\n"
    )
    words = ("run", "theme/nb", "--params", str(runs), "--seeds", "2")
    before = planned(smallscale(*words, "--dry-run"))
    assert not (tmp_path / "results").exists()  # a dry run leaves nothing behind
    asked = [(row["eps"], row["seed"], Path(row["data"]).name) for row in before]
    assert asked == [
        ("0.25", "0", "images"),  # a path starts from the list's folder
        ("0.25", "1", "images"),
        ("0.5", "0", ""),
        ("0.5", "1", ""),
    ]
    assert {row["status"] for row in before} == {"to do"}
    first = smallscale(*words, "--shard", "1/3")
    assert first.returncode == 0, first.stderr
    after = planned(smallscale(*words, "--dry-run"))
    done = [row["run"] for row in after if row["status"] == "completed"]
    assert done == [before[0]["run"], before[3]["run"]]  # the first and the fourth
    assert {row["run"] for row in after} == {row["run"] for row in before}


def test_shards_share_out_every_run_once_whatever_is_done(
    write: Write, smallscale: Smallscale
) -> None:
    write("theme/nb", "print(eps)")
    words = ("run", "theme/nb", "--seeds", "7", "--dry-run")
    every = [row["run"] for row in planned(smallscale(*words))]
    parts = [
        [row["run"] for row in planned(smallscale(*words, "--shard", f"{k}/3"))]
        for k in (1, 2, 3)
    ]
    assert [len(part) for part in parts] == [3, 2, 2]
    assert sorted([*parts[0], *parts[1], *parts[2]]) == sorted(every)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--shard", "0/3"), "I/N with I from 1 to N"),
        (("--shard", "4/3"), "I/N with I from 1 to N"),
        (("--shard", "2"), "I/N with I from 1 to N"),
        (("--shard", "1/²"), "I/N with I from 1 to N"),
        (("--shard", "1/" + "9" * 5000), "I/N with I from 1 to N"),
        (("--seeds", "2", "-p", "seed=1"), "seed is given twice"),
        (("-p", "eps=0.5", "--params", "runs.csv"), "both on the command line and in"),
        (("--params", "wrong.csv"), "has no parameter 'epps' (did you mean 'eps'?)"),
        (("--params", "high.csv"), "eps=7.0 is out of range"),
        (("--params", "none.csv"), "none.csv cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_exit_code_2(
    write: Write,
    smallscale: Smallscale,
    tmp_path: Path,
    words: tuple[str, ...],
    line: str,
) -> None:
    write("theme/nb", "print(eps)")
    file(tmp_path, "runs.csv", "eps\n0.5\n")
    file(tmp_path, "wrong.csv", "epps\n0.5\n")
    file(tmp_path, "high.csv", "eps\n0.5\n7\n")
    run = smallscale("run", "theme/nb", *words)
    assert run.returncode == 2
    assert line in run.stderr
    assert run.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()
