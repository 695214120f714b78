"""Is a measure's value more than chance? What it would be if there were nothing to see.

An expected calibration error is above 0, and a gap between two groups too, with few
items and nothing wrong. So each stands beside what chance alone gives.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from smallscale.core.validation import require, whole_number
from smallscale.evaluation.calibration import expected_calibration_error
from smallscale.evaluation.holistic.board import BINS


class BesideChance(NamedTuple):
    """found: the value. chance: its mean if there were nothing to see. high: the 95th
    percentile then. p: how often chance reaches it, the value counted as one draw.
    """

    found: float
    chance: float
    high: float
    p: float


def calibration_beside_chance(
    rows: pd.DataFrame, draws: int, *, seed: int = 0
) -> BesideChance:
    """Return the calibration error of answers, and that of an answerer who is right
    exactly as often as it says: right_i is drawn with probability confidence_i.

    rows: of `answer_table`, all with a confidence.
    """
    require(rows.confidence.notna().all(), "rows must all have a confidence")
    sure = rows.confidence.clip(0, 1).to_numpy(float)
    right = (rows.score == 1).to_numpy()
    random = np.random.default_rng(seed)
    drawn = [
        expected_calibration_error(sure, random.random(len(sure)) < sure, bins=BINS)
        for _ in range(whole_number("draws", draws))
    ]
    found = expected_calibration_error(sure, right, bins=BINS)
    return _beside(found, np.array(drawn))


def gap_beside_chance(rows: pd.DataFrame, draws: int, *, seed: int = 0) -> BesideChance:
    """Return how far the two groups' mean scores are apart, and how far they would be
    if the groups' names were dealt anew (Fisher 1935).

    rows: of `answer_table`, of one entrant and scenario, with two groups.
    """
    names = rows.group.unique()
    require(len(names) == 2, f"rows must have two groups; got {len(names)}")
    scores = rows.score.to_numpy(float)
    first = (rows.group == names[0]).to_numpy()
    random = np.random.default_rng(seed)
    drawn = [
        _gap(scores, random.permutation(first))
        for _ in range(whole_number("draws", draws))
    ]
    return _beside(_gap(scores, first), np.array(drawn))


def _gap(scores: NDArray[np.float64], first: NDArray[np.bool_]) -> float:
    return float(abs(scores[first].mean() - scores[~first].mean()))


def _beside(found: float, drawn: NDArray[np.float64]) -> BesideChance:
    reached = (drawn >= found - 1e-12).sum()
    return BesideChance(
        found=found,
        chance=float(drawn.mean()),
        high=float(np.quantile(drawn, 0.95)),
        p=float((1 + reached) / (1 + len(drawn))),
    )
