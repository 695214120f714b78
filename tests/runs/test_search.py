"""Does a search find the best values, and go on where it was broken off?"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[..., Path]
Smallscale = Callable[..., subprocess.CompletedProcess[str]]
PARAMETERS = """\
scale: str = "small"  # how much work; one of: tiny, small, medium, full
seed: int = 0  # random seed
eps: float = 0.1  # radius [0, 1]
rule: str = "a"  # one of: a, b
steps: int = 3  # how many
data: str = ""  # a folder; empty: what is bundled
"""
MEASURES = (
    "from smallscale.notebook.claims import CLAIMS\n"
    "from IPython.display import display",
    "loss = (eps - 0.7) ** 2 + (rule == 'a') + 0.01 * steps\n"
    "display({CLAIMS: {'claims': [], 'metrics': {'loss': loss, 'gain': -loss}}},"
    " raw=True)",
)


@pytest.fixture(autouse=True)
def optuna() -> None:
    pytest.importorskip("optuna", reason="Optuna, for searches, is not installed")


def entries(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_search_finds_the_best_goes_on_and_repeats_nothing(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    write("theme/nb", *MEASURES, parameters=PARAMETERS)
    words = ("run", "all", "--scale", "tiny", "--metric", "loss", "--json")
    first = entries(smallscale(*words, "--search", "6", "--workers", "2"))
    runs = [entry for entry in first if entry["event"] == "run"]
    assert len({entry["run"] for entry in runs}) == 6
    # What has neither a range nor choices stays, and so do scale and seed.
    assert {
        (run["parameters"]["scale"], run["parameters"]["seed"]) for run in runs
    } == {("tiny", 0)}
    assert {run["parameters"]["steps"] for run in runs} == {3}
    assert len({run["parameters"]["eps"] for run in runs}) > 3
    more = entries(smallscale(*words, "--search", "25"))
    assert len([entry for entry in more if entry["event"] == "run"]) == 19
    (best,) = [entry for entry in more if entry["event"] == "best"]
    assert best["parameters"]["rule"] == "b"
    assert abs(best["parameters"]["eps"] - 0.7) < 0.15
    again = entries(smallscale(*words, "--search", "25"))
    assert [entry["event"] for entry in again] == ["best", "summary"]
    assert again[0]["run"] == best["run"]
    # The other way round, and in words, from the same runs.
    words = ("run", "all", "--scale", "tiny", "--metric", "gain", "--maximize")
    told = smallscale(*words, "--search", "25").stdout
    assert "nothing to do: 25 runs" in told
    assert f"best: gain {-best['value']:.6g} with " in told
    assert best["run"] in told
    table = (tmp_path / "results" / "runs.csv").read_text().splitlines()
    assert len(table) == 26


def test_values_given_are_fixed_or_chosen_from(
    write: Write, smallscale: Smallscale
) -> None:
    write("theme/nb", *MEASURES, parameters=PARAMETERS)
    words = ("run", "all", "--metric", "loss", "--json", "--search", "8")
    done = entries(smallscale(*words, "-p", "eps=0.5", "-p", "steps=1,2,3"))
    runs = [entry["parameters"] for entry in done if entry["event"] == "run"]
    assert {run["eps"] for run in runs} == {0.5}
    assert {run["steps"] for run in runs} <= {1, 2, 3}
    # There are six combinations at most, and none is run twice.
    assert len(runs) <= 6
    assert done[-1]["event"] == "summary"
    assert done[-1]["runs"] == len(runs)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--search", "3"), "--search needs --metric NAME"),
        (("--metric", "loss"), "belong to a search"),
        (("--search", "3", "--metric", "loss", "--seeds", "2"), "chooses the runs"),
        (("--search", "1", "--metric", "los"), "has no metric 'los' (did you mean"),
        (
            ("--search", "1", "--metric", "loss", "-p", "eps=0.1", "-p", "rule=a"),
            "has nothing to search",
        ),
    ],
)
def test_what_cannot_be_searched_is_one_line(
    write: Write, smallscale: Smallscale, words: tuple[str, ...], line: str
) -> None:
    write("theme/nb", *MEASURES, parameters=PARAMETERS)
    done = smallscale("run", "all", *words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert line in done.stderr


def test_a_failed_run_is_no_best_and_ends_no_search(
    write: Write, smallscale: Smallscale
) -> None:
    write(
        "theme/nb",
        *MEASURES,
        "if rule == 'b': raise ValueError('no')",
        parameters=PARAMETERS,
    )
    words = ("run", "all", "--metric", "loss", "--json", "--search", "6")
    done = smallscale(*words)
    assert done.returncode == 1
    (best,) = [entry for entry in entries(done) if entry["event"] == "best"]
    assert best["parameters"]["rule"] == "a"


def test_a_run_without_a_finite_metric_counts_and_is_no_best(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    gap = MEASURES[1].replace("'loss': loss", "'loss': loss if eps > 0.5 else None")
    write("theme/nb", MEASURES[0], gap, parameters=PARAMETERS)
    words = ("run", "all", "--metric", "loss", "--json", "--search", "8")
    first = entries(smallscale(*words))
    lost = [run for run in first if run.get("metrics", {"loss": 0})["loss"] is None]
    assert 1 <= len(lost) < 8
    (best,) = [entry for entry in first if entry["event"] == "best"]
    assert best["parameters"]["eps"] > 0.5
    again = entries(smallscale(*words))
    assert [entry["event"] for entry in again] == ["best", "summary"]
    assert again[0]["run"] == best["run"]
    assert len((tmp_path / "results" / "runs.csv").read_text().splitlines()) == 9
