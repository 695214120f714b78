"""How sure is a difference between two sets of rules? The same towns under both."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from smallscale.core.intervals import mean_interval
from smallscale.core.progress import ProgressBar
from smallscale.core.validation import one_of, require
from smallscale.simulation.assistants.life import live
from smallscale.simulation.assistants.rules import Rules
from smallscale.simulation.assistants.world import World


def compare(worlds: Sequence[World], rules: Mapping[str, Rules]) -> pd.DataFrame:
    """Return what is measured in each town under each set of rules, a row for each.

    Columns: rules, town (its position), and the measures of `Lived`.
    """
    pairs = [(name, town) for name in rules for town in range(len(worlds))]
    rows = []
    for name, town in ProgressBar(pairs, desc="towns"):
        lived = live(worlds[town], rules[name])
        rows.append({"rules": name, "town": town, **lived.measures()})
    return pd.DataFrame(rows)


def means(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return a measure's mean over towns for each set of rules, with the ends of its 95
    % interval by Student's t: columns mean, low, high."""
    one_of("measure", measure, table.columns)
    groups = table.groupby("rules", sort=False)[measure]
    rows = {name: _interval(values) for name, values in groups}
    return pd.DataFrame(rows, index=["mean", "low", "high"]).T


def difference(
    table: pd.DataFrame, measure: str, one: str, other: str
) -> tuple[float, float, float]:
    """Return by how much a measure is larger under one set of rules than under the
    other, and the ends of its 95 % interval: the mean over towns of the difference in
    each, since both sets met the same towns.

    >>> table = pd.DataFrame({"rules": list("aabb"), "town": [0, 1] * 2,
    ...                       "error": [5.0, 7.0, 4.0, 5.0]})
    >>> [round(value, 2) for value in difference(table, "error", "a", "b")]
    [1.5, -4.85, 7.85]
    """
    wide = table.pivot(index="town", columns="rules", values=measure)
    for name in (one, other):
        require(name in wide, f"rules must be in the table; {name} is not")
    return _interval(wide[one] - wide[other])


def _interval(values: pd.Series) -> tuple[float, float, float]:
    """Return a mean and the ends of its interval, which one town alone has not."""
    if len(values) < 2:
        return float(values.mean()), np.nan, np.nan
    interval = mean_interval(values)
    return interval.mean, interval.low, interval.high
