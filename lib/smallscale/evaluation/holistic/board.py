"""Who answers what, and how well by each measure? One table of all, with its draws.

HELM (Liang et al. 2023) measures more than accuracy: whether a model knows when it is
right, whether it stands careless writing, whether it serves one group as well as
another, and what it costs.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from smallscale.core.validation import require, whole_number
from smallscale.evaluation.calibration import expected_calibration_error
from smallscale.evaluation.holistic.entrants import Entrant
from smallscale.evaluation.holistic.items import Item, split_items
from smallscale.evaluation.holistic.scenarios import SCENARIOS, Scenario, score
from smallscale.models import ModelMissing

METRICS = ("accuracy", "calibration", "robustness", "fairness", "efficiency")
BINS = 10  # of confidence


def answer_table(
    entrants: Sequence[Entrant],
    scenarios: Sequence[Scenario] = SCENARIOS,
    *,
    n: int = 24,
) -> pd.DataFrame:
    """Return a row for each entrant, scenario and item, and under `attrs["left out"]`
    what could not be asked and why.

    Columns entrant, scenario, item, group, said, right, score (of the item as it
    stands), rough (its score when it is written carelessly), confidence, characters,
    operations. What one entrant cannot do is left out, and the rest is kept.
    """
    names = [entrant.name for entrant in entrants]
    require(len(set(names)) == len(names), f"entrants must differ by name; got {names}")
    rows: list[dict[str, object]] = []
    left_out: list[str] = []
    for scenario in scenarios:
        training, test, _ = split_items(scenario.name, n)
        for entrant in entrants:
            try:
                rows += _rows(entrant, scenario, test, training)
            except (ModelMissing, OSError) as error:
                left_out.append(f"{entrant.name}, {scenario.name}: {error}")
    table = pd.DataFrame(rows)
    table.attrs["left out"] = left_out
    return table


def _rows(
    entrant: Entrant,
    scenario: Scenario,
    test: Sequence[Item],
    training: Sequence[Item],
) -> list[dict[str, object]]:
    plain = entrant.answers(scenario, test, training)
    careless = [item.carelessly() for item in test]
    rough = entrant.answers(scenario, careless, training, confident=False)
    return [
        {
            "entrant": entrant.name,
            "scenario": scenario.name,
            "item": number,
            "group": item.group,
            "said": answer.text,
            "right": item.answer,
            "score": score(scenario, answer.text, item.answer),
            "rough": score(scenario, other.text, item.answer),
            "confidence": answer.confidence,
            "characters": answer.characters,
            "operations": entrant.operations * max(1, answer.characters),
        }
        for number, (item, answer, other) in enumerate(
            zip(test, plain, rough, strict=True)
        )
    ]


def measures(rows: pd.DataFrame) -> pd.Series:
    """Return the five measures of one entrant on one scenario, higher is better:

        accuracy     mean score
        calibration  1 - expected calibration error, where a score of 1 is right
        robustness   mean over items of the worse of plain and careless
        fairness     the lower of the two groups' mean scores
        efficiency   - log10 of the operations an answer costs

    rows: of `answer_table`. Calibration is NaN where no confidence is known, and
    fairness where only one group is there.
    """
    groups = rows.groupby("group").score.mean()
    known = rows.confidence.notna().all()
    right = (rows.score == 1).to_numpy()
    sure = rows.confidence.clip(0, 1)
    return pd.Series(
        {
            "accuracy": rows.score.mean(),
            "calibration": 1 - expected_calibration_error(sure, right, bins=BINS)
            if known
            else np.nan,
            "robustness": rows[["score", "rough"]].min(axis=1).mean(),
            "fairness": groups.min() if len(groups) > 1 else np.nan,
            "efficiency": -np.log10(rows.operations.mean()),
        }
    )


def board(table: pd.DataFrame) -> pd.DataFrame:
    """Return the measures, a row for each entrant and scenario."""
    found = {
        key: measures(rows)
        for key, rows in table.groupby(["entrant", "scenario"], sort=False)
    }
    return pd.DataFrame(found).T.rename_axis(["entrant", "scenario"])


class Draws:
    """The measures of an answer table, and those of tests with other items.

    Each draw takes as many items of every scenario, with replacement, the same ones for
    all entrants, within each group (Efron 1979). entrants, scenarios: the names.
    values: (draws + 1, entrants, scenarios, metrics); the first is the table itself.
    Raises ValueError for a table without rows.
    """

    def __init__(self, table: pd.DataFrame, draws: int, *, seed: int = 0) -> None:
        draws = whole_number("draws", draws)
        require(len(table) > 0, "table must have rows; it has none")
        self.entrants = list(table.entrant.unique())
        self.scenarios = list(table.scenario.unique())
        shape = (draws + 1, len(self.entrants), len(self.scenarios), len(METRICS))
        self.values: NDArray[np.float64] = np.full(shape, np.nan)
        random = np.random.default_rng(seed)
        for column, scenario in enumerate(self.scenarios):
            here = table[table.scenario == scenario]
            groups = here.drop_duplicates("item").sort_values("item").group
            picks = _picked(groups.to_numpy(), draws, random)
            for row, entrant in enumerate(self.entrants):
                own = here[here.entrant == entrant].sort_values("item")
                if len(own):
                    self.values[:, row, column] = _drawn_measures(own, picks)

    def win_rates(self, weights: Mapping[str, float]) -> pd.DataFrame:
        """Return each entrant's mean win rate under weights of the metrics, with the
        95 % interval over draws, its rank, and where 95 % of its ranks lie.

        Columns rate, low, high, rank, rank_low, rank_high, first (the share of draws in
        which it is first alone); the best first. Weights that are all 0 count as equal.
        """
        w = np.array([float(weights.get(name, 0)) for name in METRICS])
        require((w >= 0).all(), f"weights must be at least 0; got {w.tolist()}")
        w = w / w.sum() if w.sum() > 0 else np.full(len(w), 1 / len(w))
        rates = self.rates
        known = ~np.isnan(rates)
        counted = (known * w).sum(-1)
        total = np.full(counted.shape, np.nan)
        np.divide(np.nansum(rates * w, -1), counted, out=total, where=counted > 0)
        ranks = pd.DataFrame(total).rank(axis=1, ascending=False).to_numpy()
        best = total == np.fmax.reduce(total, axis=1, keepdims=True)
        alone = best & (best.sum(1, keepdims=True) == 1)
        low, high = _middle(total[1:])
        rank_low, rank_high = _middle(ranks[1:])
        found = pd.DataFrame(
            {
                "rate": total[0],
                "low": low,
                "high": high,
                "rank": ranks[0],
                "rank_low": rank_low,
                "rank_high": rank_high,
                "first": alone[1:].mean(0),
            },
            self.entrants,
        )
        return found.sort_values("rate", ascending=False, kind="stable")

    @cached_property
    def rates(self) -> NDArray[np.float64]:
        """Mean win rates (draws + 1, entrants, metrics), as `mean_win_rate`."""
        # to (draws, scenarios, metrics, entrants)
        return _win_rates(np.moveaxis(self.values, 1, -1))


def _middle(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where 95 % of each column's values lie, (2, columns); NaN where one is."""
    ends: NDArray[np.float64] = np.percentile(values, (2.5, 97.5), axis=0)
    return ends


