"""Is a domain worth more than another? Scores under weights, and their limits."""

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from smallscale.core.validation import as_array, require, whole_number
from smallscale.evaluation.transparency.editions import Edition


def weighted_scores(edition: Edition, weights: Any) -> pd.DataFrame:
    """Return a score in [0, 100] for each developer, and its standard error. With y_d
    yeses of n_d indicators in domain d, and weights w_d,
        score = 100 sum_d w_d y_d / n_d  /  sum_d w_d

    Weights in proportion to n_d give the index's own totals where it has 100
    indicators. The error is that of drawing each domain's indicators anew: a share p of
    n has variance p (1 - p) / n.
    weights: (domains,) in the order of the edition's, at least 0, not all 0.
    """
    w = _checked_weights(weights, len(edition.sizes))
    share = edition.yeses / edition.sizes
    variance = share * (1 - share) / edition.sizes
    return pd.DataFrame(
        {"score": 100 * share @ w, "error": 100 * (variance @ w**2) ** 0.5}
    )


def orders_by_weight(edition: Edition, parts: int = 20) -> pd.DataFrame:
    """Return how firm the order of each pair is, over all weights of the domains.

    Tried are all weights that are multiples of 1/parts and sum to 1. Columns ahead,
    behind (by the total), share: of the weights, those under which `ahead` has the
    higher score, an equal score counting one half.
    """
    parts = whole_number("parts", parts)
    share = (edition.yeses / edition.sizes).to_numpy()
    scores = share @ _all_weights(share.shape[1], parts).T  # (developers, weights)
    totals = edition.totals.to_numpy()
    names = edition.totals.index
    rows = []
    for i, j in product(range(len(names)), repeat=2):
        if totals[i] > totals[j]:
            gap = np.round(scores[i] - scores[j], 12)
            won = float(((gap > 0) + (gap == 0) / 2).mean())
            rows.append({"ahead": names[i], "behind": names[j], "share": won})
    return pd.DataFrame(rows, columns=["ahead", "behind", "share"])


def firm_pairs(edition: Edition) -> pd.Series:
    """Return, for each pair with different totals, whether no weights can turn it.

    That is so exactly where the one ahead has at least the other's share in every
    domain: a score is a mean of shares, whatever the weights.
    """
    share = edition.yeses / edition.sizes
    found = {}
    for ahead, behind in product(share.index, repeat=2):
        if edition.totals[ahead] > edition.totals[behind]:
            found[ahead, behind] = bool((share.loc[ahead] >= share.loc[behind]).all())
    index = pd.MultiIndex.from_tuples(list(found), names=["ahead", "behind"])
    return pd.Series(list(found.values()), index, dtype=bool, name="firm")


def _all_weights(domains: int, parts: int) -> NDArray[np.float64]:
    """Return all weights in steps of 1/parts that sum to 1, (weights, domains)."""
    steps = product(range(parts + 1), repeat=domains - 1)
    rows = [(*some, parts - sum(some)) for some in steps if sum(some) <= parts]
    return np.array(rows, dtype=float) / parts


def _checked_weights(weights: Any, domains: int) -> NDArray[np.float64]:
    w = as_array("weights", weights, dtype=float)
    good = w.shape == (domains,) and np.isfinite(w).all() and (w >= 0).all()
    require(
        good and w.sum() > 0,
        f"weights must be {domains} numbers, at least 0 and not all 0; got "
        f"{w.tolist()}",
    )
    shares: NDArray[np.float64] = w / w.sum()
    return shares
