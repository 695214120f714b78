"""How often does each policy succeed? Shares over seeds with binomial intervals."""

from collections.abc import Sequence

import pandas as pd

from smallscale.core.intervals import binomial_interval
from smallscale.simulation.research.policies import Result


def success_table(results: Sequence[Result]) -> pd.DataFrame:
    """Return, by policy and task, the share of seeds with success.

    The last rows of a policy, task "all", pool its tasks. low and high: of the 95 %
    Wilson interval, as if episodes were independent draws.
    """
    rows = pd.DataFrame([result.row() for result in results])
    pooled = pd.concat([rows, rows.assign(task="all")])
    groups = pooled.groupby(["policy", "task"], sort=False).success
    table = groups.agg(["sum", "count"]).astype(int)
    table["share"] = table["sum"] / table["count"]
    ends = [
        binomial_interval(won, n)
        for won, n in zip(table["sum"], table["count"], strict=True)
    ]
    table["low"] = [low for low, _ in ends]
    table["high"] = [high for _, high in ends]
    table = table.rename(columns={"sum": "won", "count": "n"})
    return table.reset_index()
