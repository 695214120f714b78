"""What is disclosed that was not before? Two editions with the same indicators."""

import numpy as np
import pandas as pd

from smallscale.core.validation import require
from smallscale.evaluation.transparency.indicator_files import (
    SAME_IN_ORDER,
    Indicators,
)


def comparable(first: Indicators, second: Indicators) -> bool:
    """Say whether two editions ask the same: as many indicators, and row by row nine in
    ten with the same name."""
    one, other = first.scores.index, second.scores.index
    same = len(one) == len(other) and np.mean(one == other) >= SAME_IN_ORDER
    return bool(same)


def disclosures(first: Indicators, second: Indicators) -> pd.DataFrame:
    """Return, for each developer in both editions, what it gained and what it lost.

    Columns before, after, gained (0 then 1), lost (1 then 0), change = gained - lost.
    Raises ValueError for editions whose indicators are not the same: their totals can
    be put side by side, their indicators cannot.
    """
    require(
        comparable(first, second),
        f"{first.name} and {second.name} have other indicators; they cannot be "
        "compared one by one",
    )
    both = [name for name in first.scores if name in second.scores.columns]
    old, new = first.scores[both].to_numpy(), second.scores[both].to_numpy()
    gained, lost = ((new > old).sum(0), (new < old).sum(0))
    return pd.DataFrame(
        {
            "before": old.sum(0),
            "after": new.sum(0),
            "gained": gained,
            "lost": lost,
            "change": gained - lost,
        },
        index=pd.Index(both, name="developer"),
    )
