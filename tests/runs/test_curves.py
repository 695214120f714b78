"""Are a sweep's curves the means and intervals of its runs, and of nothing else?"""

import math
from dataclasses import replace
from typing import Any

import pytest

from smallscale.runs.curves import HEIGHT, MARGIN, WIDTH, curves
from smallscale.runs.gallery import gallery
from smallscale.runs.record import RunRecord
from tests.runs.samples import HOSTILE, Page, assert_closed, record


def runs(*rows: dict[str, Any], metric: str = "gain") -> list[RunRecord]:
    """A run for each row of parameters; what it measured stands under `value`."""
    made = []
    for number, row in enumerate(rows):
        parameters = {name: given for name, given in row.items() if name != "value"}
        run = record(
            run=f"nb-{number}", parameters=parameters, metrics={metric: row["value"]}
        )
        made.append(run)
    return made


def test_means_over_seeds_and_their_interval_by_hand() -> None:
    swept = runs(
        *(
            {"eps": eps, "seed": seed, "value": 10 * eps + seed}
            for eps in (0.3, 0.1, 0.2)
            for seed in (0, 1, 2)
        )
    )
    found = curves(swept, ["eps", "seed"])
    assert found is not None
    (panel,) = found.panels
    assert found.swept == "eps"
    assert found.over_seeds
    assert [point.x for point in panel.points] == [0.1, 0.2, 0.3]
    assert [point.mean for point in panel.points] == pytest.approx([2, 3, 4])
    # Student's t of two degrees of freedom is 4.303 at 97.5 %; the deviation is 1.
    half = 4.303 / math.sqrt(3)
    assert panel.points[0].low == pytest.approx(2 - half, abs=1e-3)
    assert panel.points[2].high == pytest.approx(4 + half, abs=1e-3)
    assert {point.n for point in panel.points} == {3}
    assert panel.place(0.1, panel.top) == (MARGIN, MARGIN)
    assert panel.place(0.3, panel.bottom) == (WIDTH - MARGIN, HEIGHT - MARGIN)
    assert len(panel.line.split()) == 3
    assert len(panel.band.split()) == 6


def test_no_mean_mixes_settings() -> None:
    rows = [
        {"eps": eps, "norm": norm, "seed": 0, "value": eps + 100 * (norm == "l2")}
        for norm in ("linf", "l2")
        for eps in (1, 2, 3)
    ]
    found = curves(runs(*rows), ["eps", "norm"])
    assert found is not None
    assert [panel.setting for panel in found.panels] == ["norm = linf", "norm = l2"]
    means = [[point.mean for point in panel.points] for panel in found.panels]
    assert means == [[1, 2, 3], [101, 102, 103]]
    # All panels of a metric share their scale, so that they can be compared.
    assert {(panel.bottom, panel.top) for panel in found.panels} == {(1, 103)}
    assert not found.over_seeds
    assert {panel.band for panel in found.panels} == {""}


def test_a_single_run_shows_the_interval_that_it_gave() -> None:
    detail = {"whole": False, "unit": "points", "n": 9, "low": 1.5, "high": 2.5}
    swept = [
        record(
            run=f"nb-{eps}",
            parameters={"eps": eps},
            metrics={"gain": 2},
            details={"gain": detail},
        )
        for eps in (1, 2, 3)
    ]
    found = curves(swept, ["eps"])
    assert found is not None
    (panel,) = found.panels
    assert {(point.low, point.high) for point in panel.points} == {(1.5, 2.5)}
    assert panel.unit == "points"


def test_what_does_not_move_is_a_line_in_the_middle() -> None:
    rows = [
        {"eps": eps, "seed": seed, "value": 7} for eps in (1, 2, 3) for seed in "ab"
    ]
    found = curves(runs(*rows), ["eps", "seed"])
    assert found is not None
    (panel,) = found.panels
    assert [panel.place(x, 7)[1] for x in (1, 2, 3)] == [HEIGHT / 2] * 3
    assert not panel.band


def test_where_there_is_nothing_to_draw() -> None:
    two = [{"eps": eps, "seed": 0, "value": 1.0} for eps in (1, 2)]
    seeds = [{"eps": 1, "seed": seed, "value": 1.0} for seed in range(5)]
    words = [{"norm": norm, "value": 1.0} for norm in ("a", "b", "c")]
    truth = [{"clip": clip, "value": 1.0} for clip in (True, False, True)]
    many = [{"eps": e, "k": k, "value": 1.0} for k in range(8) for e in range(9)]
    none = [{"eps": eps, "value": None} for eps in (1, 2, 3)]
    for rows, varied in (
        (two, ["eps"]),
        (seeds, ["seed"]),
        (words, ["norm"]),
        (truth, ["clip"]),
        (many, ["eps", "k"]),
        (none, ["eps"]),
    ):
        assert curves(runs(*rows), varied) is None
    failed = [
        record(run=f"{eps}", parameters={"eps": eps}, status="failed", metrics={"m": 1})
        for eps in (1, 2, 3)
    ]
    assert curves(failed, ["eps"]) is None


def test_the_gallery_draws_them_in_words_too() -> None:
    swept = runs(
        *({"eps": eps, "seed": 0, "value": 2.5 * eps} for eps in (1, 2, 3)),
        metric="gain",
    )
    text = gallery(swept)
    assert 'aria-label="gain against eps: 2.5 at 1, 5 at 2, 7.5 at 3"' in text
    assert text.count("<polyline") == 1
    assert_closed(Page(text))


def test_nothing_hostile_comes_through_a_curve() -> None:
    swept = runs(
        *(
            {HOSTILE: eps, "norm": HOSTILE * (eps % 2), "value": eps}
            for eps in range(8)
        ),
        metric=HOSTILE,
    )
    text = gallery(swept)
    assert "<polyline" in text
    assert "<script>alert" not in text
    assert_closed(Page(text))


def test_numbers_near_the_end_of_all_floats_are_left_to_the_table() -> None:
    swept = runs(
        *(
            {"eps": eps, "seed": seed, "value": value}
            for eps in (0.1, 0.2, 0.3)
            for seed, value in enumerate((1.7e308, -1.7e308, 1.2e308))
        )
    )
    both = [replace(run, metrics={**run.metrics, "sane": 1.0}) for run in swept]
    assert curves(swept, ["eps", "seed"]) is None
    found = curves(both, ["eps", "seed"])
    assert found is not None
    assert [panel.metric for panel in found.panels] == ["sane"]
    assert gallery(both)
    vast = runs(*({"steps": steps, "value": 1} for steps in (1, 2, 10**400)))
    assert curves(vast, ["steps"]) is None
    assert gallery(vast)
