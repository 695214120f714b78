"""Does the table of scores agree with the official ones?"""

import numpy as np
import pytest

from smallscale.robustness import add_sentences, score_squad, worst_of
from smallscale.robustness.reading.dataset import questions
from smallscale.robustness.reading.reader import Reader
from smallscale.robustness.reading.readings import answers
from smallscale.robustness.reading.scores import (
    _bootstrap_interval,
    same_questions,
    score_table,
)
from smallscale.robustness.reading.synthetic_squad import passages

UNSEEN = passages(10, seed=9, held_out=True)


def test_scores_agree_with_the_official_ones(reader: Reader) -> None:
    attacked = add_sentences(UNSEEN, seed=0, candidates=3)
    table = score_table({"r": reader}, {"plain": UNSEEN, "worst": attacked})
    assert table.f1[0] == pytest.approx(
        score_squad(UNSEEN, answers(reader, UNSEEN))["f1"]
    )
    assert table.f1[1] == pytest.approx(
        worst_of(attacked, answers(reader, attacked))["f1"]
    )
    assert (table.low <= table.f1).all()
    assert (table.f1 <= table.high).all()
    assert list(table.n) == [50, 50]


def test_tests_are_compared_on_the_questions_that_all_of_them_have() -> None:
    ids = [qa["id"] for qa in questions(UNSEEN)]
    attacked = add_sentences(UNSEEN, seed=0, candidates=2)
    for paragraph in attacked["data"][0]["paragraphs"][:6]:
        paragraph["qas"] = []  # three questions, each with two candidates
    other = add_sentences(UNSEEN, seed=0, candidates=1)
    other["data"][0]["paragraphs"].pop()
    alike = same_questions({"plain": UNSEEN, "two": attacked, "one": other})
    kept = [id_ for id_ in ids[3:] if id_ != ids[len(ids) - 1]]
    assert [qa["id"] for qa in questions(alike["plain"])] == kept
    assert [qa["id"] for qa in questions(alike["one"])] == [f"{i}-adv0" for i in kept]
    assert len(list(questions(alike["two"]))) == 2 * len(kept)
    assert len(list(questions(UNSEEN))) == len(ids)  # the input stays
    assert same_questions({}) == {}


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide() -> None:
    """400 scores, half of them 1: the standard error is .5 / 20."""
    scores = np.repeat([0.0, 1.0], 200)
    low, high = _bootstrap_interval(scores, 0)
    assert low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.01)
    assert high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.01)
    assert _bootstrap_interval(scores, 0) == (low, high)
    assert _bootstrap_interval(scores, 1) != (low, high)


def test_a_test_without_questions_is_refused_and_named(reader: Reader) -> None:
    with pytest.raises(ValueError, match="test 'none' has no question"):
        score_table({"r": reader}, {"none": {"data": []}})
