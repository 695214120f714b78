"""Does the description of the project's data fit its files, by Croissant's own tool?"""

import csv
import importlib.util
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from smallscale.evaluation.croissant import Records, describe_folder

DATA = Path(__file__).parents[2] / "data"
DESCRIPTION = DATA / "croissant.json"


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    return content


def test_python_data_describe_was_run_after_the_last_change(
    described: dict[str, Any],
) -> None:
    spec = importlib.util.spec_from_file_location("describe", DATA / "describe.py")
    assert spec
    assert spec.loader
    describe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(describe)
    assert described == describe.described()


def test_every_file_of_data_is_named_with_its_sum(described: dict[str, Any]) -> None:
    sums = {file["@id"]: file["sha256"] for file in described["distribution"]}
    own = {"README.md", "croissant.json", "generate.py", "describe.py"}
    files = [path for path in DATA.rglob("*") if path.is_file()]
    found = {
        path.relative_to(DATA).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name not in own and "__pycache__" not in path.parts
    }
    assert sums == found


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a file of rows, or of a JSON object a line."""
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            return list(csv.DictReader(file))
        return [json.loads(line) for line in file]


def test_croissants_own_tool_reads_every_record(described: dict[str, Any]) -> None:
    mlcroissant = pytest.importorskip(
        "mlcroissant", reason="mlcroissant is not installed"
    )
    dataset = mlcroissant.Dataset(jsonld=DESCRIPTION)
    assert not dataset.metadata.ctx.issues.errors
    assert len(described["recordSet"]) == 20
    for each in described["recordSet"]:
        records = list(dataset.records(each["@id"]))
        file = each["field"][0]["source"]["fileObject"]["@id"]
        if file == "passages/passages.json":
            assert len(records) == 300
            continue
        wanted = read(DATA / file)
        assert len(records) == len(wanted)
        for field in each["field"]:
            read_last = records[-1][field["@id"]]
            if isinstance(read_last, bytes):
                read_last = read_last.decode()
            last = wanted[-1][field["name"]]
            assert str("" if read_last is None else read_last) == str(last)


def test_a_small_description_by_hand(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"x y\n1\n")
    records = Records("a", "a.csv", {"x y": ("a number", "sc:Integer")}, {})
    found = describe_folder(tmp_path, ["a.csv"], [records], name="small")
    assert found["name"] == "small"
    (file,) = found["distribution"]
    assert file["contentSize"] == "6 B"
    assert file["encodingFormat"] == "text/csv"
    ((field,),) = (each["field"] for each in found["recordSet"])
    assert field["@id"] == "a/x-y"  # the tool takes no spaces there
    assert field["source"] == {
        "fileObject": {"@id": "a.csv"},
        "extract": {"column": "x y"},
    }


def described_files(folder: Path, *names: str) -> list[str]:
    for name in names:
        (folder / name).write_text("a,b\n1,2\n", encoding="utf-8")
    found = describe_folder(folder, list(names), [])["distribution"]
    return [file["encodingFormat"] for file in found]


def test_endings_are_known_whatever_their_case(tmp_path: Path) -> None:
    assert described_files(tmp_path, "A.CSV", "b.tsv", "c.parquet") == [
        "text/csv",
        "text/tab-separated-values",
        "application/vnd.apache.parquet",
    ]
    with pytest.raises(ValueError, match=r"files must end in one of .csv, .*'d.bin'"):
        described_files(tmp_path, "d.bin")


def test_fields_of_one_id_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    fields = dict.fromkeys(("a b", "a-b"), ("what", "sc:Text"))
    records = [Records("rows", "a.csv", fields, {})]
    with pytest.raises(ValueError, match=r"@id differ; \['rows/a-b'\] comes twice"):
        describe_folder(tmp_path, ["a.csv"], records)
