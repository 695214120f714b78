"""How much of a reader's score is left under attack? One table of all."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from smallscale.core import intervals
from smallscale.core.validation import require, whole_number
from smallscale.robustness.reading.addsent import original_id, worst_scores
from smallscale.robustness.reading.dataset import Dataset, questions
from smallscale.robustness.reading.readings import Answering, ReaderLike, answers
from smallscale.robustness.reading.side_by_side import side_by_side

RESAMPLES = 1000


def score_table(
    readers: Mapping[str, Answering], tests: Mapping[str, Dataset], *, seed: int = 0
) -> pd.DataFrame:
    """Return one row for each reader and test: reader, test, f1, low, high, n.

    f1 is the mean in percent over n original questions, low and high the ends of its 95
    % interval, a bootstrap's over questions (Efron 1979) with RESAMPLES draws. Where a
    test has several candidates for a question the worst counts, so that AddSent is a
    test like the others. seed: of the bootstrap.
    Raises ValueError for a test without questions.
    """
    rows = []
    for reader_name, reader in readers.items():
        for test_name, dataset in tests.items():
            worst = worst_scores(dataset, answers(reader, dataset))
            scores = np.array([score.f1 for score in worst.values()])
            nothing = (
                f"test {test_name!r} has no question, so there is nothing to score"
            )
            require(len(scores) > 0, nothing)
            low, high = _bootstrap_interval(scores, seed)
            row = {
                "reader": reader_name,
                "test": test_name,
                "f1": 100 * scores.mean(),
                "low": 100 * low,
                "high": 100 * high,
                "n": len(scores),
            }
            rows.append(row)
    return pd.DataFrame(rows)


def scores_by_seed(
    readers: Mapping[tuple[str, int], ReaderLike],
    tests: Mapping[int, Mapping[str, Dataset]],
) -> pd.DataFrame:
    """Return `score_table` of all readers, each on the tests of its own seed.

    The column reader holds the kind of reader, and a column seed stands behind it.

    readers: by kind and seed. tests: for each seed its tests by name.
    """

    def scored(key: tuple[str, int]) -> pd.DataFrame:
        kind, seed = key
        table = score_table({kind: readers[key]}, tests[seed])
        table.insert(1, "seed", seed)
        return table

    return pd.concat(side_by_side(scored, readers), ignore_index=True)


def over_seeds(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each reader and test: reader, test, f1, low, high, seeds.

    f1 is the mean over seeds, low and high the ends of its 95 % interval by Student's
    t, cut to [0, 100]. Where each seed has data, weights and attacks of its own, all of
    them are in that interval. Of a single seed its own interval over questions stays.

    scores: as `scores_by_seed` returns them.
    """
    rows = []
    for (reader, test), of_seeds in scores.groupby(["reader", "test"], sort=False):
        low, high = of_seeds.low.iloc[0], of_seeds.high.iloc[0]
        if len(of_seeds) > 1:
            low, high = mean_interval(of_seeds.f1.to_numpy())
        row = {
            "reader": reader,
            "test": test,
            "f1": of_seeds.f1.mean(),
            "low": max(low, 0.0),
            "high": min(high, 100.0),
            "seeds": len(of_seeds),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def mean_interval(values: "np.ndarray[Any, Any]") -> tuple[float, float]:
    """Return the ends of the 95 % interval of the mean of at least two values (n,).

        mean -+ t s / sqrt(n),  t the .975 quantile of Student's t with n - 1 degrees

    >>> low, high = mean_interval(np.array([1.0, 2.0, 3.0]))
    >>> print(f"{low:.2f} to {high:.2f}")
    -0.48 to 4.48
    """
    interval = intervals.mean_interval(values)
    return interval.low, interval.high


def same_questions(tests: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Return the tests, each with the questions alone that all of them have.

    An attack skips what it cannot turn, perhaps the harder questions: scores on
    different questions are not to be compared. Candidates count as their original.
    """
    ids = [
        {original_id(qa["id"]) for qa in questions(dataset)}
        for dataset in tests.values()
    ]
    shared = set.intersection(*ids) if ids else set()
    return {name: _only(dataset, shared) for name, dataset in tests.items()}


def drawn_questions(
    tests: Mapping[str, Dataset], n: int, *, seed: int
) -> dict[str, Dataset]:
    """Return the tests with n of the questions that all of them have, the same in each.

    All of them where there are no more than n. Candidates count as their original.
    seed: of the draw, which does not depend on the tests' order.
    """
    n = whole_number("n", n)
    shared = same_questions(tests)
    ids = {original_id(qa["id"]) for test in shared.values() for qa in questions(test)}
    rng = np.random.default_rng(seed)
    chosen = set(rng.permutation(sorted(ids))[:n].tolist())
    return {name: _only(dataset, chosen) for name, dataset in shared.items()}


def _only(dataset: Dataset, ids: set[str]) -> Dataset:
    """Return the dataset with the questions that have or come from these ids."""
    articles = []
    for article in dataset["data"]:
        kept = []
        for paragraph in article["paragraphs"]:
            qas = [qa for qa in paragraph["qas"] if original_id(qa["id"]) in ids]
            if qas:
                kept.append({**paragraph, "qas": qas})
        articles.append({**article, "paragraphs": kept})
    return {**dataset, "data": articles}


def _bootstrap_interval(
    scores: "np.ndarray[tuple[int], np.dtype[np.float64]]", seed: int
) -> tuple[float, float]:
    """Return the 95 % interval of the mean of scores (n,): n are drawn again."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(scores), size=(RESAMPLES, len(scores)))
    low, high = np.quantile(scores[drawn].mean(1), [0.025, 0.975])
    return float(low), float(high)
