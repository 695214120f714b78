"""Does the table of scores agree with the official ones?"""

import numpy as np
import pytest

from smallscale.robustness import add_sentences, score_squad, worst_of
from smallscale.robustness.reading.reader import Reader
from smallscale.robustness.reading.readings import answers
from smallscale.robustness.reading.scores import _bootstrap_interval, score_table
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
