"""Is a wrong answer told why it is wrong, and a lazy one found out?"""

from typing import Any

import numpy as np
import pytest

from smallscale.evaluation.transparency.cards import (
    card_key,
    card_questions,
    card_texts,
)
from smallscale.evaluation.transparency.exercises import (
    check_cards,
    check_short_form,
    check_smallest_lead,
)
from smallscale.evaluation.transparency.separation import item_rest_correlation
from smallscale.evaluation.transparency.uncertainty import Z, difference_error
from smallscale.models import small_cnn
from smallscale.notebook.exercises import NOT_YET


@pytest.mark.parametrize(
    ("lead", "says"),
    [
        (None, NOT_YET),
        (4, "Right"),
        (4.0, "Right"),
        (3, "Almost"),
        (14, "unrelated"),
        (10, "one total's own interval"),
        (20, "as little as they can"),
        (1, "exceed 1.96"),
        (2, "Multiply it"),
        (5, "a smaller lead is too"),
        (100, "Put D = d"),
        ("four", "Put D = d"),
        (np.nan, "Put D = d"),
    ],
)
def test_answers_on_the_smallest_lead(lead: Any, says: str) -> None:
    assert says in check_smallest_lead(lead)


@pytest.mark.parametrize(
    ("layout", "smallest"), [("nested", 4), ("unrelated", 14), ("opposed", 20)]
)
def test_the_leads_that_the_messages_name(layout: str, smallest: int) -> None:
    for lead in range(1, 25):
        # From 50 - lead/2 to 50 + lead/2, in one domain of 100.
        a, b = [50 + lead / 2], [50 - lead / 2]
        apart = lead > Z * difference_error(a, b, [100], layout)
        assert apart == (lead >= smallest), lead


def key() -> dict[str, dict[str, int]]:
    return {
        model: dict(zip(rows.indicator, rows.score, strict=True))
        for model, rows in card_key().groupby("model")
    }


def changed(model: str, indicator: str, score: Any) -> dict[str, dict[str, Any]]:
    scores = key()
    scores[model][indicator] = score
    return scores


def constant(score: int) -> dict[str, dict[str, int]]:
    return {model: dict.fromkeys(card_questions().index, score) for model in key()}


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        (None, NOT_YET),
        (key(), "Right. SmolLM2-135M-Instruct 5 of 12"),
        (changed("Digit reader", "License", 1), "licence is that of the code"),
        (changed("Digit reader", "Evaluation", 1), "pointer"),
        (changed("Line counter", "Model size", 1), "It is no number"),
        (changed("Line counter", "Affected people", 0), "the card discloses it"),
        (changed("SmolLM2-135M-Instruct", "Data sources", 1), "names, not kinds"),
        (changed("SmolLM2-135M-Instruct", "License", 0), "Apache-2.0"),
        (constant(1), "17 of 36 agree with the key. One answer for all"),
        (constant(0), "19 of 36 agree with the key. One answer for all"),
        (changed("Digit reader", "License", 2), "a score is 0 or 1; got 2"),
        (changed("Digit reader", "License", "yes"), "a score is 0 or 1"),
        (changed("Digit reader", "License", None), NOT_YET),
        ({}, "no score for Developer"),
        ([1, 0], "Give a dictionary"),
    ],
)
def test_answers_on_the_cards(scores: Any, says: str) -> None:
    assert says in check_cards(scores)


def test_true_and_numpys_numbers_are_scores() -> None:
    scores = {
        model: {name: np.bool_(score) for name, score in answers.items()}
        for model, answers in key().items()
    }
    assert check_cards(scores).startswith("Right")


def test_the_cards_are_whole_and_say_what_is_so() -> None:
    cards, questions, answers = card_texts(), card_questions(), card_key()
    assert len(answers) == len(cards) * len(questions) == 36
    assert (answers.groupby("model").indicator.nunique() == len(questions)).all()
    assert set(answers.indicator) == set(questions.index)
    assert answers.reason.str.len().min() > 5
    size = sum(weights.numel() for weights in small_cnn((1, 8, 8)).parameters())
    assert f"{size:,} parameters" in cards["Digit reader"]
    assert "Apache-2.0" in cards["SmolLM2-135M-Instruct"]


def best_twenty(x: np.ndarray) -> np.ndarray:
    return np.argsort(-np.nan_to_num(item_rest_correlation(x), nan=-2))[:20]


@pytest.mark.parametrize(
    ("choose", "says"),
    [
        (lambda x: None, NOT_YET),
        (best_twenty, "Right: the short forms order"),
        (lambda x: range(20), "The same rows every time"),
        (lambda x: np.argsort(-x.sum(1), kind="stable")[:20], "a place lost"),
        (lambda x: np.argsort(x.sum(1), kind="stable")[:20], "a place lost"),
        (lambda x: best_twenty(1 - x)[::-1][:19], "Return 20 different whole numbers"),
        (lambda x: [0] * 20, "Return 20 different"),
        (lambda x: range(90, 110), "Return 20 different"),
        (lambda x: x[:20], "Return 20 different"),
        (lambda x: "all", "Return 20 different"),
        (lambda x: [*map(float, range(20))], "Return 20 different"),
    ],
)
def test_answers_on_the_short_form(choose: Any, says: str) -> None:
    assert says in check_short_form(choose)


def test_luck_does_not_pass_as_a_short_form() -> None:
    for seed in range(3):
        random = np.random.default_rng(seed)
        said = check_short_form(lambda x, r=random: r.permutation(len(x))[:20])
        assert "Inside the rules" in said
