"""Which indicators tell developers apart? Correlations with the rest, and luck."""

from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from smallscale.core.validation import as_array, require

FEWEST_DEVELOPERS = 3
MOST_ALLOTMENTS = 20_000


def item_rest_correlation(scores: Any) -> NDArray[np.float64]:
    """Return for each indicator i its correlation with the rest of the total. With
    x_id in {0, 1} for indicator i and developer d, the rest is
        r_id = sum_(j != i) x_jd
    and the correlation is Pearson's, of x_i and r_i over developers.

    It is the point-biserial correlation, corrected for the indicator's own part in the
    total.
    scores: (indicators, developers) of 0 and 1. An indicator that all or none satisfy
    has NaN: it separates nobody.
    Raises ValueError for other values, fewer than 2 indicators and fewer than 3
    developers.

    >>> item_rest_correlation([[0, 0, 1], [0, 1, 1], [1, 1, 1]]).round(2).tolist()
    [0.5, 0.5, nan]
    """
    x = _checked_scores(scores)
    rest = x.sum(0) - x  # (indicators, developers)
    x = x - x.mean(1, keepdims=True)
    rest = rest - rest.mean(1, keepdims=True)
    product = (x * rest).sum(1)
    spread = np.sqrt((x**2).sum(1) * (rest**2).sum(1))
    known = spread > 1e-12
    correlation: NDArray[np.float64] = np.full(len(x), np.nan)
    correlation[known] = product[known] / spread[known]
    return correlation


def chance_of_correlation(scores: Any) -> NDArray[np.float64]:
    """Return for each indicator the exact chance of so high a correlation by luck.

    Luck is: the same number of yeses, dealt to developers at random, the rest of the
    totals kept. All ways to deal them are counted; beyond 20,000 ways, as many are
    drawn. NaN where the correlation is.
    """
    x = _checked_scores(scores)
    rest = x.sum(0) - x
    random = np.random.default_rng(0)
    chances = np.full(len(x), np.nan)
    tested = ~np.isnan(item_rest_correlation(x))
    yeses = x.sum(1)
    for count in np.unique(yeses[tested]):
        dealt = _deals(int(count), x.shape[1], random)
        for i in np.flatnonzero(tested & (yeses == count)):
            # Mean and spread are the same for every deal, so the sum alone decides.
            sums = dealt @ rest[i]
            chances[i] = (sums >= x[i] @ rest[i] - 1e-9).mean()
    return chances


def _deals(
    yeses: int, developers: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Return all ways to deal so many yeses, (ways, developers), or a sample."""
    if comb(developers, yeses) <= MOST_ALLOTMENTS:
        chosen = np.array(list(combinations(range(developers), yeses)), dtype=int)
    else:
        order = random.random((MOST_ALLOTMENTS, developers)).argsort(1)
        chosen = order[:, :yeses]
    dealt = np.zeros((len(chosen), developers))
    np.put_along_axis(dealt, chosen, 1, axis=1)
    return dealt


def indicator_correlations(scores: Any) -> NDArray[np.float64]:
    """Return the correlation phi of all pairs of indicators, (indicators, indicators).

    Pearson's, of zeros and ones; NaN where one of them is the same for all developers.
    """
    x = _checked_scores(scores)
    x = x - x.mean(1, keepdims=True)
    length = np.sqrt((x**2).sum(1))
    x = np.divide(
        x, length[:, None], out=np.full(x.shape, np.nan), where=length[:, None] > 1e-12
    )
    phi: NDArray[np.float64] = x @ x.T
    return phi


def domain_gap(phi: NDArray[np.float64], domains: Any) -> float:
    """Return the mean correlation within domains minus that across domains.

    phi: (indicators, indicators), NaN left out. domains: (indicators,) of names. NaN
    where no pair of indicators is within a domain, or none across.
    """
    names = np.asarray(domains)
    upper = np.triu(np.ones_like(phi, dtype=bool), k=1) & ~np.isnan(phi)
    same = names[:, None] == names[None]
    if not (upper & same).any() or not (upper & ~same).any():
        return float("nan")
    return float(phi[upper & same].mean() - phi[upper & ~same].mean())


def dealt_domain_gaps(
    phi: NDArray[np.float64], domains: Any, draws: int, *, seed: int = 0
) -> NDArray[np.float64]:
    """Return the gap (draws,) with the domains' names dealt anew to the indicators."""
    random = np.random.default_rng(seed)
    known = ~np.isnan(phi).all(1)
    names = np.asarray(domains)[known]
    among = phi[np.ix_(known, known)]
    return np.array(
        [domain_gap(among, random.permutation(names)) for _ in range(draws)]
    )


def separation(scores: pd.DataFrame, domains: pd.Series) -> pd.DataFrame:
    """Return a row for each indicator, the one that separates best first.

    Columns domain, yeses, correlation, chance, adjusted: the chance times the number of
    indicators tested over its rank, as Benjamini and Hochberg's rule has it.
    """
    chance = chance_of_correlation(scores)
    table = pd.DataFrame(
        {
            "domain": domains.reindex(scores.index),
            "yeses": scores.sum(axis=1).astype(int),
            "correlation": item_rest_correlation(scores),
            "chance": chance,
            "adjusted": _adjusted(chance),
        },
        index=scores.index,
    )
    return table.sort_values("correlation", ascending=False, kind="stable")


def _adjusted(chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values adjusted by Benjamini and Hochberg 1995; NaN stays NaN."""
    found = np.full(len(chance), np.nan)
    tested = np.flatnonzero(~np.isnan(chance))
    order = tested[np.argsort(chance[tested], kind="stable")]
    raw = chance[order] * len(order) / np.arange(1, len(order) + 1)
    found[order] = np.minimum.accumulate(raw[::-1])[::-1].clip(max=1)
    return found


def _checked_scores(scores: Any) -> NDArray[np.float64]:
    x = as_array("scores", scores, dtype=float)
    good = x.ndim == 2 and len(x) >= 2 and x.shape[1] >= FEWEST_DEVELOPERS
    require(
        good,
        "scores must have a row for each of 2 or more indicators and a column for each "
        f"of {FEWEST_DEVELOPERS} or more developers; their shape is {x.shape}",
    )
    require(np.isin(x, (0, 1)).all(), "scores must be 0 or 1")
    return x
