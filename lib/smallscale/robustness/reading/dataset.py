"""What stands in a SQuAD file? Its structure, checked and walked through.

A dataset is the file's JSON as it stands (Rajpurkar et al. 2016; 2018 for v2.0):

    {"version": "v2.0",
     "data": [{"title": ...,
               "paragraphs": [{"context": ...,
                               "qas": [{"id": ..., "question": ...,
                                        "is_impossible": ...,
                                        "answers": [{"text": ...,
                                                     "answer_start": ...}]}]}]}]}
"""

import random
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from smallscale.core.validation import finite_number, require, shown

Dataset = dict[str, Any]
Paragraph = dict[str, Any]
Question = dict[str, Any]

# The keys that every object must have, and their types; a dict stands for a list of
# objects with these keys.
ANSWER_KEYS: dict[str, Any] = {"text": str, "answer_start": int}
QUESTION_KEYS: dict[str, Any] = {"id": str, "question": str, "answers": ANSWER_KEYS}
PARAGRAPH_KEYS: dict[str, Any] = {"context": str, "qas": QUESTION_KEYS}
ARTICLE_KEYS: dict[str, Any] = {"paragraphs": PARAGRAPH_KEYS}
FILE_KEYS: dict[str, Any] = {"data": ARTICLE_KEYS}
# What one entry of each list is called in a message.
ENTRY_NAMES = {
    "data": "article",
    "paragraphs": "paragraph",
    "qas": "question",
    "answers": "answer",
}
SURROGATE = re.compile("[\ud800-\udfff]")  # half of a character beyond U+FFFF
TYPE_NAMES = {list: "a list", str: "text", int: "a whole number"}


def paragraphs(dataset: Dataset) -> Iterator[Paragraph]:
    """Yield the paragraphs, in the file's order.

    Raises ValueError for what is not a dataset.
    """
    _check_is_dataset(dataset)
    for article in dataset["data"]:
        yield from article["paragraphs"]


def asked(dataset: Dataset) -> Iterator[tuple[str, Question]]:
    """Yield the context and the question for each question, in the file's order."""
    for paragraph in paragraphs(dataset):
        for qa in paragraph["qas"]:
            yield paragraph["context"], qa


def questions(dataset: Dataset) -> Iterator[Question]:
    """Yield the questions, in the file's order."""
    return (qa for _, qa in asked(dataset))


def all_text(dataset: Dataset) -> Iterable[str]:
    """Yield every context and every question, for what is counted over a whole file."""
    for paragraph in paragraphs(dataset):
        yield paragraph["context"]
        for qa in paragraph["qas"]:
            yield qa["question"]


def gold_texts(qa: Question) -> list[str]:
    """Return the texts of the gold answers.

    Raises ValueError, with the question's id, where there are none.
    """
    require(
        qa["answers"],
        f"question {qa['id']!r} has no answer to compare with; v1.1's rules need at "
        "least one",
    )
    return [answer["text"] for answer in qa["answers"]]


def major_version(dataset: Dataset) -> int:
    """Return 1 or 2, for the rules of v1.1 or v2.0.

    Where the version starts with neither, it is 2 if any question says is_impossible.
    """
    version = str(dataset.get("version", "")).lower().removeprefix("v")
    if version[:1] in ("1", "2"):
        return int(version[0])
    return 2 if any("is_impossible" in qa for qa in questions(dataset)) else 1


def split_articles(
    dataset: Dataset, *, test: float = 0.25, seed: int = 0
) -> tuple[Dataset, Dataset]:
    """Return (train, test): the answerable questions, whole articles to one side.

    test: the share of the articles that is held out, at least one of them. seed: of
    which articles these are.
    Raises ValueError where fewer than two articles have an answerable question, and for
    a share outside (0, 1).
    """
    test = finite_number("test", test, above=0, below=1)
    articles = [_answerable(article) for article in dataset["data"]]
    articles = [article for article in articles if article["paragraphs"]]
    require(
        len(articles) >= 2,
        "dataset must have at least two articles with answerable questions, one to "
        f"train on and one to test; got {len(articles)}",
    )
    random.Random(seed).shuffle(articles)
    held_out = max(1, round(test * len(articles)))
    held_out = min(held_out, len(articles) - 1)
    train_part: Dataset = {"version": "1.1", "data": articles[held_out:]}
    test_part: Dataset = {"version": "1.1", "data": articles[:held_out]}
    return train_part, test_part


