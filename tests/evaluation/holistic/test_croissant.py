"""Does the description of the recorded answers fit the file, by Croissant's tool?"""

import json
from hashlib import sha256

import pytest

from smallscale.evaluation.holistic.croissant import FIELDS, describe_answers
from smallscale.evaluation.holistic.recording import RECORDED

DESCRIPTION = RECORDED.with_suffix(".croissant.json")


def test_the_description_is_of_the_committed_file() -> None:
    described = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    assert described == describe_answers(RECORDED)
    (file,) = described["distribution"]
    assert file["sha256"] == sha256(RECORDED.read_bytes()).hexdigest()
    first = json.loads(RECORDED.read_text(encoding="utf-8").splitlines()[0])
    assert set(FIELDS) <= set(first)


def test_croissants_own_tool_reads_every_line() -> None:
    mlcroissant = pytest.importorskip(
        "mlcroissant", reason="mlcroissant is not installed"
    )
    dataset = mlcroissant.Dataset(jsonld=DESCRIPTION)
    assert not dataset.metadata.ctx.issues.errors
    records = list(dataset.records("lines"))
    lines = RECORDED.read_text(encoding="utf-8").splitlines()
    assert len(records) == len(lines)
    keys = [record["lines/key"] for record in records]
    keys = [key.decode() if isinstance(key, bytes) else key for key in keys]
    assert keys == [json.loads(line)["key"] for line in lines]
