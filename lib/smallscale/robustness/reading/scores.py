"""How much of a reader's score is left under attack? One table for several readers and several test sets."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from smallscale.robustness.reading.addsent import worst_scores
from smallscale.robustness.reading.reader import Reads, answers
from smallscale.robustness.reading.squad import Dataset

RESAMPLES = 1000


def score_table(
    readers: Mapping[str, Reads], tests: Mapping[str, Dataset], *, seed: int = 0
) -> pd.DataFrame:
    """reader, test, f1, low, high, n: the mean F1 in percent with a 95 % interval, of n original questions.

    The interval is a bootstrap's (Efron 1979) over questions, `RESAMPLES` times. Where a test has several candidates
    for a question the worst counts, so that AddSent is a test like the others. Raises ValueError for a test without
    questions.
    """
    rows = []
    for reader_name, reader in readers.items():
        for test_name, dataset in tests.items():
            scores = np.array(
                [
                    overlap
                    for overlap, _ in worst_scores(
                        dataset, answers(reader, dataset)
                    ).values()
                ]
            )
            if len(scores) == 0:
                raise ValueError(
                    f"test {test_name!r} has no question, so there is nothing to score"
                )
            drawn = np.random.default_rng(seed).integers(
                len(scores), size=(RESAMPLES, len(scores))
            )
            low, high = 100 * np.quantile(scores[drawn].mean(1), [0.025, 0.975])
            rows.append(
                (reader_name, test_name, 100 * scores.mean(), low, high, len(scores))
            )
    return pd.DataFrame(rows, columns=["reader", "test", "f1", "low", "high", "n"])
