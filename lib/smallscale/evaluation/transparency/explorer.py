"""Which weights of the domains would put another developer first? A widget.

A score is a mean of three shares, so moving a slider only adds and sorts.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import ipywidgets as widgets
import numpy as np
import pandas as pd

from smallscale.core.templates import template
from smallscale.evaluation.transparency.editions import Edition
from smallscale.evaluation.transparency.uncertainty import Z
from smallscale.evaluation.transparency.weights import (
    orders_by_weight,
    weighted_scores,
)
from smallscale.notebook.explorer import Explorer

WEIGHTS = tuple(range(11))
OPENING_PARTS = 6
STAYED = "#0072B2"  # Okabe and Ito's blue, green and vermilion
ROSE = "#009E73"
FELL = "#D55E00"
WEIGHTS_TEMPLATE = template("evaluation/transparency/weights.html.j2")


class _Row(NamedTuple):
    """How one developer is drawn."""

    rank: str
    moved: str
    developer: str
    score: float
    low: float
    high: float
    colour: str


def weights_explorer(editions: Mapping[str, Edition]) -> Explorer:
    """Return a scene and its sliders, for `explore`: an edition, and a weight from 0 to
    10 for each of its domains.

    editions: by name, all with the same domains. It opens on an edition whose first
    place weights can turn, at weights that turn it.
    """
    names = list(editions)
    domains = list(editions[names[0]].sizes.index)
    opening, weights = _opening(editions)
    sliders: dict[str, Any] = {
        "edition": widgets.SelectionSlider(options=names, value=opening)
    }
    for domain, weight in zip(domains, weights, strict=True):
        sliders[f"weight of {domain.lower()}"] = widgets.SelectionSlider(
            options=WEIGHTS, value=weight
        )

    def scene(name: str, *weights: int) -> str:
        return weights_scene(editions[name], weights)

    return scene, sliders


def _opening(editions: Mapping[str, Edition]) -> tuple[str, tuple[int, ...]]:
    """Return an edition and weights under which another developer is first."""
    for name, edition in editions.items():
        pairs = orders_by_weight(edition, OPENING_PARTS)
        first = edition.totals.idxmax()
        if (pairs[pairs.ahead == first].share < 1).any():
            for place in range(len(edition.sizes)):
                weights = tuple(
                    8 if i == place else 4 for i in range(len(edition.sizes))
                )
                if weighted_scores(edition, weights).score.idxmax() != first:
                    return name, weights
    last = list(editions)[-1]
    return last, (8, *(4 for _ in editions[last].sizes[1:]))


def weights_scene(edition: Edition, weights: Any) -> str:
    """Return the ranking under these weights as HTML: an SVG, and a sentence.

    Weights that are all 0 count as equal ones.
    """
    given = tuple(int(weight) for weight in weights)
    used = given if any(given) else (1,) * len(given)
    scores = weighted_scores(edition, used)
    own = edition.totals.rank(ascending=False, method="min").astype(int)
    scores["rank"] = (
        scores.score.round(9).rank(ascending=False, method="min").astype(int)
    )
    scores = scores.sort_values("score", ascending=False, kind="stable")
    rows = [_row(str(name), row, int(own[name])) for name, row in scores.iterrows()]
    html: str = WEIGHTS_TEMPLATE.render(
        rows=rows, sentence=_sentence(edition, scores, own, given)
    )
    return html


def _row(developer: str, row: pd.Series, own: int) -> _Row:
    rank = int(row["rank"])
    moved, colour = "=", STAYED
    if rank < own:
        moved, colour = f"▲ from {own}", ROSE
    elif rank > own:
        moved, colour = f"▼ from {own}", FELL
    return _Row(
        rank=str(rank),
        moved=moved,
        developer=developer,
        score=float(row.score),
        low=max(0.0, float(row.score - Z * row.error)),
        high=min(100.0, float(row.score + Z * row.error)),
        colour=colour,
    )


def _sentence(
    edition: Edition, scores: pd.DataFrame, own: pd.Series, weights: tuple[int, ...]
) -> str:
    """Say who leads, how surely, and how many ranks differ from the index's own."""
    first = scores.index[scores["rank"] == 1].tolist()
    leader = first[0] if len(first) == 1 else " and ".join(map(str, first))
    after = scores[scores["rank"] > 1]
    told = ""
    if len(after) and len(first) == 1:
        lead = scores.score.iloc[0] - after.score.iloc[0]
        error = float(np.hypot(scores.error.iloc[0], after.error.iloc[0]))
        sure = "told apart" if lead > Z * error else "not told apart"
        told = (
            f", {lead:.0f} points ahead of {after.index[0]} (± {Z * error:.0f}, "
            f"{sure} if their answers are unrelated)"
        )
    moved = int((scores["rank"] != own[scores.index]).sum())
    equal = "" if any(weights) else " All weights are 0, which counts as equal ones."
    return (
        f"{edition.name}: {leader} would be first{told}. {moved} of {len(scores)} "
        f"ranks differ from the index's own.{equal}"
    )