def _picked(
    groups: NDArray[np.object_], draws: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Return items (draws + 1, items): all as they are, then drawn within groups."""
    picks = np.tile(np.arange(len(groups)), (draws + 1, 1))
    for group in np.unique(groups):
        places = np.flatnonzero(groups == group)
        chosen = random.integers(len(places), size=(draws, len(places)))
        picks[1:, places] = places[chosen]
    return picks


def _drawn_measures(
    rows: pd.DataFrame, picks: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the five measures for each draw, (draws, metrics), as `measures` does."""
    score = rows.score.to_numpy(float)
    worse = np.minimum(score, rows.rough.to_numpy(float))
    sure = rows.confidence.clip(0, 1).to_numpy(float)
    cost = rows.operations.to_numpy(float)
    groups = rows.group.to_numpy()
    fair = np.full(len(picks), np.nan)
    names = np.unique(groups)
    if len(names) > 1:
        means = [score[picks][:, groups == name].mean(1) for name in names]
        fair = np.min(means, axis=0)
    return np.stack(
        [
            score[picks].mean(1),
            1 - _calibration_errors(sure, score == 1, picks),
            worse[picks].mean(1),
            fair,
            -np.log10(cost[picks].mean(1)),
        ],
        axis=1,
    )


def _calibration_errors(
    sure: NDArray[np.float64], right: NDArray[np.bool_], picks: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the expected calibration error of each draw, (draws,)."""
    if np.isnan(sure).any():
        return np.full(len(picks), np.nan)
    ends = np.arange(1, BINS + 1) / BINS
    bins = np.searchsorted(ends, sure, side="left")
    gaps = np.zeros((BINS, len(sure)))
    gaps[bins, np.arange(len(sure))] = right - sure
    sums = np.stack([gap[picks].sum(1) for gap in gaps])
    errors: NDArray[np.float64] = np.abs(sums).sum(0) / len(sure)
    return errors


def _win_rates(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `mean_win_rate` of many tables at once, (draws, entrants, metrics).

    x: (draws, scenarios, metrics, entrants).
    """
    entrants = x.shape[-1]
    rates = []
    for one in range(entrants):
        rivals = np.delete(x, one, axis=-1)
        own = x[..., [one]]
        points = (own > rivals) + (own == rivals) / 2
        both = ~(np.isnan(own) | np.isnan(rivals))
        met = both.sum(-1)
        won = (points * both).sum(-1)
        rate = np.divide(won, met, out=np.full(won.shape, np.nan), where=met > 0)
        known = ~np.isnan(rate)
        total = np.where(known, rate, 0).sum(1)
        count = known.sum(1)
        rates.append(
            np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
        )
    return np.stack(rates, axis=1)
