"""Would other indicators have ranked them otherwise? Uncertainty of a choice.

The indicators of an index are a choice out of many that could have been asked. Let each
domain's indicators stand for a larger pool: drawing from them with replacement, as many
again, shows how far totals would move. They were not drawn at random, so this is a
measure of sensitivity, not of error.
"""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from smallscale.core.intervals import MeanInterval, mean_interval
from smallscale.core.validation import as_array, one_of, require, whole_number
from smallscale.evaluation.transparency.editions import Edition

Z = float(norm.ppf(0.975))
LAYOUTS = ("nested", "unrelated", "opposed")


def mean_of(values: Any) -> MeanInterval:
    """Return the mean of independent values, NaN left out, with its interval.

    The half-width is NaN for fewer than two values.
    """
    array = as_array("values", values, dtype=float).ravel()
    known = array[~np.isnan(array)]
    if len(known) < 2:
        return MeanInterval(float(known.sum()) if len(known) else np.nan, np.nan)
    return mean_interval(known)


def difference_error(a: Any, b: Any, n: Any, layout: str) -> NDArray[np.float64]:
    """Return the standard error of the difference of two totals, where of a domain's n
    indicators one developer has a yeses, another b, and D are had by one of them alone:
        variance = sum over domains of  D - (a - b)^2 / n
        D = |a - b|                    nested: one's yeses are part of the other's
        D = a + b - 2 a b / n          unrelated, on average
        D = min(a + b, 2n - a - b)     opposed: they share as little as they can

    The error is that of drawing n indicators anew, with replacement.
    a, b: (..., domains) counts; n: (domains,). Totals leave open which layout it is:
    the true error is between the first and the last.
    Raises ValueError for a layout that is none of the three, counts outside [0, n], and
    counts of other domains than n has.

    >>> round(float(difference_error([54], [48], [100], "unrelated")), 2)
    7.06
    """
    first, second, size = _checked_counts(a, b, n)
    one_of("layout", layout, LAYOUTS)
    either = first + second
    differing = {
        "nested": np.abs(first - second),
        "unrelated": either - 2 * first * second / size,
        "opposed": np.minimum(either, 2 * size - either),
    }[layout]
    variance = (differing - (first - second) ** 2 / size).sum(-1)
    error: NDArray[np.float64] = np.sqrt(np.maximum(variance, 0))
    return error


def pairs_apart(edition: Edition) -> pd.DataFrame:
    """Return every pair of developers, and under which layouts they are apart.

    Two are apart where the difference of their totals exceeds 1.96 of its standard
    errors. Columns ahead, behind, lead, neighbours (no other total lies between), and
    one of True and False for each layout. A row a pair, whoever is ahead first.
    """
    ordered = edition.totals.sort_values(ascending=False, kind="stable")
    counts = edition.yeses.loc[ordered.index].to_numpy()
    sizes = edition.sizes.to_numpy()
    pairs = list(combinations(range(len(ordered)), 2))
    first, second = np.array(pairs).T
    lead = ordered.to_numpy()[first] - ordered.to_numpy()[second]
    table = {
        "ahead": ordered.index[first],
        "behind": ordered.index[second],
        "lead": lead,
        "neighbours": second == first + 1,
    }
    for layout in LAYOUTS:
        error = difference_error(counts[first], counts[second], sizes, layout)
        table[layout] = lead > Z * error
    return pd.DataFrame(table)


def bootstrap_totals(
    scores: pd.DataFrame, domains: pd.Series, draws: int, *, seed: int = 0
) -> NDArray[np.float64]:
    """Return totals (draws, developers) of indicators drawn anew in each domain.

    Each draw takes, of every domain's indicators, as many with replacement; all
    developers are scored on the same ones.
    scores: (indicators, developers) of 0 and 1. domains: by indicator. seed: of the
    draws.
    """
    draws = whole_number("draws", draws)
    random = np.random.default_rng(seed)
    values = scores.to_numpy(float)
    totals: NDArray[np.float64] = np.zeros((draws, values.shape[1]))
    for _, places in _places_by_domain(domains):
        picks = random.multinomial(
            len(places), np.full(len(places), 1 / len(places)), size=draws
        )
        totals += picks @ values[places]
    return totals


def draw_totals(edition: Edition, draws: int, *, seed: int = 0) -> NDArray[np.float64]:
    """Return totals (draws, developers) where only each domain's yeses are known.

    Of one developer this is the same bootstrap: k yeses of n, drawn with replacement,
    are Binomial(n, k/n). Of two it is the unrelated layout.
    """
    draws = whole_number("draws", draws)
    random = np.random.default_rng(seed)
    sizes = edition.sizes.to_numpy()
    shares = edition.yeses.to_numpy() / sizes
    drawn = random.binomial(sizes, shares, size=(draws, *shares.shape))
    totals: NDArray[np.float64] = drawn.sum(-1).astype(float)
    return totals


