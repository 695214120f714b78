"""When is an answer right? SQuAD's files and their two official scores, v1.1 and v2.0.

Rajpurkar et al. 2016 ask for a span of the passage that answers the question; Rajpurkar et al. 2018 add questions
that the passage does not answer. The two official evaluation scripts differ in small ways that move a number:
what a missing prediction costs, and what two empty answers are worth. Both are here, written from their rules.

A dataset is the file's JSON as it stands: {"version", "data": [{"title", "paragraphs": [{"context", "qas":
[{"id", "question", "answers": [{"text", "answer_start"}], "is_impossible"}]}]}]}.
"""

import json
import math
import random
import re
import string
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Dataset = dict[str, Any]
Paragraph = dict[str, Any]
Question = dict[str, Any]

PUNCTUATION = str.maketrans(
    "", "", string.punctuation
)  # ASCII only: curly quotes, dashes and accents stay
ARTICLES = re.compile(r"\b(a|an|the)\b")


def load_squad(path: str | Path) -> Dataset:
    """The dataset in a SQuAD file, v1.1 or v2.0, as it stands there, once it is known to be sound.

    Checked: the structure, that each answer_start points at its text, that no id comes twice, that a question
    has answers unless it is_impossible, and none if it is.
    Raises ValueError, one line with the file's name and the question's id, for the first thing that is wrong.
    """
    try:
        dataset = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        _check(dataset)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON in UTF-8: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return dataset


def paragraphs(dataset: Dataset) -> Iterator[Paragraph]:
    """The paragraphs, in the file's order. Raises ValueError for what is not a dataset."""
    if not isinstance(dataset, Mapping) or not isinstance(dataset.get("data"), list):
        raise ValueError(
            "dataset must be a dict with a list under 'data', as load_squad returns it"
        )
    for article in dataset["data"]:
        yield from article["paragraphs"]


def questions(dataset: Dataset) -> Iterator[Question]:
    """The questions, in the file's order."""
    return (qa for _, qa in asked(dataset))


def asked(dataset: Dataset) -> Iterator[tuple[str, Question]]:
    """Each question with the context that it is asked about, in the file's order."""
    return (
        (paragraph["context"], qa)
        for paragraph in paragraphs(dataset)
        for qa in paragraph["qas"]
    )


