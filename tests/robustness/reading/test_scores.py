"""Does the table of scores agree with the official ones?"""

import numpy as np
import pandas as pd
import pytest

from smallscale.robustness import add_sentences, score_squad, worst_of
from smallscale.robustness.reading.addsent import original_id
from smallscale.robustness.reading.dataset import questions
from smallscale.robustness.reading.reader import Reader
from smallscale.robustness.reading.readings import answers
from smallscale.robustness.reading.scores import (
    _bootstrap_interval,
    drawn_questions,
    mean_interval,
    over_seeds,
    same_questions,
    score_table,
    scores_by_seed,
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


def test_each_reader_is_scored_on_the_tests_of_its_own_seed(reader: Reader) -> None:
    other = passages(10, seed=8, held_out=True)
    readers = {("r", 3): reader, ("r", 4): reader}
    scores = scores_by_seed(readers, {3: {"t": UNSEEN}, 4: {"t": other}})
    assert list(scores.columns[:3]) == ["reader", "seed", "test"]
    assert list(scores.seed) == [3, 4]
    for row, dataset in zip(scores.itertuples(), (UNSEEN, other), strict=True):
        assert row.f1 == score_table({"r": reader}, {"t": dataset}).f1[0]


def test_over_seeds_is_the_mean_with_student_s_interval() -> None:
    """60, 70, 80: mean 70, s = 10, t = 4.303 with two degrees of freedom."""
    scores = pd.DataFrame(
        {
            "reader": "r",
            "seed": [0, 1, 2],
            "test": "t",
            "f1": [60.0, 70.0, 80.0],
            "low": 0.0,
            "high": 100.0,
        }
    )
    row = over_seeds(scores).iloc[0]
    half = 4.3027 * 10 / 3**0.5
    assert row.f1 == 70
    assert [row.low, row.high] == pytest.approx([70 - half, 70 + half], abs=1e-3)
    assert row.seeds == 3
    near_the_top = over_seeds(scores.assign(f1=[99.0, 100.0, 92.0])).iloc[0]
    assert near_the_top.high == 100
    alone = over_seeds(scores[:1].assign(low=55.0, high=66.0)).iloc[0]
    assert (alone.low, alone.high, alone.seeds) == (55, 66, 1)
    with pytest.raises(ValueError, match="two or more numbers; got 1"):
        mean_interval(np.array([1.0]))


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


def test_the_questions_drawn_are_the_same_in_every_test() -> None:
    clean = passages(6, seed=0)
    attacked = add_sentences(clean, seed=0, candidates=2)
    tests = {"clean": clean, "AddSent": attacked}
    drawn = drawn_questions(tests, 5, seed=3)
    ids = {
        name: {original_id(qa["id"]) for qa in questions(t)}
        for name, t in drawn.items()
    }
    assert ids["clean"] == ids["AddSent"]
    assert len(ids["clean"]) == 5
    reordered = drawn_questions(dict(reversed(tests.items())), 5, seed=3)
    assert reordered["clean"] == drawn["clean"]
    assert drawn_questions(tests, 5, seed=4)["clean"] != drawn["clean"]
    assert drawn_questions(tests, 1000, seed=3) == same_questions(tests)
    with pytest.raises(ValueError, match="n must be"):
        drawn_questions(tests, 0, seed=3)
