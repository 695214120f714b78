"""When is an answer right? SQuAD's files and their two official scores, v1.1 and v2.0.

Rajpurkar et al. 2016 ask for a span of the passage that answers the question; Rajpurkar
et al. 2018 add questions that the passage does not answer. The two official evaluation
scripts differ in small ways that move a number: what a missing prediction costs, and
what two empty answers are worth. Both are here, written from their rules.
"""

import json
import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from smallscale.core.validation import as_float, require, shown
from smallscale.datasets.squad_scores import exact_match, f1, normalize_answer
from smallscale.robustness.reading.dataset import (
    Dataset,
    Question,
    check_dataset,
    gold_texts,
    major_version,
    questions,
)

MOST_DIGITS = 1000  # of a number in a file


def load_squad(path: str | Path) -> Dataset:
    """Return the dataset in a SQuAD file, v1.1 or v2.0, once it is known to be sound.

    Checked are the structure, that each answer_start points at its text, that no id
    comes twice, that a question has answers unless it is_impossible, and none if it is.
    A name that comes twice in one object is refused too, as JSON would keep the last. A
    `~` at the start of the path is the home folder.
    Raises ValueError, one line with the file's name and the question's id, for the
    first thing that is wrong.

    >>> load_squad("nowhere.json")
    Traceback (most recent call last):
    ValueError: nowhere.json cannot be read: No such file or directory
    """
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8-sig")
        dataset: Dataset = json.loads(
            text, object_pairs_hook=_object, parse_int=_whole_number
        )
        check_dataset(dataset)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON in UTF-8: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return dataset


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object as a dict, or refuse a name that it has twice."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        again = next(name for name in names if names.count(name) > 1)
        at = next((f" of question {v!r}" for k, v in pairs if k == "id"), "")
        raise ValueError(f"an object{at} has the name {shown(again)} twice")
    return fields


def _whole_number(digits: str) -> int:
    """Return a JSON number, or refuse one that no position or version can be."""
    require(len(digits) <= MOST_DIGITS, f"a number has {len(digits):,} digits")
    return int(digits)


class Score(NamedTuple):
    """What one prediction scores; of two scores the smaller is the one with less F1."""

    f1: float
    exact_match: int


def v1_scores(
    dataset: Dataset, predictions: Mapping[str, str]
) -> Iterator[tuple[str, Score]]:
    """Yield each question's id and its score by v1.1's rules.

    A missing prediction scores 0.
    Raises ValueError for predictions that are not text, and for a question without
    answers.
    """
    _check_predictions(predictions)
    for qa in questions(dataset):
        golds = gold_texts(qa)
        text = predictions.get(qa["id"])
        if text is None:
            yield qa["id"], Score(0.0, 0)
        else:
            yield qa["id"], Score(f1(text, golds), exact_match(text, golds))


def score_squad(
    dataset: Dataset,
    predictions: Mapping[str, str],
    na_prob: Mapping[str, float] | None = None,
    threshold: float = 1.0,
) -> dict[str, float]:
    """Return the official script's keys and values, in percent.

    The script is v1.1's or v2.0's, by the file's version.

    predictions: the answer's text by question id; "" for no answer. v1.1 gives
    exact_match and f1: a missing prediction scores 0. v2.0 gives exact, f1 and total,
    the same with HasAns_ and NoAns_ for the questions that have an answer and those
    that have none, where there are such; a missing prediction is left out of the total,
    which then says less than it seems.
    na_prob: by question id, how sure the reader is that there is no answer (v2.0).
    Above the threshold (strictly) the prediction counts as empty. Then best_exact,
    best_exact_thresh, best_f1 and best_f1_thresh are added: what the best threshold
    would have given. Without na_prob every question's is 0.

    Ids that the dataset does not have are ignored, with one warning. Where v2.0's
    script would stop with an error because a prediction is missing, its HasAns_ and
    NoAns_ keep to the predictions there are. A version that starts with neither 1 nor 2
    is v2.0 if any question says is_impossible.
    Raises ValueError for predictions that are not text, an na_prob that is missing or
    NaN, and nothing to score.

    >>> answer = {"text": "Paris", "answer_start": 11}
    >>> qas = [{"id": "q1", "question": "Where is it?", "answers": [answer]}]
    >>> paragraph = {"context": "It stands in Paris.", "qas": qas}
    >>> dataset = {"version": "1.1", "data": [{"paragraphs": [paragraph]}]}
    >>> score_squad(dataset, {"q1": "in Paris"})
    {'exact_match': 0.0, 'f1': 66.66666666666666}
    """
    by_id = {qa["id"]: qa for qa in questions(dataset)}
    _check_predictions(predictions, na_prob, threshold)
    ids = {**predictions, **(na_prob or {})}
    unknown = [id_ for id_ in ids if id_ not in by_id]
    if unknown:
        warnings.warn(
            f"{len(unknown)} of the ids are not in the dataset and are ignored; the "
            f"first is {unknown[0]!r}",
            stacklevel=2,
        )
    if major_version(dataset) == 2:
        return _score_v2(by_id, predictions, na_prob, threshold)
    require(
        na_prob is None,
        "na_prob has no meaning for a v1.1 dataset, whose questions all have an answer",
    )
    scores = [score for _, score in v1_scores(dataset, predictions)]
    require(scores, "dataset has no question, so there is nothing to score")
    # cumsum adds one by one, as the script does: from Python 3.12 on, sum() rounds
    # otherwise.
    sums = np.cumsum(scores, axis=0)[-1]
    mean_f1, mean_exact = (100.0 * sums / len(scores)).tolist()
    return {"exact_match": mean_exact, "f1": mean_f1}


