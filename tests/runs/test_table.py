"""Do the columns of runs say what they hold, with the right types and units?"""

import csv
import io
from pathlib import Path

import pandas as pd
import pytest

from smallscale.runs import load
from smallscale.runs.record import RunRecord
from smallscale.runs.table import columns, dictionary, table
from tests.runs.samples import record

GAIN = {"whole": False, "unit": "points", "n": 40, "low": 1, "high": 3.5}
COUNT = {"whole": True, "unit": "", "n": None, "low": None, "high": None}


def two_runs() -> list[RunRecord]:
    return [
        record(
            run="a",
            parameters={"scale": "small", "seed": 0, "eps": 1.0, "clip": True},
            metrics={"gain": 2, "count": 7},  # JSON has 2 for 2.0
            details={"gain": GAIN, "count": COUNT},
            commit="c0ffee",
        ),
        record(run="b", parameters={"scale": "tiny"}, metrics={"count": None}),
    ]


def keep(folder: Path, runs: list[RunRecord]) -> None:
    for run in runs:
        (folder / "runs" / run.run).mkdir(parents=True)
        (folder / "runs" / run.run / "run.json").write_text(run.to_json())


def test_columns_come_in_their_order_with_what_they_mean() -> None:
    lines = list(csv.DictReader(io.StringIO(dictionary(two_runs()))))
    assert [line["column"] for line in lines[:6]] == [
        "run",
        "notebook",
        "status",
        "claims",
        "seconds",
        "peak_mb",
    ]
    rest = [(line["column"], line["type"], line["unit"]) for line in lines[6:]]
    assert rest == [
        ("scale", "text", ""),
        ("seed", "whole", ""),
        ("eps", "number", ""),
        ("clip", "truth", ""),
        ("gain", "number", "points"),
        ("count", "whole", ""),
        ("gain_low", "number", "points"),
        ("gain_high", "number", "points"),
        ("gain_n", "whole", ""),
        ("started", "text", ""),
        ("commit", "text", ""),
        ("version_python", "text", ""),
        ("version_torch", "text", ""),
    ]
    assert lines[12]["meaning"] == "the lower end of gain's interval"


def test_a_measured_number_is_no_count_and_a_count_stays_whole() -> None:
    row = next(csv.DictReader(io.StringIO(table(two_runs()))))
    assert (row["gain"], row["count"]) == ("2.0", "7")
    assert (row["gain_low"], row["gain_high"], row["gain_n"]) == ("1.0", "3.5", "40")
    assert (row["commit"], row["started"]) == ("c0ffee", "2026-11-03T12:00:00+00:00")


def test_a_metric_may_be_called_as_an_interval_is() -> None:
    run = record(metrics={"gain": 1, "gain_low": 5}, details={"gain": GAIN})
    headings = [column.heading for column in columns([run])]
    assert len(set(headings)) == len(headings)
    values = {column.heading: column.values[0] for column in columns([run])}
    assert (values["gain_low"], values["metric_gain_low"]) == (5, 1.0)


def test_load_gives_each_column_its_type(tmp_path: Path) -> None:
    keep(tmp_path, two_runs())
    frame = load(tmp_path).set_index("run").sort_index()
    types = {name: str(frame[name].dtype) for name in frame}
    assert types["seed"] == types["count"] == types["gain_n"] == "Int64"
    assert types["eps"] == types["gain"] == types["seconds"] == "float64"
    assert types["clip"] == "boolean"
    assert types["scale"] == types["commit"] == "string"
    assert str(frame.started["a"]) == "2026-11-03 12:00:00+00:00"
    assert frame.seed["a"] == 0
    assert frame.seed.isna()["b"]
    assert frame.gain["a"] == 2.0
    assert frame.attrs["units"] == {
        "seconds": "s",
        "peak_mb": "MB",
        "gain": "points",
        "gain_low": "points",
        "gain_high": "points",
    }


def test_types_survive_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow, which writes Parquet, is missing")
    keep(tmp_path, two_runs())
    frame = load(tmp_path)
    frame.to_parquet(tmp_path / "runs.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "runs.parquet"), frame)


def test_runs_that_disagree_on_a_type_keep_their_values(tmp_path: Path) -> None:
    huge = 2**70
    vast = 10**400  # larger than any float
    runs = [
        record(run="a", parameters={"x": 1, "y": huge, "z": vast}),
        record(run="b", parameters={"x": "one", "y": 1, "z": 0.5}),
    ]
    keep(tmp_path, runs)
    frame = load(tmp_path).set_index("run").sort_index()
    assert list(frame.x) == [1, "one"]
    assert list(frame.y) == [huge, 1]
    assert list(frame.z) == [vast, 0.5]
    pytest.importorskip("pyarrow", reason="pyarrow, which writes Parquet, is missing")
    # As the page on sweeps has it.
    texts = frame.astype(dict.fromkeys("xyz", "string"))
    texts.to_parquet(tmp_path / "runs.parquet")
    assert list(pd.read_parquet(tmp_path / "runs.parquet").z) == [str(vast), "0.5"]


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="folder must be one that `smallscale run`"):
        load(tmp_path)
    (tmp_path / "runs").mkdir()
    assert len(load(tmp_path)) == 0
