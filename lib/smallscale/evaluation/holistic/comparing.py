"""Do two entrants differ at all, and what does choosing on the test gain? Paired tests.

Two entrants answer the same items, so what counts is where they differ. And whoever
chooses the best of several prompts by their test scores is paid for luck as well.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom, binomtest

from smallscale.core.intervals import MeanInterval, mean_interval
from smallscale.core.seeds import replicate_seeds
from smallscale.core.validation import as_array, require, vectors, whole_number
from smallscale.evaluation.holistic.entrants import Nearest
from smallscale.evaluation.holistic.items import split_items
from smallscale.evaluation.holistic.scenarios import SCENARIOS, score


def mcnemar(first: Any, second: Any) -> float:
    """Return the chance of so uneven a count of differences if neither is better.

    With b items that only the first has right, and c that only the second has, b is
    Binomial(b + c, 1/2) if they are equally good (McNemar 1947; the exact test):

        p = P(|B - (b + c) / 2| >= |b - c| / 2)

    first, second: (n,) of bool, or 0 and 1, on the same items. 1 without a difference.
    Raises ValueError for other values, lengths that differ, and what is not (n,).

    >>> mcnemar([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0])
    0.0625
    """
    a, b = vectors(first=first, second=second)
    for name, values in (("first", a), ("second", b)):
        require(np.isin(values, (0, 1)).all(), f"{name} must hold 0 and 1 alone")
    only_first = int(((a == 1) & (b == 0)).sum())
    only_second = int(((a == 0) & (b == 1)).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second).pvalue)


def paired_difference(first: Any, second: Any) -> MeanInterval:
    """Return the mean of first - second over items, and the half of its 95 % interval.

    first, second: (n,) scores on the same items, n at least 2. Raises ValueError for
    lengths that differ, fewer than two items, and what is not (n,).
    """
    a, b = vectors(first=first, second=second)
    return mean_interval(a - b)


def unpaired_half(first: Any, second: Any) -> float:
    """Return the half of the interval that the difference of two means would have if
    they were of different items: sqrt(half_1^2 + half_2^2).

    first, second: as for `paired_difference`, with the same errors.
    """
    a, b = vectors(first=first, second=second)
    return float(np.hypot(mean_interval(a).half, mean_interval(b).half))


def pairs_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return each pair of entrants over all items of an answer table that both have.

    Columns ahead, behind, lead, half, unpaired, p (McNemar's, of answers that are
    wholly right), adjusted (p, after Holm 1979), apart (adjusted below .05), n.
    """
    wide = table.pivot(index=["scenario", "item"], columns="entrant", values="score")
    order = wide.mean().sort_values(ascending=False, kind="stable").index
    rows = []
    for ahead, behind in combinations(order, 2):
        both = wide[[ahead, behind]].dropna()
        a, b = both[ahead], both[behind]
        difference = paired_difference(a, b)
        rows.append(
            {
                "ahead": ahead,
                "behind": behind,
                "lead": difference.mean,
                "half": difference.half,
                "unpaired": unpaired_half(a, b),
                "p": mcnemar(a == 1, b == 1),
                "n": len(both),
            }
        )
    found = pd.DataFrame(rows)
    found["adjusted"] = holm(found.p)
    found["apart"] = found.adjusted < 0.05
    return found


def holm(p: Any) -> NDArray[np.float64]:
    """Return the chances adjusted for how many there are (Holm 1979), in their order:
    the k-th smallest of m times m - k + 1, never below one before it, at most 1.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    (values,) = vectors(p=p)
    order = np.argsort(values)
    factors = np.arange(len(values), 0, -1)
    raised = np.maximum.accumulate(values[order] * factors)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(raised, 1)
    return adjusted


class Gains(NamedTuple):
    """What choosing the best of several prompts seems to gain, and what it does gain.

    Each is over the mean of all prompts on the same items, (splits,).
    """

    on_test: NDArray[np.float64]
    held_out: NDArray[np.float64]


def selection_gains(scores: pd.DataFrame, splits: int, *, seed: int = 0) -> Gains:
    """Return the gains of choosing the best prompt on one half of the items:

        on_test  = mean score of the chosen prompt on that half - mean of all prompts
        held_out = the same, with the same prompt, on the other half

    scores: (items, prompts). splits: how often the items are halved at random. The
    first of equally good prompts is chosen, in an order that is drawn.
    """
    splits = whole_number("splits", splits)
    x = scores.to_numpy(float)
    require(len(x) >= 4, f"scores must have at least 4 items; got {len(x)}")
    random = np.random.default_rng(seed)
    on_test = np.empty(splits)
    held_out = np.empty(splits)
    for split in range(splits):
        half, other = np.array_split(random.permutation(len(x)), 2)
        prompts = random.permutation(x.shape[1])
        best = prompts[x[half].mean(0)[prompts].argmax()]
        on_test[split] = x[half, best].mean() - x[half].mean()
        held_out[split] = x[other, best].mean() - x[other].mean()
    return Gains(on_test, held_out)


def equal_prompts(scores: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Return the scores with every item's dealt anew among the prompts.

    Items stay as hard as they were, and no prompt is better than another: the control
    for `selection_gains`.
    """
    random = np.random.default_rng(seed)
    dealt = random.permuted(scores.to_numpy(float), axis=1)
    return pd.DataFrame(dealt, scores.index, scores.columns)


