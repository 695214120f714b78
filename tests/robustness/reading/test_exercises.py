"""Are right answers to the exercises told from wrong ones, and wrong ones told why?"""

import numpy as np
import pytest

from smallscale.robustness.reading.dataset import asked, gold_texts
from smallscale.robustness.reading.exercises import (
    F1_CASES,
    check_f1,
    check_sentences,
)
from smallscale.robustness.reading.reader import Reader
from smallscale.robustness.reading.readings import answers
from smallscale.robustness.reading.squad import f1
from smallscale.robustness.reading.synthetic_squad import passages

UNSEEN = passages(10, seed=9, held_out=True)


def test_f1_is_right_or_told_what_it_overlooks() -> None:
    assert check_f1(lambda prediction, gold: None) == "Not answered yet."
    assert check_f1(lambda prediction, gold: f1(prediction, [gold])).startswith("Right")
    assert "Normalise first" in check_f1(
        lambda p, g: f1(p, [g]) if "!" not in p else 0.5
    )
    assert "repeats" in check_f1(
        lambda p, g: f1(" ".join(dict.fromkeys(p.split())), [g])
    )


@pytest.mark.parametrize("case", F1_CASES)
def test_each_case_is_checked_and_has_its_hint(case) -> None:
    def wrong_here(prediction: str, gold: str) -> float:
        score = f1(prediction, [gold])
        return score + 0.01 if (prediction, gold) == case[:2] else score

    told = check_f1(wrong_here)
    assert told.startswith(f"For {case.prediction!r} against {case.gold!r} you have")
    assert told.endswith(case.hint)


def test_sentences_are_within_the_rules_or_told_which_one_they_break(
    reader: Reader,
) -> None:
    def told(attack, beat: float = 50) -> str:
        return check_sentences(attack, reader, UNSEEN, beat=beat)

    assert told(lambda *_: None) == "Not answered yet."
    assert "holds the answer" in told(lambda p, q, a: f"It is {a}.")
    assert "at most 20 words" in told(lambda p, q, a: "so " * 30)
    assert "at most 20 words" in told(lambda p, q, a: 7)
    assert told(lambda p, q, a: "No.", beat=101).startswith("Right")


def test_the_f1_that_is_told_is_the_reader_s_on_the_longer_passages(
    reader: Reader,
) -> None:
    longer = [
        {"context": f"{context} No.", "qas": [qa]} for context, qa in asked(UNSEEN)
    ]
    read = answers(reader, {"version": "1.1", "data": [{"paragraphs": longer}]})
    scores = [f1(read[qa["id"]], gold_texts(qa)) for _, qa in asked(UNSEEN)]
    mean = 100 * np.mean(scores)
    assert 0 < mean < 99
    told = check_sentences(lambda p, q, a: "No.", reader, UNSEEN, beat=0)
    assert told.endswith(f"F1 is {mean:.0f}, and the goal is below 0.")
