"""Are the five measures what their formulas say, by hand and beside the plain ones?"""

import numpy as np
import pandas as pd
import pytest

from smallscale.evaluation import expected_calibration_error, mean_win_rate
from smallscale.evaluation.holistic.board import (
    BINS,
    METRICS,
    Draws,
    answer_table,
    board,
    measures,
)
from smallscale.evaluation.holistic.entrants import Echo, MostCommon, Nearest
from smallscale.evaluation.holistic.scenarios import SCENARIOS_BY_NAME
from smallscale.models import NotRecorded


def rows(**changed: object) -> pd.DataFrame:
    table = {
        "entrant": "e",
        "scenario": "s",
        "item": range(4),
        "group": ["a", "b", "a", "b"],
        "score": [1.0, 0.0, 1.0, 0.5],
        "rough": [1.0, 1.0, 0.0, 0.5],
        "confidence": [0.75, 0.75, 0.95, 0.15],
        "operations": [10.0, 1000.0, 10.0, 20.0],
    }
    return pd.DataFrame(table | changed)


def made_up(seed: int = 0, entrants: int = 4, n: int = 10) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    parts = []
    for entrant in range(entrants):
        for scenario in "st":
            parts.append(
                rows(
                    entrant=f"e{entrant}",
                    scenario=scenario,
                    item=range(n),
                    group=["a", "b"] * (n // 2),
                    score=(random.random(n) < 0.3 + 0.1 * entrant) * 1.0,
                    rough=(random.random(n) < 0.3) * 1.0,
                    confidence=random.random(n),
                    operations=random.random(n) * 100 + 1,
                )
            )
    return pd.concat(parts, ignore_index=True)


def test_measures_by_hand() -> None:
    found = measures(rows())
    assert found.accuracy == pytest.approx(0.625)
    assert found.robustness == pytest.approx((1 + 0 + 0 + 0.5) / 4)
    assert found.fairness == pytest.approx(0.25)
    assert found.efficiency == pytest.approx(-np.log10(260))
    # bins: two at .75 of which one is right, one at .95 right, one at .15 not
    error = (abs(1 - 1.5) + abs(1 - 0.95) + 0.15) / 4
    assert found.calibration == pytest.approx(1 - error)


def test_what_is_not_known_is_nan() -> None:
    unsure = measures(rows(confidence=[np.nan, 0.5, 0.5, 0.5]))
    assert np.isnan(unsure.calibration)
    one_group = measures(rows(group="a"))
    assert np.isnan(one_group.fairness)
    assert one_group.accuracy == pytest.approx(0.625)


def test_the_draws_begin_with_the_table_and_agree_with_the_plain_measures() -> None:
    table = made_up()
    plain = board(table)
    draws = Draws(table, 3, seed=1)
    for i, entrant in enumerate(draws.entrants):
        for j, scenario in enumerate(draws.scenarios):
            assert draws.values[0, i, j] == pytest.approx(
                plain.loc[entrant, scenario].to_numpy(float)
            )


def test_a_draw_is_the_measure_of_the_items_drawn() -> None:
    table = made_up(entrants=2)
    draws = Draws(table, 400, seed=3)
    means = draws.values[1:, 0, 0, 0]
    own = table[(table.entrant == "e0") & (table.scenario == "s")].score
    # drawn within two groups of five: the variance of a mean of group means
    groups = own.to_numpy().reshape(5, 2)
    variance = (groups.var(0) / 5).sum() / 4
    assert means.mean() == pytest.approx(own.mean(), abs=0.03)
    assert means.var() == pytest.approx(variance, rel=0.25)


def test_entrants_are_compared_on_the_same_drawn_items() -> None:
    table = made_up(entrants=1)
    twin = pd.concat([table, table.assign(entrant="twin")], ignore_index=True)
    values = Draws(twin, 20).values
    assert np.array_equal(values[:, 0], values[:, 1])


def test_win_rates_are_those_of_the_plain_function() -> None:
    table = made_up(5)
    table.loc[(table.entrant == "e1") & (table.scenario == "t"), "confidence"] = np.nan
    draws = Draws(table, 2, seed=0)
    plain = board(table)
    for k, metric in enumerate(METRICS):
        expected = mean_win_rate(plain[metric].unstack())
        assert draws.rates[0, :, k] == pytest.approx(
            expected[draws.entrants].to_numpy(), nan_ok=True
        )


def test_the_calibration_is_that_of_the_plain_function() -> None:
    table = made_up(7, entrants=1)
    values = Draws(table, 1).values[0, 0, 0]
    own = table[table.scenario == "s"]
    error = expected_calibration_error(own.confidence, own.score, bins=BINS)
    assert values[METRICS.index("calibration")] == pytest.approx(1 - error)


def test_weights_choose_the_metric() -> None:
    table = made_up(2)
    draws = Draws(table, 50)
    by_accuracy = draws.win_rates({"accuracy": 1})
    rates = mean_win_rate(board(table).accuracy.unstack())
    assert by_accuracy.rate.to_dict() == pytest.approx(rates.to_dict())
    assert (by_accuracy.low <= by_accuracy.high).all()
    assert by_accuracy.rate.is_monotonic_decreasing
    equal = draws.win_rates({})
    assert equal.rate.to_dict() == pytest.approx(
        draws.win_rates(dict.fromkeys(METRICS, 3)).rate.to_dict()
    )
    with pytest.raises(ValueError, match="at least 0"):
        draws.win_rates({"accuracy": -1})


def test_what_nobody_measured_has_no_weight() -> None:
    table = made_up(2).assign(confidence=np.nan)
    draws = Draws(table, 5)
    both = draws.win_rates({"accuracy": 1, "calibration": 5})
    assert both.rate.to_dict() == draws.win_rates({"accuracy": 1}).rate.to_dict()


def test_one_entrant_and_one_class_are_no_crash() -> None:
    table = made_up(entrants=1).assign(score=0.0)
    found = Draws(table, 5).win_rates({"accuracy": 1})
    assert found.rate.isna().all()
    with pytest.raises(ValueError, match="rows"):
        Draws(table.iloc[:0], 5)


class Fails:
    """Breaks down at the second scenario."""

    name = "fails"
    operations = 1.0

    def __init__(self, error: Exception) -> None:
        self.error = error

    def answers(self, scenario, items, training, *, confident=True):
        if scenario.name == "copying":
            raise self.error
        return Echo().answers(scenario, items, training)


@pytest.mark.parametrize("error", [NotRecorded("gone"), ConnectionError("gone")])
def test_what_was_measured_is_kept(error: Exception) -> None:
    scenarios = [SCENARIOS_BY_NAME[name] for name in ("sums", "copying", "reviews")]
    entrants = [Fails(error), MostCommon()]
    table = answer_table(entrants, scenarios, n=4)
    counts = table.groupby(["entrant", "scenario"]).size().unstack(fill_value=0)
    assert counts.loc["fails"].to_dict() == {"copying": 0, "reviews": 4, "sums": 4}
    assert (counts.loc["most common answer"] == 4).all()
    assert table.attrs["left out"] == ["fails, copying: gone"]
    assert np.isnan(Draws(table, 2).values[0, 0, 1]).all()


def test_a_real_table() -> None:
    scenarios = [SCENARIOS_BY_NAME[name] for name in ("copying", "reviews")]
    table = answer_table([Echo(), Nearest()], scenarios, n=8)
    accuracy = board(table).accuracy
    assert accuracy["echo", "copying"] == 1
    assert accuracy["nearest example", "copying"] < 1
    with pytest.raises(ValueError, match="differ by name"):
        answer_table([Echo(), Echo()], scenarios, n=8)


def test_an_answer_that_reads_nothing_costs_as_much_as_one_character() -> None:
    table = answer_table([MostCommon()], [SCENARIOS_BY_NAME["sums"]], n=4)
    assert (table.characters == 0).all()
    assert (table.operations == MostCommon.operations).all()
