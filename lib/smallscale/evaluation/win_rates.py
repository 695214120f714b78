"""Which model is ahead, over scenarios that cannot be added up? HELM's win rate."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from smallscale.core.validation import COMPLEX, TEXT, require, shown

TIMES = (date, timedelta, np.datetime64, np.timedelta64)
NO_SCORES = {"times": TIMES, "text": TEXT, "complex numbers": COMPLEX}


def mean_win_rate(table: Any) -> pd.Series:
    """Return the share of other models that each model beats, averaged over scenarios.

    With scores x, n models and the scenarios S (Liang et al. 2023, HELM)

        rate(i) = mean_s  1/(n - 1)  sum_(j != i) [x_is > x_js] + 1/2 [x_is = x_js]

    table: a DataFrame of scores, rows models, columns scenarios, higher is better; only
    their order within a scenario counts, so scales may differ. NaN was not measured: on
    a scenario, a model is compared with the others that were measured there, and its
    mean is over the scenarios where there was one. A model that was never measured
    beside another has NaN. Without NaN the rates average one half.
    Raises ValueError for fewer than two models, no scenarios, names that come twice,
    and what is no table of numbers.

    >>> scores = pd.DataFrame({"sums": [0.9, 0.5, 0.5], "facts": [3, 2, 1]})
    >>> mean_win_rate(scores).tolist()
    [1.0, 0.375, 0.125]
    """
    models, x = _checked_scores(table)
    measured = ~np.isnan(x)  # (models, scenarios)
    others = ~np.eye(len(x), dtype=bool)[:, :, None]
    pairs = measured[:, None] & measured[None] & others  # (model, rival, scenario)
    points = (x[:, None] > x[None]) + (x[:, None] == x[None]) / 2
    rivals = pairs.sum(1)
    won = (points * pairs).sum(1)
    rates = np.divide(won, rivals, out=np.full(x.shape, np.nan), where=rivals > 0)
    return pd.DataFrame(rates, models).mean(axis=1).rename("mean win rate")


def _checked_scores(table: Any) -> tuple[pd.Index, np.ndarray]:
    """Return the models' names and their scores (models, scenarios), or refuse."""
    require(
        isinstance(table, pd.DataFrame),
        "table must be a DataFrame, rows models and columns scenarios; got "
        f"{type(table).__name__}",
    )
    require(len(table) >= 2, f"table must have at least 2 models; got {len(table)}")
    require(table.shape[1] >= 1, "table must have at least one scenario; got none")
    for name, words in (("models", table.index), ("scenarios", table.columns)):
        again = words[words.duplicated()].tolist()[:1]
        require(
            not again, f"table must name each of its {name} once; {shown(again)} is not"
        )
    columns = [_places(str(name), table[name]) for name in table]
    return table.index, np.stack(columns, axis=1)


def _places(name: str, column: pd.Series) -> np.ndarray:
    """Return each score's place in the order of its scenario, NaN where there is none.

    Equal scores have one place. Floats would make ties of whole numbers above 2**53.
    """
    values = column.to_numpy(dtype=object, na_value=np.nan)
    measured = ~pd.isna(values)
    for word, types in NO_SCORES.items():
        held = any(isinstance(each, types) for each in values[measured])
        require(not held, f"table must hold numbers; {shown([name])} holds {word}")
    places = np.full(len(values), np.nan)
    try:
        values[measured].astype(float)  # refuses what is no number
        _, places[measured] = np.unique(values[measured], return_inverse=True)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("table must hold numbers alone; it holds others") from error
    return places
