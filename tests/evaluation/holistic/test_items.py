"""Is every item sound: one right answer, known by another way than the code's own?"""

from http import HTTPStatus

import numpy as np
import pytest

from smallscale.evaluation.holistic.items import (
    MAKERS,
    RENAMED,
    TRAINING,
    WORDS,
    split_items,
    typos,
)

KINDS = list(MAKERS)


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_comes_twice_and_groups_take_turns(kind: str) -> None:
    training, test, fresh = split_items(kind, 16, 8)
    assert len(training) == TRAINING
    assert len(test) == 16
    texts = [item.text for item in [*training, *test, *fresh]]
    assert len(set(texts)) == len(texts)
    groups = [item.group for item in test]
    assert sorted(groups.count(name) for name in set(groups)) == [8, 8]


@pytest.mark.parametrize("kind", KINDS)
def test_a_longer_test_begins_with_the_shorter_one(kind: str) -> None:
    assert split_items(kind, 12).test == split_items(kind, 16).test[:12]
    assert split_items(kind, 12, 4).training == split_items(kind, 3).training


@pytest.mark.parametrize("kind", KINDS)
def test_options_hold_the_answer_once_and_labels_are_balanced(kind: str) -> None:
    _, test, _ = split_items(kind, 16)
    for item in test:
        if item.options:
            assert item.options.count(item.answer) == 1
            assert len(set(item.options)) == len(item.options)
    if kind in ("reviews", "logic"):
        answers = [item.answer for item in test]
        assert {answers.count(each) for each in set(answers)} == {8}


def test_the_right_option_has_no_favourite_place() -> None:
    for kind in ("status", "next line"):
        places = [
            item.options.index(item.answer) for item in split_items(kind, 30).test
        ]
        assert len(set(places)) == 4


def test_sums_are_right() -> None:
    for item in split_items("sums", 40).test:
        a, b = item.text.split(" + ")
        assert int(item.answer) == int(a) + int(b)
        assert [len(a), len(b)] == ([1, 1] if item.group == "one digit" else [2, 2])


def test_logic_is_right_by_a_truth_table_of_its_own() -> None:
    def value(text: str) -> bool:
        """Work out the innermost brackets first, then not, and, or."""
        while "(" in text:
            start = text.rindex("(")
            end = text.index(")", start)
            text = f"{text[:start]}{value(text[start + 1 : end])}{text[end + 1 :]}"
        text = text.replace("not True", "FALSE").replace("not False", "True")
        text = text.replace("FALSE", "False")
        parts = text.split(" or ")
        return any(all(w == "True" for w in p.split(" and ")) for p in parts)

    for item in split_items("logic", 40).test:
        assert str(value(item.text)) == item.answer, item


def test_reviews_mean_what_their_words_say() -> None:
    for item in split_items("reviews", 40).test:
        good = 0
        for part in item.text.rstrip(".").split(" and the "):
            word = part.split()[-1]
            good += (word in WORDS["good"]) != ("far from" in part)
        assert good == (2 if item.answer == "positive" else 0), item


def test_facts_are_the_standard_librarys() -> None:
    for item in split_items("status", 24).test:
        code = int(item.text.rstrip("?").split()[-1])
        assert HTTPStatus(code).phrase == item.answer
        assert code not in RENAMED


@pytest.mark.parametrize("kind", ["passages", "unknowable"])
def test_the_answer_stands_in_the_passage_unless_it_is_not_said(kind: str) -> None:
    for item in split_items(kind, 40).test:
        passage = item.text.split("\n")[0]
        said = item.group != "not said"
        assert (item.answer in passage) is said
        assert said or item.answer == "unknown"
        assert item.answer in item.rough or not said


def test_typos_swap_letters_and_keep_what_is_asked_for() -> None:
    random = np.random.default_rng(0)
    text = "Somebody wonderful walked slowly through Weston yesterday evening"
    rough = typos(text, "Weston", random)
    assert rough != text.lower()
    assert "Weston" in rough
    for old, new in zip(text.split(), rough.split(), strict=True):
        assert sorted(old.lower()) == sorted(new.lower())
        assert old[0].lower() == new[0].lower()


def test_refusals() -> None:
    with pytest.raises(ValueError, match="kind must be one of"):
        split_items("poems")
    with pytest.raises(ValueError, match="n must"):
        split_items("sums", 0)