def normalize_answer(text: str) -> str:
    """Lower case, without ASCII punctuation, without the words a, an and the, words one space apart."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact_match(prediction: str, golds: Sequence[str]) -> int:
    """1 if the prediction equals one of the gold answers, both normalised, else 0 (v1.1's rule)."""
    return max(
        int(normalize_answer(prediction) == normalize_answer(gold))
        for gold in _some(golds)
    )


def f1(prediction: str, golds: Sequence[str]) -> float:
    """The best F1 over the gold answers, of normalised words counted with repeats (v1.1's rule), in [0, 1].

        F1 = 2 * precision * recall / (precision + recall),   of the words that prediction and gold share

    No shared word gives 0: so does an empty prediction, even where the gold answer is empty too.
    Raises ValueError if golds holds none, or is a single text.
    """
    return max(_f1(prediction, gold) for gold in _some(golds))


def score_squad(
    dataset: Dataset,
    predictions: Mapping[str, str],
    na_prob: Mapping[str, float] | None = None,
    threshold: float = 1.0,
) -> dict[str, float]:
    """The official script's keys and values, in percent: v1.1's or v2.0's, by the file's version.

    predictions: the answer's text by question id; "" for no answer.
    v1.1 gives exact_match and f1: a missing prediction scores 0. v2.0 gives exact, f1 and total, the same with
    HasAns_ and NoAns_ for the questions that have an answer and those that have none, where there are such; a
    missing prediction is left out of the total, which then says less than it seems.
    na_prob: by question id, how sure the reader is that there is no answer (v2.0). Above the threshold (strictly)
    the prediction counts as empty. Then best_exact, best_exact_thresh, best_f1 and best_f1_thresh are added: what
    the best threshold would have given. Without na_prob every question's is 0.

    Ids that the dataset does not have are ignored, with one warning. Where v2.0's script would stop with an
    error because a prediction is missing, its HasAns_ and NoAns_ keep to the predictions there are.
    A version that starts with neither 1 nor 2 is v2.0 if any question says is_impossible.
    Raises ValueError for predictions that are not text, an na_prob that is missing or NaN, and nothing to score.
    """
    by_id = {qa["id"]: qa for qa in questions(dataset)}
    _check_predictions(predictions, na_prob, threshold)
    unknown = [id_ for id_ in {**predictions, **(na_prob or {})} if id_ not in by_id]
    if unknown:
        message = f"{len(unknown)} of the ids are not in the dataset and are ignored, the first is {unknown[0]!r}"
        warnings.warn(message, stacklevel=2)
    if _version(dataset) == 2:
        return _score_v2(by_id, predictions, na_prob, threshold)
    if na_prob is not None:
        raise ValueError(
            "na_prob has no meaning for a v1.1 dataset, whose questions all have an answer"
        )
    scores = [score for _, score in v1_scores(dataset, predictions)]
    if not scores:
        raise ValueError("dataset has no question, so there is nothing to score")
    # cumsum adds one by one, as the script does: from Python 3.12 on, sum() rounds otherwise
    overlap, exact = (100.0 * np.cumsum(scores, axis=0)[-1] / len(scores)).tolist()
    return {"exact_match": exact, "f1": overlap}


def v1_scores(
    dataset: Dataset, predictions: Mapping[str, str]
) -> Iterator[tuple[str, tuple[float, int]]]:
    """Each question's id, and its (F1, exact match) by v1.1's rules, where a missing prediction scores 0.

    Raises ValueError for predictions that are not text, and for one of a question without answers.
    """
    _check_predictions(predictions)
    for qa in questions(dataset):
        text = predictions.get(qa["id"])
        yield (
            qa["id"],
            (0.0, 0)
            if text is None
            else (f1(text, gold_texts(qa)), exact_match(text, gold_texts(qa))),
        )


def _score_v2(
    by_id: dict[str, Question],
    predictions: Mapping[str, str],
    na_prob: Mapping[str, float] | None,
    threshold: float,
) -> dict[str, float]:
    rows = []
    for id_, qa in by_id.items():
        if (text := predictions.get(id_)) is not None:
            golds = [
                answer["text"]
                for answer in qa["answers"]
                if normalize_answer(answer["text"])
            ] or [""]
            exact = float(exact_match(text, golds))
            overlap = max(
                f1(text, golds), exact
            )  # two empty answers share no word, and are equal
            rows.append((id_, exact, overlap, bool(qa["answers"]), -float(text != "")))
    if not rows:
        raise ValueError(
            "predictions has no id of the dataset, so there is nothing to score"
        )
    table = pd.DataFrame(
        rows, columns=["id", "exact", "f1", "answerable", "loss"]
    ).set_index("id")
    table["doubt"] = 0.0 if na_prob is None else pd.Series(dict(na_prob), dtype=float)
    if table.doubt.isna().any():
        id_ = table.doubt.isna().idxmax()
        raise ValueError(
            f"na_prob has no value for {id_!r}, which is predicted; give one for each prediction"
        )
    counted = table[["exact", "f1"]].where(
        table.doubt <= threshold, 1.0 - table.answerable, axis=0
    )
    result: dict[str, float] = {}
    parts = {
        "": counted,
        "HasAns_": counted[table.answerable],
        "NoAns_": counted[~table.answerable],
    }
    for prefix, part in parts.items():
        if len(part):
            result |= {
                prefix + name: 100.0 * sum(part[name]) / len(part) for name in part
            }
            result[prefix + "total"] = len(part)
    if na_prob is not None:
        # The best score over all thresholds, and the lowest that reaches it. The sweep starts where no question is
        # answered, and answers one more at a time, the surest first, equals in na_prob's order. The start counts every
        # question without answer, predicted or not; the percentage is of those predicted: the script's rule.
        unanswerable = sum(not qa["answers"] for qa in by_id.values())
        swept = table.loc[[id_ for id_ in na_prob if id_ in table.index]].sort_values(
            "doubt", kind="stable"
        )
        for name in ("exact", "f1"):
            totals = np.cumsum(
                [unanswerable, *swept[name].where(swept.answerable, swept.loss)]
            )
            result[f"best_{name}"] = 100.0 * float(totals.max()) / len(table)
            result[f"best_{name}_thresh"] = [0.0, *swept.doubt][totals.argmax()]
    return result


def _f1(prediction: str, gold: str) -> float:
    words, gold_words = (
        Counter(normalize_answer(text).split()) for text in (prediction, gold)
    )
    same = (words & gold_words).total()
    if same == 0:
        return 0.0
    precision, recall = same / words.total(), same / gold_words.total()
    return (2 * precision * recall) / (precision + recall)


def gold_texts(qa: Question) -> list[str]:
    """The gold answers' texts. Raises ValueError, with the id, where there are none."""
    if not qa["answers"]:
        raise ValueError(
            f"question {qa['id']!r} has no answer to compare with; v1.1's rules need at least one"
        )
    return [answer["text"] for answer in qa["answers"]]


def _some(golds: Sequence[str]) -> Sequence[str]:
    if isinstance(golds, str) or not golds:
        raise ValueError(f"golds must be a list of at least one text; got {golds!r}")
    return golds


def _version(dataset: Dataset) -> int:
    version = str(dataset.get("version", "")).lower().removeprefix("v")
    if version[:1] in ("1", "2"):
        return int(version[0])
    return 2 if any("is_impossible" in qa for qa in questions(dataset)) else 1


def _check_predictions(
    predictions: Any, na_prob: Any = None, threshold: float = 1.0
) -> None:
    for name, values in (
        ("predictions", predictions),
        ("na_prob", {} if na_prob is None else na_prob),
    ):
        if not isinstance(values, Mapping):
            raise ValueError(
                f"{name} must be a dict by question id; got {type(values).__name__}"
            )
    for id_, text in predictions.items():
        if not isinstance(text, str):
            raise ValueError(
                f"the prediction for {id_!r} must be text; got {text!r} ('' says that there is no answer)"
            )
    for id_, value in (na_prob or {}).items():
        if isinstance(value, str) or value is None or math.isnan(value):
            raise ValueError(f"na_prob of {id_!r} must be a number; got {value!r}")
    if math.isnan(threshold):
        raise ValueError("threshold must be a number; got nan")


# What load_squad asks for: keys and their types; a dict stands for a list of such objects.
ANSWER = {"text": str, "answer_start": int}
PARAGRAPH = {"context": str, "qas": {"id": str, "question": str, "answers": ANSWER}}
SHAPE: dict[str, Any] = {"data": {"paragraphs": PARAGRAPH}}
NAMES = {
    "data": "article",
    "paragraphs": "paragraph",
    "qas": "question",
    "answers": "answer",
}
TYPES = {list: "a list", str: "text", int: "a whole number"}


def _check(dataset: Any) -> None:
    """Raise ValueError, without the file's name, for the first thing that is wrong, the structure first."""
    _check_shape(dataset, SHAPE, "the file")
    needs_answers, seen = _version(dataset) == 1, set()
    for context, qa in asked(dataset):
        where, answers = f"question {qa['id']!r}", qa["answers"]
        if qa["id"] in seen:
            raise ValueError(
                f"id {qa['id']!r} comes twice; each question needs its own"
            )
        seen.add(qa["id"])
        for text, start in (
            (answer["text"], answer["answer_start"]) for answer in answers
        ):
            there = context[max(start, 0) :][: len(text)]
            if start < 0 or there != text:
                raise ValueError(
                    f"{where}: answer_start {start} must point at {text!r}; there stands {there!r}"
                )
        impossible = qa.get("is_impossible", not answers)
        if not isinstance(impossible, bool):
            raise ValueError(
                f"{where}: 'is_impossible' must be true or false; got {impossible!r}"
            )
        if impossible and answers:
            raise ValueError(
                f"{where} is_impossible and has answers; one of the two must go"
            )
        if not answers and (needs_answers or not impossible):
            raise ValueError(
                f"{where} has no answers; give one, or say is_impossible in a v2.0 file"
            )


def _check_shape(value: Any, shape: dict[str, Any], where: str) -> None:
    if not isinstance(value, dict):
        raise ValueError(
            f"{where} must be an object with '{next(iter(shape))}' in it; got {type(value).__name__}"
        )
    for key, inner in shape.items():
        if key not in value:
            raise ValueError(f"{where} has no '{key}'")
        kind = list if isinstance(inner, dict) else inner
        if not isinstance(value[key], kind) or isinstance(value[key], bool):
            raise ValueError(
                f"{where}: '{key}' must be {TYPES[kind]}; got {str(value[key])[:40]!r}"
            )
        if key == "id":
            where = f"question {value['id']!r}"
        for i, each in enumerate(value[key] if kind is list else ()):
            _check_shape(
                each, inner, f"{where}, {NAMES[key]} {i}".removeprefix("the file, ")
            )


def split_articles(
    dataset: Dataset, *, test: float = 0.25, seed: int = 0
) -> tuple[Dataset, Dataset]:
    """(train, test): the answerable questions, whole articles to one side; test is the share of articles held out.

    Raises ValueError where fewer than two articles have an answerable question, or test is not inside (0, 1).
    """
    if not 0 < test < 1:
        raise ValueError(f"test must lie strictly between 0 and 1; got {test}")
    kept = []
    for article in dataset["data"]:
        answered = (
            {**p, "qas": [qa for qa in p["qas"] if qa["answers"]]}
            for p in article["paragraphs"]
        )
        if parts := [part for part in answered if part["qas"]]:
            kept.append({**article, "paragraphs": parts})
    if len(kept) < 2:
        raise ValueError(
            f"dataset must have two articles with answerable questions to train and test; got {len(kept)}"
        )
    random.Random(seed).shuffle(kept)
    cut = min(len(kept) - 1, max(1, round(test * len(kept))))
    return {"version": "1.1", "data": kept[cut:]}, {
        "version": "1.1",
        "data": kept[:cut],
    }


def all_text(dataset: Dataset) -> Iterable[str]:
    """Every context and every question, for what is counted over a whole file."""
    for paragraph in paragraphs(dataset):
        yield from (paragraph["context"], *(qa["question"] for qa in paragraph["qas"]))
