"""Does every run keep its row, whoever else writes, and can the table be read back?"""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallscale.runs.record import RunRecord
from smallscale.runs.results import Results
from smallscale.runs.table import rows, table
from smallscale.runs.under_way import State, under_way
from tests.runs.samples import record


def keep(folder: Path, run: RunRecord, *, asked: str = "") -> RunRecord:
    """Put a run into a results folder, as `execute` does."""
    place = folder / "runs" / run.run
    place.mkdir(parents=True, exist_ok=True)
    (place / "run.json").write_text(run.to_json())
    if asked:
        (place / "asked").write_text(asked)
    return run


def state() -> State:
    """What a command that has nothing to do tells of itself."""
    return State("here", 1, started=0, total=0, done=0, failed=0, before=0)


def runs_in_table(folder: Path) -> list[str]:
    with (folder / "runs.csv").open(newline="") as file:
        return [row["run"] for row in csv.DictReader(file)]


def test_two_commands_in_one_folder_lose_no_row(tmp_path: Path) -> None:
    first = Results(tmp_path)
    second = Results(tmp_path)
    for number in range(10):
        for who, results in (("a", first), ("b", second)):
            run = record(run=f"{who}-{number}", parameters={"x": f"{who}{number}"})
            results.add(keep(tmp_path, run))
    first.refresh()
    assert len(runs_in_table(tmp_path)) == 20
    second.refresh()
    assert len(runs_in_table(tmp_path)) == 20
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 20


def test_a_full_disk_and_a_killed_command_leave_no_half_of_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(tmp_path)
    results.add(keep(tmp_path, record(run="a")))
    results.refresh()
    names = {path.name for path in tmp_path.iterdir()}

    def full(self: Path, target: Path) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            results.refresh()
        with under_way(tmp_path, state):
            pass
    assert {path.name for path in tmp_path.iterdir()} == names
    for half in (".runs.csv.123-456", ".columns.csv.1-2", "..last-asked.3-4"):
        (tmp_path / half).write_text("ru")
    (tmp_path / ".runs.csv.mine").write_text("a copy")
    results.prepare()
    assert {path.name for path in tmp_path.iterdir()} == names | {".runs.csv.mine"}


def test_commands_at_the_same_time_lose_no_row(tmp_path: Path) -> None:
    adds = """if True:
        import sys
        from pathlib import Path
        from smallscale.runs import results
        from tests.runs.samples import record
        from tests.runs.test_results import keep
        results.REFRESH_SECONDS = results.PAUSES = 0
        here = Path(sys.argv[1])
        mine = results.Results(here)
        for number in range(15):
            run = record(run=f"{sys.argv[2]}-{number}", parameters={"x": sys.argv[2],
                         "y": number})
            mine.add(keep(here, run))
    """
    commands = [
        subprocess.Popen([sys.executable, "-c", adds, str(tmp_path), who])
        for who in "abc"
    ]
    assert [command.wait() for command in commands] == [0, 0, 0]
    assert len(runs_in_table(tmp_path)) == 45
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 45


def test_what_another_command_removed_loses_its_row(tmp_path: Path) -> None:
    for name in "ab":
        keep(tmp_path, record(run=name, parameters={"x": name}))
    results = Results(tmp_path)
    (tmp_path / "runs" / "a" / "run.json").unlink()
    results.refresh()
    assert runs_in_table(tmp_path) == ["b"]


def test_code_that_is_reverted_has_its_row_again(tmp_path: Path) -> None:
    old = keep(tmp_path, record(run="old", finished="2026-11-03T12:00:00+00:00"))
    keep(tmp_path, record(run="new", finished="2026-11-03T13:00:00+00:00"))
    results = Results(tmp_path)
    results.refresh()
    assert runs_in_table(tmp_path) == ["new"]
    results.recall([old])
    assert runs_in_table(tmp_path) == ["old"]
    again = Results(tmp_path)  # another command, later
    again.refresh()
    assert runs_in_table(tmp_path) == ["old"]
    again.recall([again.records["new"]])
    assert runs_in_table(tmp_path) == ["new"]


def test_runs_of_one_second_are_told_apart(tmp_path: Path) -> None:
    keep(tmp_path, record(run="z"), asked="2026-11-03T12:00:00.000001+00:00")
    keep(tmp_path, record(run="a"), asked="2026-11-03T12:00:00.000002+00:00")
    assert [run.run for run in Results(tmp_path).current()] == ["a"]


def test_two_notebooks_of_one_name_have_two_rows(tmp_path: Path) -> None:
    keep(tmp_path, record(run="a", place="/one"))
    keep(tmp_path, record(run="b", place="/two"))
    assert {run.run for run in Results(tmp_path).current()} == {"a", "b"}


