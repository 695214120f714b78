"""What did the index publish? Three editions: totals, and totals by domain.

Each of 100 indicators asks whether a developer discloses one thing about its flagship
model, and is answered by yes or no. A developer's total is its number of yeses.
"""

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from smallscale.core.validation import one_of

DOMAINS = ("Upstream", "Model", "Downstream")


class Edition(NamedTuple):
    """One edition of the index.

    name: its month and year. collected: how the answers were got. sizes: the number of
    indicators, by domain. yeses: developers x domains, the indicators answered by yes.
    models: the model that each developer was scored on; empty where it is not said.
    published: the published total, by developer.
    """

    name: str
    collected: str
    sizes: pd.Series
    yeses: pd.DataFrame
    models: pd.Series
    published: pd.Series

    @property
    def totals(self) -> pd.Series:
        """The number of yeses, by developer."""
        return self.yeses.sum(axis=1)


def published_editions() -> dict[str, Edition]:
    """Return the three published editions by name, the oldest first.

    >>> [edition.sizes.sum() for edition in published_editions().values()]
    [np.int64(100), np.int64(100), np.int64(100)]
    """
    return {each["name"]: _edition(each) for each in _published()["editions"]}


def edition_named(editions: Mapping[str, Edition], name: str) -> Edition:
    """Return the edition of this name, or the last one where the name is empty."""
    if not name:
        return list(editions.values())[-1]
    return editions[one_of("edition", name, editions)]


def aliases() -> dict[str, str]:
    """Return the names that one edition gives a developer, and another does not."""
    names: dict[str, str] = _published()["aliases"]
    return names


@cache
def _published() -> Any:
    path = Path(__file__).with_name("editions.json")
    return json.loads(path.read_text(encoding="utf-8"))


def _edition(record: Any) -> Edition:
    table = pd.DataFrame(record["developers"]).set_index("developer")
    return Edition(
        name=record["name"],
        collected=record["collected"],
        sizes=pd.Series(record["indicators"])[list(DOMAINS)],
        yeses=table[list(DOMAINS)],
        models=table["model"],
        published=table["published total"],
    )


def returning(first: Edition, second: Edition) -> pd.DataFrame:
    """Return the developers that are in both editions, with both totals.

    Columns before, after, change, and same_model: whether both scored one model.
    """
    both = [name for name in first.totals.index if name in second.totals.index]
    return pd.DataFrame(
        {
            "before": first.totals[both],
            "after": second.totals[both],
            "change": second.totals[both] - first.totals[both],
            "same_model": first.models[both] == second.models[both],
        },
        index=pd.Index(both, name="developer"),
    )


class MeanChange(NamedTuple):
    """How the mean total changed between two editions, in points.

    whole: of all developers. returning: of those in both. entry: the rest, which comes
    of who left and who joined: whole = returning + entry.
    """

    whole: float
    returning: float
    entry: float


def mean_change(first: Edition, second: Edition) -> MeanChange:
    """Return the change of the mean total, and its two parts.

    With means over all developers, and over those in both editions (R),

        whole = mean_2 - mean_1,  returning = mean_2(R) - mean_1(R),
        entry = whole - returning
    """
    whole = second.totals.mean() - first.totals.mean()
    same = returning(first, second).change.mean()
    return MeanChange(float(whole), float(same), float(whole - same))


def order_kept(
    before: pd.Series, after: pd.Series, draws: int, *, seed: int = 0
) -> tuple[float, float]:
    """Return Spearman's correlation of two totals, and its chance.

    The chance is the share of `draws` orders dealt at random whose correlation is at
    least as high. before, after: of the same developers, in the same order. Both are
    NaN where there is no order.
    """
    if before.nunique() < 2 or after.nunique() < 2:
        return math.nan, math.nan
    first, second = rankdata(before), rankdata(after)
    first, second = first - first.mean(), second - second.mean()
    random = np.random.default_rng(seed)
    dealt = random.permuted(np.tile(second, (draws, 1)), axis=1) @ first
    scale = np.sqrt((first**2).sum() * (second**2).sum())
    higher = (dealt >= first @ second - 1e-9).sum()
    return float(first @ second / scale), float((higher + 1) / (draws + 1))