def rank_intervals(totals: pd.Series, drawn: Any) -> pd.DataFrame:
    """Return each developer's rank, and where 95 % of its ranks in the draws lie.

    totals: by developer. drawn: (draws, developers). Developers with equal totals share
    the mean of their ranks. Columns total, low, high (of the total), rank, rank_low,
    rank_high; the highest total first.
    """
    values = as_array("drawn", drawn, dtype=float)
    require(
        values.ndim == 2 and values.shape[1] == len(totals),
        f"drawn must have a column for each of {len(totals)} developers; its shape is "
        f"{values.shape}",
    )
    ranks = pd.DataFrame(values).rank(axis=1, ascending=False).to_numpy()
    low, high = np.percentile(values, (2.5, 97.5), axis=0)
    rank_low, rank_high = np.percentile(ranks, (2.5, 97.5), axis=0)
    table = pd.DataFrame(
        {
            "total": totals,
            "low": low,
            "high": high,
            "rank": totals.rank(ascending=False),
            "rank_low": rank_low,
            "rank_high": rank_high,
        }
    )
    return table.sort_values("total", ascending=False, kind="stable")


def pair_errors(scores: pd.DataFrame, domains: pd.Series) -> pd.DataFrame:
    """Return each pair's lead, its standard error, and that of the unrelated layout.

    Here the indicators are known, and so is the number D of those that one of the two
    satisfies and the other does not (see `difference_error`). Columns lead (of the
    first over the second), known, unrelated, and ratio = known / unrelated, NaN where
    both are 0. Below 1, the two say yes to the same indicators more often than
    strangers with their totals, and their difference is surer than totals let think.
    scores: (indicators, developers) of 0 and 1. domains: by indicator.
    """
    values = scores.to_numpy(float)
    first, second = np.array(list(combinations(range(values.shape[1]), 2))).T
    known = np.zeros(len(first))
    unrelated = np.zeros(len(first))
    for _, places in _places_by_domain(domains):
        here = values[places]
        n = len(places)
        a, b = here[:, first].sum(0), here[:, second].sum(0)
        differing = np.abs(here[:, first] - here[:, second]).sum(0)
        known += differing - (a - b) ** 2 / n
        unrelated += a + b - 2 * a * b / n - (a - b) ** 2 / n
    names = pd.MultiIndex.from_arrays(
        [scores.columns[first], scores.columns[second]], names=["one", "other"]
    )
    lead = values[:, first].sum(0) - values[:, second].sum(0)
    table = pd.DataFrame({"lead": lead}, names)
    table["known"] = np.sqrt(np.maximum(known, 0))
    table["unrelated"] = np.sqrt(np.maximum(unrelated, 0))
    table["ratio"] = table.known / table.unrelated.where(table.unrelated > 0)
    return table


def shuffled_answers(
    scores: pd.DataFrame, domains: pd.Series, *, seed: int = 0
) -> pd.DataFrame:
    """Return scores with every developer's answers dealt anew within each domain.

    Totals by domain stay; what is lost is that two developers answer the same
    indicators by yes. The control for `pair_errors`.
    """
    random = np.random.default_rng(seed)
    values = scores.to_numpy().copy()
    for _, places in _places_by_domain(domains):
        values[places] = random.permuted(values[places], axis=0)
    return pd.DataFrame(values, scores.index, scores.columns)


def _places_by_domain(domains: pd.Series) -> list[tuple[Any, NDArray[np.int64]]]:
    """Return each domain, and where its indicators stand."""
    names = domains.to_numpy()
    return [(name, np.flatnonzero(names == name)) for name in domains.unique()]


def _checked_counts(a: Any, b: Any, n: Any) -> tuple[np.ndarray, ...]:
    size = as_array("n", n, dtype=float)
    require((size >= 1).all(), f"n must be at least 1; got {size.tolist()}")
    found = []
    for name, counts in (("a", a), ("b", b)):
        values = as_array(name, counts, dtype=float)
        require(
            size.ndim == 1 and values.shape[-1:] == size.shape,
            f"{name} must be (..., domains), and n (domains,); got {values.shape} and "
            f"{size.shape}",
        )
        inside = ((values >= 0) & (values <= size)).all()
        require(inside, f"{name} must lie in [0, n] in every domain")
        found.append(values)
    return found[0], found[1], size