def prompt_range(scores: pd.DataFrame, draws: int, *, seed: int = 0) -> pd.DataFrame:
    """Return the range of the prompts' mean scores, and that of equal prompts.

    Columns range (best minus worst), equal (the mean range of `equal_prompts`), high
    (its 95th percentile over draws), p: the share of draws with at least this range,
    with the scores themselves counted as one.
    """
    draws = whole_number("draws", draws)
    found = np.ptp(scores.mean())
    dealt = np.array(
        [
            np.ptp(equal_prompts(scores, seed=each).mean())
            for each in replicate_seeds(seed, draws)
        ]
    )
    p = (1 + (dealt >= found - 1e-12).sum()) / (1 + draws)
    return pd.DataFrame(
        {
            "range": [found],
            "equal": [dealt.mean()],
            "high": [np.quantile(dealt, 0.95)],
            "p": [p],
        }
    )


def contamination_table(
    shares: Sequence[float] = (0, 0.25, 0.5, 0.75, 1), *, n: int = 24
) -> pd.DataFrame:
    """Return how an entrant scores that has seen a share of the test's items.

    It gives the answer of the nearest item that it knows. Beside it stands the control,
    which has seen as many other items. Both are scored on the test, on the test written
    carelessly, and on fresh items. Columns share, seen ("test" or "others"), on, score,
    half, n (items, of all scenarios with enough of them).
    """
    splits = {each.name: split_items(each.name, n, 2 * n) for each in SCENARIOS}
    chosen = [each for each in SCENARIOS if len(splits[each.name].fresh) == 2 * n]
    rows = []
    for share in shares:
        known = round(share * n)
        for seen in ("test", "others"):
            worth: dict[str, list[float]] = {"test": [], "careless test": [], "new": []}
            for scenario in chosen:
                training, test, fresh = splits[scenario.name]
                pool = test if seen == "test" else fresh[n:]
                entrant = Nearest(known={scenario.name: pool[:known]})
                rough = [item.carelessly() for item in test]
                asked = {"test": test, "careless test": rough, "new": fresh[:n]}
                for where, items in asked.items():
                    said = entrant.answers(scenario, items, training)
                    worth[where] += [
                        score(scenario, answer.text, item.answer)
                        for answer, item in zip(said, items, strict=True)
                    ]
            for where, scores in worth.items():
                mean, half = mean_interval(scores)
                rows.append(
                    {
                        "share": share,
                        "seen": seen,
                        "on": where,
                        "score": mean,
                        "half": half,
                        "n": len(scores),
                    }
                )
    return pd.DataFrame(rows)


def quantile_interval(values: Any, quantile: float) -> tuple[float, float, float]:
    """Return a quantile of independent values, and the ends of its 95 % interval.

    The quantile is the smallest value that at least that share of them do not exceed.
    The number of values up to it is Binomial(n, quantile), whatever their distribution,
    so two of the sorted values are the ends; an end is infinite where n is too small.

    >>> quantile_interval(range(1, 101), 0.9)
    (90.0, 84.0, 96.0)
    """
    x = as_array("values", values, dtype=float)
    n = len(x) if x.ndim == 1 else 0
    require(n >= 1, f"values must be (n,), at least one; got shape {x.shape}")
    x = np.sort(x)
    place = max(0, int(np.ceil(quantile * n - 1e-9)) - 1)
    low = int(binom.ppf(0.025, n, quantile))
    high = int(binom.ppf(0.975, n, quantile)) + 1
    return (
        float(x[place]),
        float(x[low - 1]) if low >= 1 else -np.inf,
        float(x[high - 1]) if high <= n else np.inf,
    )