def test_a_run_that_could_not_be_kept_has_a_row(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.add(record(run="lost", status="failed", error="no space left"))
    assert runs_in_table(tmp_path) == ["lost"]


def test_a_record_of_another_run_does_not_count(tmp_path: Path) -> None:
    keep(tmp_path, record(run="a"))
    (tmp_path / "runs" / "a").rename(tmp_path / "runs" / "copy")
    results = Results(tmp_path)
    assert not results.records
    assert list(results.damaged.values()) == ["it is the record of another run, a"]


def test_a_log_that_was_cut_does_not_swallow_the_next_line(tmp_path: Path) -> None:
    log = tmp_path / "runs.jsonl"
    log.write_text('{"cut in ha')
    results = Results(tmp_path)
    for name in "ab":
        results.add(record(run=name))
    assert [json.loads(line)["run"] for line in log.read_text().splitlines()[1:]] == [
        "a",
        "b",
    ]


def test_what_a_killed_command_was_replacing_comes_back(tmp_path: Path) -> None:
    from smallscale.runs.results import partial_prefix

    dead = subprocess.Popen(["true"])
    dead.wait()
    run = keep(tmp_path, record(run="nb-0123456789ab"))
    stale = tmp_path / "runs" / f"{partial_prefix()}{dead.pid}-x"
    stale.mkdir()
    (tmp_path / "runs" / run.run).rename(stale / f"old-{run.run}")
    results = Results(tmp_path)
    results.prepare()
    results.refresh()
    assert runs_in_table(tmp_path) == [run.run]
    assert not stale.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="the folder is in use")
def test_what_a_live_command_works_in_is_not_swept_whatever_its_process_id(
    tmp_path: Path,
) -> None:
    """Containers share folders and machine names, but not process ids."""
    from smallscale.runs.results import partial_folder, partial_prefix

    dead = subprocess.Popen(["true"])
    dead.wait()
    results = Results(tmp_path)
    results.prepare()
    runs = tmp_path / "runs"
    seen_from_another_container = runs / f"{partial_prefix()}{dead.pid}-x"
    with partial_folder(runs) as mine:
        mine.rename(seen_from_another_container)
        results.prepare()
        assert (seen_from_another_container / "alive").exists()
    results.prepare()
    assert not list(runs.iterdir())


def test_a_run_that_was_replaced_is_gone_before_its_folder_is_unlocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smallscale.runs import results

    seen = []

    class Watched(results.FileLock):  # type: ignore[misc]
        def release(self, force: bool = False) -> None:
            folder = Path(self.lock_file).parent
            if self.is_locked and Path(self.lock_file).name == results.ALIVE:
                seen.append([path.name for path in folder.iterdir()])
            super().release(force)

    monkeypatch.setattr(results, "FileLock", Watched)
    (tmp_path / "runs").mkdir()
    with results.partial_folder(tmp_path / "runs") as mine:
        (mine / "old-nb-0123456789ab").mkdir()
    assert seen == [["alive"]]


def test_what_a_dead_command_left_is_swept_though_its_process_id_is_used_again(
    tmp_path: Path,
) -> None:
    from smallscale.runs.results import partial_folder

    results = Results(tmp_path)
    results.prepare()
    with partial_folder(tmp_path / "runs") as mine:
        left = mine.with_name(mine.name + "0")
        left.mkdir()
        (left / "alive").touch()
        results.prepare()
        assert not left.exists()
        assert mine.exists()
    assert not list((tmp_path / "runs").iterdir())


# ---- the table -----------------------------------------------------------------------


def read_back(records: list[RunRecord]) -> list[list[str]]:
    return list(csv.reader(io.StringIO(table(records), newline="")))


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\r\nb", 'a"b', "a,b", "\r", " a "])
def test_a_value_of_any_text_stays_in_its_field(value: str, tmp_path: Path) -> None:
    run = keep(tmp_path, record(parameters={"x": value, "y": "z"}))
    heads, row = read_back([run])
    assert dict(zip(heads, row, strict=True))["x"] == value
    Results(tmp_path).refresh()
    with (tmp_path / "runs.csv").open(newline="") as file:
        (row_read,) = csv.DictReader(file)
    assert (row_read["x"], row_read["y"]) == (value, "z")
    import pandas as pd

    assert pd.read_csv(tmp_path / "runs.csv")["x"].tolist() == [value]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4))
def test_every_table_is_read_back_as_it_was(values: list[str]) -> None:
    records = [record(run=str(n), parameters={"x": v}) for n, v in enumerate(values)]
    assert [row[6] for row in read_back(records)[1:]] == [
        run.parameters["x"] for run in records
    ]


def test_half_a_character_breaks_no_table(tmp_path: Path) -> None:
    keep(tmp_path, record(title="\ud800", parameters={"x": "\udcff"}))
    Results(tmp_path).refresh()
    assert len(runs_in_table(tmp_path)) == 1


@pytest.mark.parametrize(
    ("parameters", "metrics", "headings"),
    [
        (["status", "seconds"], [], ["parameter_status", "parameter_seconds"]),
        (["run", "claims"], ["run"], ["parameter_run", "parameter_claims"]),
        (["eps"], ["eps"], ["eps", "metric_eps"]),
        (["eps", "metric_eps"], ["eps"], ["eps", "metric_eps", "metric_metric_eps"]),
        (
            ["status", "parameter_status"],
            [],
            ["parameter_parameter_status", "parameter_status"],
        ),
    ],
)
def test_no_two_columns_have_one_heading(
    parameters: list[str], metrics: list[str], headings: list[str]
) -> None:
    parameters_given: dict[str, Any] = dict.fromkeys(parameters, 7)
    run = record(parameters=parameters_given, metrics=dict.fromkeys(metrics, 8.0))
    heads, row = rows([run])
    assert len(set(heads)) == len(heads) == len(row)
    assert heads[6 : 6 + len(headings)] == headings
    given = [7] * len(parameters) + [8.0] * len(metrics)
    assert row[6 : 6 + len(given)] == given