def union(first: Dataset, second: Dataset) -> Dataset:
    """Return the articles of both datasets, those of the first before the others.

    Where an id stands in both, it comes twice: `add_sentences` gives its questions ids
    of their own, so the union of passages and attacked passages has each id once.
    """
    return {"version": "1.1", "data": [*first["data"], *second["data"]]}


def _answerable(article: dict[str, Any]) -> dict[str, Any]:
    """Return the article with its answerable questions alone."""
    kept = []
    for paragraph in article["paragraphs"]:
        qas = [qa for qa in paragraph["qas"] if qa["answers"]]
        if qas:
            kept.append({**paragraph, "qas": qas})
    return {**article, "paragraphs": kept}


def check_structure(dataset: Any) -> None:
    """Raise ValueError where a part of a dataset is missing or of another type."""
    _check_is_dataset(dataset)
    _check_keys(dataset, FILE_KEYS, "dataset")


def _check_is_dataset(dataset: Any) -> None:
    require(
        isinstance(dataset, Mapping) and isinstance(dataset.get("data"), list),
        "dataset must be a dict with a list under 'data', as load_squad returns it",
    )


def check_dataset(dataset: Any) -> None:
    """Raise ValueError for the first thing that is wrong, the structure first."""
    _check_keys(dataset, FILE_KEYS, "the file")
    needs_answers = major_version(dataset) == 1
    seen = set()
    for context, qa in asked(dataset):
        id_ = qa["id"]
        require(id_ not in seen, f"id {id_!r} comes twice; each question needs its own")
        seen.add(id_)
        for answer in qa["answers"]:
            _check_place(f"question {id_!r}", answer, context)
        _check_answerable(f"question {id_!r}", qa, needs_answers)


def _check_place(where: str, answer: Mapping[str, Any], context: str) -> None:
    """Check that the answer's text stands where its answer_start points."""
    start = answer["answer_start"]
    text = answer["text"]
    there = context[max(start, 0) :][: len(text)]
    require(
        start >= 0 and there == text,
        f"{where}: answer_start {start} must point at {shown(text)}; there "
        f"stands {shown(there)}",
    )


def _check_answerable(where: str, qa: Question, needs_answers: bool) -> None:
    """Check that a question has answers or is_impossible, and not both."""
    answers = qa["answers"]
    impossible = qa.get("is_impossible", not answers)
    require(
        isinstance(impossible, bool),
        f"{where}: 'is_impossible' must be true or false; got {impossible!r}",
    )
    require(
        not (impossible and answers),
        f"{where} is_impossible and has answers; one of the two must go",
    )
    require(
        answers or (impossible and not needs_answers),
        f"{where} has no answers; give one, or say is_impossible in a v2.0 file",
    )


def _check_keys(value: Any, keys: dict[str, Any], where: str) -> None:
    """Check an object and all in it. where: how a message names it."""
    require(
        isinstance(value, dict),
        f"{where} must be an object with '{next(iter(keys))}' in it; got "
        f"{type(value).__name__}",
    )
    for key, wanted in keys.items():
        require(key in value, f"{where} has no '{key}'")
        kind = list if isinstance(wanted, dict) else wanted
        right = isinstance(value[key], kind) and not isinstance(value[key], bool)
        got = str(value[key])[:40]
        require(right, f"{where}: '{key}' must be {TYPE_NAMES[kind]}; got {got!r}")
        if kind is str:
            half = SURROGATE.search(value[key])
            require(
                half is None,
                f"{where}: '{key}' holds half of a surrogate pair, which is no "
                "character; write both halves, or the character itself",
            )
        if key == "id":
            where = f"question {value['id']!r}"
        if kind is list:
            for i, entry in enumerate(value[key]):
                inside = f"{where}, {ENTRY_NAMES[key]} {i}"
                inside = inside.removeprefix("the file, ").removeprefix("dataset, ")
                _check_keys(entry, wanted, inside)
