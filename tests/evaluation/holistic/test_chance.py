"""Is chance's share what it is where the truth is known?"""

import numpy as np
import pandas as pd
import pytest

from smallscale.evaluation.holistic.chance import (
    calibration_beside_chance,
    gap_beside_chance,
)


def rows(n: int, seed: int, honest: bool = True, lift: float = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    sure = random.random(n)
    chance = sure if honest else 1 - sure
    group = np.array(["a", "b"] * (n // 2))
    right = random.random(n) < np.where(group == "a", chance + lift, chance)
    return pd.DataFrame({"confidence": sure, "score": right * 1.0, "group": group})


def test_a_calibrated_answerer_is_above_zero_and_not_told_from_chance() -> None:
    found = [calibration_beside_chance(rows(60, seed), 60) for seed in range(60)]
    assert min(each.found for each in found) > 0.03
    assert np.mean([each.p < 0.05 for each in found]) < 0.15
    assert np.mean([each.found - each.chance for each in found]) == pytest.approx(
        0, abs=0.015
    )


def test_an_answerer_that_is_wrong_when_sure_is_told() -> None:
    told = calibration_beside_chance(rows(60, 0, honest=False), 99)
    assert told.p == pytest.approx(0.01)
    assert told.found > told.high > told.chance


def test_a_gap_is_told_where_there_is_one() -> None:
    same = [gap_beside_chance(rows(60, seed), 60).p < 0.05 for seed in range(60)]
    assert np.mean(same) < 0.15
    far = gap_beside_chance(rows(200, 0, lift=0.5), 99)
    assert far.p == pytest.approx(0.01)
    with pytest.raises(ValueError, match="two groups"):
        gap_beside_chance(rows(8, 0).assign(group="a"), 5)
