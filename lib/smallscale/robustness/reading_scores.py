"""How much of a reader's score is left under attack? One table for several readers and several test sets."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from smallscale.robustness.distractors import original_id
from smallscale.robustness.reading import Reads, answers
from smallscale.robustness.squad import f1, gold_texts, paragraphs

RESAMPLES = 1000


def question_scores(dataset: Mapping[str, Any], predictions: Mapping[str, str]) -> pd.DataFrame:
    """A row for each original question: its id, and the F1 of its worst candidate, in [0, 1].

    A missing prediction scores 0. The mean of f1 is `worst_of`'s, and for a data set without candidates v1.1's.
    """
    rows = [
        (original_id(qa["id"]), f1(predictions.get(qa["id"], ""), gold_texts(qa)))
        for paragraph in paragraphs(dataset)
        for qa in paragraph["qas"]
    ]
    worst = pd.DataFrame(rows, columns=["question", "f1"]).groupby("question", sort=False).f1.min()
    return worst.reset_index()


def score_table(readers: Mapping[str, Reads], tests: Mapping[str, Mapping[str, Any]], *, seed: int = 0) -> pd.DataFrame:
    """reader, test, f1, low, high, n: the mean F1 in percent with a 95 % interval, of n original questions.

    The interval is a bootstrap's (Efron 1979) over questions, `RESAMPLES` times. Where a test has several candidates
    for a question the worst counts, so that AddSent is a test like the others. Raises ValueError for a test without
    questions.
    """
    rows = []
    for reader_name, reader in readers.items():
        for test_name, dataset in tests.items():
            scores = question_scores(dataset, answers(reader, dataset)).f1.to_numpy()
            if len(scores) == 0:
                raise ValueError(f"test {test_name!r} has no question, so there is nothing to score")
            rng = np.random.default_rng(seed)
            means = scores[rng.integers(len(scores), size=(RESAMPLES, len(scores)))].mean(1)
            low, high = 100 * np.quantile(means, [0.025, 0.975])
            rows.append((reader_name, test_name, 100 * scores.mean(), low, high, len(scores)))
    return pd.DataFrame(rows, columns=["reader", "test", "f1", "low", "high", "n"])
