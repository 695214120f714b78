"""Which weights of the measures would put another entrant first? A widget.

Win rates of all draws are there, so moving a slider only averages and sorts.
"""

from typing import NamedTuple

import ipywidgets as widgets
import pandas as pd

from smallscale.core.templates import template
from smallscale.evaluation.holistic.board import METRICS, Draws
from smallscale.notebook.explorer import Explorer

WEIGHTS = tuple(range(11))
OPENING = {"accuracy": 4, "calibration": 0, "efficiency": 6}
TEMPLATE = template("evaluation/holistic/ranking.html.j2")


class _Row(NamedTuple):
    """How one entrant is drawn."""

    rank: str
    entrant: str
    rate: float
    low: float
    high: float
    first: str


def ranking_explorer(draws: Draws) -> Explorer:
    """Return a scene and its sliders, for `explore`: a weight from 0 to 10 for each of
    the five measures."""
    sliders = {
        name: widgets.SelectionSlider(options=WEIGHTS, value=OPENING.get(name, 0))
        for name in METRICS
    }

    def scene(*weights: int) -> str:
        return ranking_scene(draws, dict(zip(METRICS, weights, strict=True)))

    return scene, sliders


def ranking_scene(draws: Draws, weights: dict[str, int]) -> str:
    """Return the ranking under these weights as HTML: an SVG, and a sentence.

    Weights that are all 0 count as equal ones.
    """
    ranking = draws.win_rates(weights).dropna()
    rows = [
        _Row(
            rank=f"{row['rank']:g} ({row.rank_low:.0f} to {row.rank_high:.0f})",
            entrant=str(name),
            rate=float(row.rate),
            low=float(row.low),
            high=float(row.high),
            first=f"{row['first']:.0%}",
        )
        for name, row in ranking.iterrows()
    ]
    html: str = TEMPLATE.render(rows=rows, sentence=_sentence(draws, ranking, weights))
    return html


def _sentence(draws: Draws, ranking: pd.DataFrame, weights: dict[str, int]) -> str:
    """Say who leads, how surely, and how that differs from accuracy alone."""
    if not len(ranking):
        return "There is nobody to compare."
    leader, top = ranking.index[0], ranking.iloc[0]
    accurate = draws.win_rates({"accuracy": 1}).index[0]
    same = "also" if leader == accurate else f"while {accurate} is"
    equal = (
        "" if any(weights.values()) else " All weights are 0, which counts as equal."
    )
    return (
        f"{leader} is first, with a mean win rate of {top.rate:.2f}, and is first "
        f"alone in {top['first']:.0%} of tests with other items of the same kinds; "
        f"{same} first by accuracy alone.{equal}"
    )
