"""Is a dataset walked in its order, and split by whole articles?"""

import pytest

from smallscale.robustness import add_sentences
from smallscale.robustness.reading.dataset import (
    all_text,
    asked,
    check_dataset,
    gold_texts,
    major_version,
    paragraphs,
    questions,
    split_articles,
    union,
)
from smallscale.robustness.reading.synthetic_squad import passages


def test_the_walk_keeps_the_file_s_order() -> None:
    first = {"context": "One.", "qas": [{"id": "a", "question": "A?", "answers": []}]}
    second = {"context": "Two.", "qas": [{"id": "b", "question": "B?", "answers": []}]}
    data = {"data": [{"paragraphs": [first]}, {"paragraphs": [second]}]}
    assert list(paragraphs(data)) == [first, second]
    assert [qa["id"] for qa in questions(data)] == ["a", "b"]
    assert [(context, qa["id"]) for context, qa in asked(data)] == [
        ("One.", "a"),
        ("Two.", "b"),
    ]
    assert list(all_text(data)) == ["One.", "A?", "Two.", "B?"]
    with pytest.raises(ValueError, match="'a' has no answer to compare with"):
        gold_texts(first["qas"][0])


@pytest.mark.parametrize("data", [[], {}, {"data": {}}])
def test_what_is_no_dataset_is_refused(data) -> None:
    with pytest.raises(ValueError, match="dataset must be a dict with a list under"):
        list(paragraphs(data))


@pytest.mark.parametrize(
    ("version", "more", "expected"),
    [
        ("1.1", {"is_impossible": False}, 1),
        ("v2.0", {}, 2),
        ("V2.0", {}, 2),
        ("", {}, 1),
        ("new", {"is_impossible": False}, 2),
    ],
)
def test_the_version_decides_and_else_the_questions(version, more, expected) -> None:
    qa = {"id": "a", "question": "A?", "answers": [], **more}
    data = {"data": [{"paragraphs": [{"context": "", "qas": [qa]}]}]}
    assert major_version({**data, "version": version}) == expected
    if not version:
        assert major_version(data) == expected


def test_whole_articles_are_held_out() -> None:
    data = passages(80, seed=0)
    train, test = split_articles(data, seed=3)
    titles = [[article["title"] for article in part["data"]] for part in (train, test)]
    assert sorted([*titles[0], *titles[1]]) == sorted(
        article["title"] for article in data["data"]
    )
    assert len(titles[1]) == 2
    draws = set()
    for seed in range(8):
        _, held_out = split_articles(data, seed=seed)
        draws.add(tuple(article["title"] for article in held_out["data"]))
    assert len(draws) > 1


def test_only_answerable_questions_are_split() -> None:
    data = passages(20, seed=0)
    first = next(paragraphs(data))
    for qa in first["qas"]:
        qa["answers"] = []
    train, test = split_articles(data, test=0.5)
    kept = [*paragraphs(train), *paragraphs(test)]
    assert len(kept) == 19
    assert first not in kept
    assert all(qa["answers"] for part in (train, test) for qa in questions(part))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split_articles(passages(3, seed=0)), "two articles .*; got 1"),
        (
            lambda: split_articles(passages(30, seed=0), test=1),
            "test must be a finite number, above 0 and below 1; got 1",
        ),
        (
            lambda: split_articles(passages(30, seed=0), test=0),
            "test must be a finite number, above 0 and below 1; got 0",
        ),
    ],
)
def test_bad_arguments(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_union_has_the_questions_of_both() -> None:
    first, second = passages(10, seed=0), passages(20, seed=1)
    both = union(first, second)
    check_dataset(union(first, add_sentences(first, seed=0, candidates=1)))
    assert both["data"] == first["data"] + second["data"]
    assert len(list(questions(both))) == 150
    assert len(first["data"]) == 1  # the input stays
