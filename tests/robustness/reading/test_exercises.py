"""Are right answers to the exercises told from wrong ones, and wrong ones told why?"""

from collections import Counter

import numpy as np
import pytest

from smallscale.robustness.reading.dataset import asked, gold_texts
from smallscale.robustness.reading.exercises import (
    F1_CASES,
    TRIES_CASES,
    check_f1,
    check_sentences,
    check_tries,
)
from smallscale.robustness.reading.reader import Reader
from smallscale.robustness.reading.readings import answers
from smallscale.robustness.reading.squad import f1, normalize_answer
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


def counted(prediction: str, gold: str) -> tuple[float, float]:
    """Return precision and recall of the normalised words."""
    said = Counter(normalize_answer(prediction).split())
    wanted = Counter(normalize_answer(gold).split())
    common = (said & wanted).total()
    return common / max(said.total(), 1), common / max(wanted.total(), 1)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda p, g: counted(p, g)[0], "2 * 0.5 * 1"),  # precision
        (lambda p, g: counted(p, g)[1], "none is missing"),  # recall
        (lambda p, g: sum(counted(p, g)) / 2, "1.5"),  # the plain mean
        (lambda p, g: normalize_answer(p) == normalize_answer(g), "right"),
        (lambda p, g: p == g, "Normalise first"),
        (lambda p, g: f1(p.lower(), [g.lower()]) if p == g else 0.5, "must give 0"),
        (lambda p, g: 1.0, "must give 0"),  # one number for all
        (lambda p, g: {"Ada Berg": 1.0}.get(p, 0.0), "Normalise first"),  # a list
    ],
)
def test_a_wrong_f1_is_told_why(wrong, told: str) -> None:
    assert told in check_f1(wrong)


def test_independent_tries_are_right_or_told_what_they_overlook() -> None:
    assert check_tries(lambda right, tries: None) == "Not answered yet."
    assert check_tries(lambda right, tries: right**tries).startswith("Right")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda right, tries: right, "further try"),
        (lambda right, tries: 1 - (1 - right) ** tries, "all must"),
        (lambda right, tries: 1 - right**tries, "what is left"),
        (lambda right, tries: right / tries, "do not divide"),
        (lambda right, tries: 1 / (tries + 1), "fixed taste"),
        (lambda right, tries: 1 - tries * (1 - right), "less is left"),
        (lambda right, tries: 0.5**tries, "first try"),  # a coin, whatever is given
        (lambda right, tries: 0.03, "first try"),  # one number for all
        (lambda right, tries: {0.5: 0.5}.get(right, 0.0), "first try"),  # a list
    ],
)
def test_a_wrong_idea_of_the_tries_is_told_why(wrong, told: str) -> None:
    assert told in check_tries(wrong)
    assert any(wrong(*case) != case.right**case.tries for case in TRIES_CASES)


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
    assert "somebody else" in told(lambda p, q, a: f"{q.rstrip('?')} in Nowhere.")
    assert "at most 20 words" in told(lambda p, q, a: "-".join(["so"] * 30))
    assert told(lambda p, q, a: "No.", beat=101).startswith("Right")
    # One sentence for all, or none, is inside the rules and does no harm.
    for lazy in ("", "Nobody knows."):
        assert "Inside the rules" in told(lambda p, q, a, lazy=lazy: lazy, beat=0)


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
