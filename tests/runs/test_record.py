"""Is what is read back from run.json what was written, and is damage named?"""

import json
from typing import Any

import pytest

from smallscale.runs.record import (
    Claim,
    DamagedRecord,
    Hardware,
    RunRecord,
    claims_held,
    passed,
)
from tests.runs.samples import claim, record


def test_a_record_comes_back_as_it_was_written() -> None:
    written = record(
        claims=[claim(), claim(statement="Another", reproduced=True)],
        metrics={"accuracy": 0.25, "lost": None, "count": 3},
        details={"count": {"whole": True, "unit": "", "n": 9, "low": 2.5, "high": 4}},
        commit="0" * 40,
        parameters={"scale": "tiny", "seed": 1, "eps": 0.5, "clip": True},
        figures=[{"file": "figure-1.png", "title": "", "alt": "A line"}],
        data={"data": "ab12"},
    )
    for text in (written.to_json(), written.to_json(indent=1)):
        assert RunRecord.from_json(text) == written
    assert "\n" not in written.to_json()
    assert isinstance(written.claims[0], Claim)
    assert isinstance(written.hardware, Hardware)


def test_the_keys_of_the_file_are_these() -> None:
    """Others read run.json: a key that goes, or changes its name, breaks them."""
    assert list(json.loads(record().to_json())) == [
        "run",
        "notebook",
        "title",
        "question",
        "parameters",
        "data",
        "claims",
        "metrics",
        "seed",
        "scale",
        "status",
        "error",
        "kernel",
        "peak_mb",
        "seconds",
        "hardware",
        "figures",
        "html",
        "versions",
        "started",
        "finished",
        "place",
        "code",
        "details",
        "commit",
        "sizes",
    ]


def test_what_a_later_version_adds_is_passed_over() -> None:
    content = json.loads(record().to_json())
    assert RunRecord.from_json(json.dumps(content | {"new": 1})) == record()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"run": 7}, "'run' of the record must be text; got 7"),
        ({"seconds": "9"}, "'seconds' of the record must be a number; got \"9\""),
        ({"seconds": True}, "'seconds' of the record must be a number; got true"),
        ({"html": 1}, "'html' of the record must be true or false; got 1"),
        (
            {"status": "done"},
            "'status' of the record must be one of completed, failed, timed-out; "
            'got "done"',
        ),
        (
            {"peak_mb": "many"},
            "'peak_mb' of the record must be a number or null; got \"many\"",
        ),
        (
            {"seconds": float("nan")},
            "'seconds' of the record must be a number; got NaN",
        ),
        (
            {"metrics": {"steps": 10**309}},
            "'steps' of 'metrics' of the record must be a number or null; "
            f"got 1{38 * '0'}…",
        ),
        ({"claims": {}}, "'claims' of the record must be a list; got {}"),
        ({"metrics": []}, "'metrics' of the record must be an object; got []"),
        (
            {"metrics": {"accuracy": "high"}},
            "'accuracy' of 'metrics' of the record must be a number or null; "
            'got "high"',
        ),
        (
            {"claims": [claim(), claim(holds="yes")]},
            "'holds' of item 2 of 'claims' of the record must be true or false; "
            'got "yes"',
        ),
        (
            {"claims": ["It holds"]},
            "item 1 of 'claims' of the record must be an object; got \"It holds\"",
        ),
        (
            {"hardware": {"machine": "x86_64"}},
            "'hardware' of the record has no key 'cores'",
        ),
    ],
)
def test_a_damaged_record_is_refused_with_one_reason(
    changes: dict[str, Any], reason: str
) -> None:
    content = json.loads(record().to_json()) | changes
    with pytest.raises(DamagedRecord) as damage:
        RunRecord.from_json(json.dumps(content))
    assert str(damage.value) == reason


def test_what_an_earlier_version_did_not_write_is_empty() -> None:
    content = json.loads(record(place="/here", code={"a.py": "ab12"}).to_json())
    del content["place"], content["code"]
    assert RunRecord.from_json(json.dumps(content)) == record()


@pytest.mark.parametrize("key", list(json.loads(record().to_json()))[:-5])
def test_a_record_without_one_of_its_keys_is_refused(key: str) -> None:
    content = json.loads(record().to_json())
    del content[key]
    with pytest.raises(DamagedRecord, match=f"the record has no key '{key}'"):
        RunRecord.from_json(json.dumps(content))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"run": "nb', "it is not valid JSON"),
        ("", "it is not valid JSON"),
        ("[" * 100_000, "it is not valid JSON"),
        ("[]", "the record must be an object; got []"),
    ],
)
def test_what_is_no_record_at_all_is_refused(text: str, reason: str) -> None:
    with pytest.raises(DamagedRecord) as damage:
        RunRecord.from_json(text)
    assert str(damage.value) == reason


def test_only_judged_claims_are_counted() -> None:
    run = record(
        claims=[
            claim(statement="a"),
            claim(statement="b", holds=False),
            claim(statement="c", holds=False, judged=False),
        ]
    )
    assert claims_held(run) == (1, 2)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, True),
        ({"claims": [claim()]}, True),
        ({"claims": [claim(holds=False)]}, False),
        ({"claims": [claim(holds=False, judged=False)]}, True),
        ({"status": "failed"}, False),
        ({"status": "timed-out", "claims": [claim()]}, False),
    ],
)
def test_a_run_passes_if_it_completed_and_its_judged_claims_held(
    changes: dict[str, Any], verdict: bool
) -> None:
    assert passed(record(**changes)) is verdict