def _score_v2(
    by_id: Mapping[str, Question],
    predictions: Mapping[str, str],
    na_prob: Mapping[str, float] | None,
    threshold: float,
) -> dict[str, float]:
    """Return the keys and values of v2.0's script."""
    table = _v2_table(by_id, predictions)
    table["na_prob"] = _checked_na_prob(na_prob, table.index)
    # A prediction that counts as empty is right exactly where there is no answer.
    answered = table.na_prob <= threshold
    right_if_empty = 1.0 - table.answerable
    counted = table[["exact", "f1"]].where(answered, right_if_empty, axis=0)
    parts = {
        "": counted,
        "HasAns_": counted[table.answerable],
        "NoAns_": counted[~table.answerable],
    }
    result: dict[str, float] = {}
    for prefix, part in parts.items():
        if len(part) > 0:
            for name in ("exact", "f1"):
                result[prefix + name] = 100.0 * sum(part[name]) / len(part)
            result[prefix + "total"] = len(part)
    if na_prob is not None:
        unanswerable = sum(not qa["answers"] for qa in by_id.values())
        by_doubt = table.loc[[id_ for id_ in na_prob if id_ in table.index]]
        by_doubt = by_doubt.sort_values("na_prob", kind="stable")
        result |= _best_threshold("exact", by_doubt, unanswerable)
        result |= _best_threshold("f1", by_doubt, unanswerable)
    return result


def _v2_table(
    by_id: Mapping[str, Question], predictions: Mapping[str, str]
) -> pd.DataFrame:
    """Return a row for each prediction, by id, in the dataset's order.

    exact, f1: its scores. answerable: whether its question has an answer. gain_if_none:
    what answering adds to a total in which every question without answer counts: -1
    where the prediction says something, 0 where it says nothing.
    """
    rows = []
    for id_, qa in by_id.items():
        text = predictions.get(id_)
        if text is None:
            continue
        golds = [answer["text"] for answer in qa["answers"]]
        # Golds that normalise to nothing are dropped; without a gold, "" is right.
        golds = [gold for gold in golds if normalize_answer(gold)] or [""]
        exact = float(exact_match(text, golds))
        row = {
            "id": id_,
            "exact": exact,
            "f1": max(f1(text, golds), exact),  # two empty answers are equal
            "answerable": bool(qa["answers"]),
            "gain_if_none": -1.0 if text != "" else 0.0,
        }
        rows.append(row)
    require(rows, "predictions has no id of the dataset, so there is nothing to score")
    return pd.DataFrame(rows).set_index("id")


def _best_threshold(
    name: str, by_doubt: pd.DataFrame, unanswerable: int
) -> dict[str, float]:
    """Return the best score over all thresholds, and the lowest that reaches it.

    The sweep starts where no question is answered, and answers one more at a time, the
    surest first, equals in na_prob's order. The start counts every question without
    answer, predicted or not; the percentage is of those predicted: the script's rule.
    """
    gains = by_doubt[name].where(by_doubt.answerable, by_doubt.gain_if_none)
    totals = np.cumsum([unanswerable, *gains])
    thresholds = [0.0, *by_doubt.na_prob]
    return {
        f"best_{name}": 100.0 * float(totals.max()) / len(by_doubt),
        f"best_{name}_thresh": thresholds[totals.argmax()],
    }


def _checked_na_prob(
    na_prob: Mapping[str, float] | None, ids: pd.Index
) -> "pd.Series[float] | float":
    """Return each prediction's probability that there is no answer; 0 without any."""
    if na_prob is None:
        return 0.0
    missing = [id_ for id_ in ids if id_ not in na_prob]
    require(
        not missing,
        f"na_prob has no value for {next(iter(missing), '')!r}, which is predicted; "
        "give one for each prediction",
    )
    return pd.Series(dict(na_prob), dtype=float)


def _check_predictions(
    predictions: Any, na_prob: Any = None, threshold: float = 1.0
) -> None:
    """Check what a caller of the scores passed, whatever its type."""
    _check_by_id("predictions", predictions)
    for id_, text in predictions.items():
        require(
            isinstance(text, str),
            f"the prediction for {id_!r} must be text; got {text!r} ('' says that "
            "there is no answer)",
        )
    if na_prob is not None:
        _check_by_id("na_prob", na_prob)
        for id_, value in na_prob.items():
            require(
                _is_number(value),
                f"na_prob of {id_!r} must be a number; got {value!r}",
            )
    require(_is_number(threshold), f"threshold must be a number; got {threshold!r}")


def _is_number(value: Any) -> bool:
    return not isinstance(value, str) and not math.isnan(as_float(value))


def _check_by_id(name: str, values: Any) -> None:
    got = type(values).__name__
    message = f"{name} must be a dict by question id; got {got}"
    require(isinstance(values, Mapping), message)
