"""How much of a reader's score is left under attack? One table of all."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from smallscale.core.validation import require
from smallscale.robustness.reading.addsent import original_id, worst_scores
from smallscale.robustness.reading.dataset import Dataset, questions
from smallscale.robustness.reading.readings import ReaderLike, answers

RESAMPLES = 1000


def score_table(
    readers: Mapping[str, ReaderLike], tests: Mapping[str, Dataset], *, seed: int = 0
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
