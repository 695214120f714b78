"""Are right answers to the exercises told from wrong ones, and wrong ones told why?"""

import re
from collections import Counter

import numpy as np
import pytest

from smallscale.datasets.squad_scores import f1, normalize_answer
from smallscale.robustness import add_sentences
from smallscale.robustness.reading.dataset import asked, gold_texts, union
from smallscale.robustness.reading.exercises import (
    F1_CASES,
    TRIES_CASES,
    _may_mean_subject,
    check_f1,
    check_sentences,
    check_tries,
)
from smallscale.robustness.reading.reader import Reader, train_reader
from smallscale.robustness.reading.readings import answers
from smallscale.robustness.reading.scores import score_table
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
    for pronoun in ("She", "It"):
        text = f"{pronoun} was lost in Nowhere."
        assert "somebody else" in told(lambda p, q, a, text=text: text)
    assert "holds the answer" in told(lambda p, q, a: f"It is {a}.")
    assert "at most 20 words" in told(lambda p, q, a: "so " * 30)
    assert "at most 20 words" in told(lambda p, q, a: 7)
    assert "somebody else" in told(lambda p, q, a: f"{q.rstrip('?')} in Nowhere.")
    assert "at most 20 words" in told(lambda p, q, a: "-".join(["so"] * 30))
    assert told(lambda p, q, a: "No.", beat=101).startswith("Right")
    # One sentence for all, or none, is inside the rules and does no harm.
    for lazy in ("", "Nobody knows."):
        assert "Inside the rules" in told(lambda p, q, a, lazy=lazy: lazy, beat=0)


@pytest.mark.parametrize(
    ("text", "unclear"),
    [
        ("Ada was born in Rome.", "Ada"),
        ("Rome was the home of Berg.", "Berg"),
        ("Otto Moor came, and she was born in Rome.", "she"),
        ("Ada Moor was born in Rome.", ""),
        ("Where was Otto Berg born? Rome.", ""),
        ("Nobody knows.", ""),
    ],
)
def test_a_part_of_a_name_or_a_pronoun_may_mean_the_subject(
    text: str, unclear: str
) -> None:
    assert _may_mean_subject(text, "Where was Ada Berg born?") == unclear


FAKES = {  # two, for one may be the right answer
    "who": ("Clara Brunsen", "Hugo Drelberg"),
    "how many": ("57", "23,400"),
    "when|year": ("1833", "1724"),
    "profession|work as": ("a tailor", "a cooper"),
    "where|town|birthplace|neighbour|port": ("Vornwick", "Hulmdorf"),
    "": ("butter", "timber"),
}


def question_of_another(passage: str, question: str, answer: str) -> str:
    """Return a good answer to the exercise: the same question, of somebody else."""
    words = question.rstrip("?").split()
    names = [i for i, word in enumerate(words) if i > 0 and word[0].isupper()]
    is_person = len(names) == 2 and words[names[0] - 1] != "the"
    words[names[-1] if is_person else names[0]] = "Holdmouth"
    asked_for = next(pattern for pattern in FAKES if re.search(pattern, question, re.I))
    fakes = [fake for fake in FAKES[asked_for] if fake != answer]
    return f"{' '.join(words)}? {fakes[0]}."


def test_a_good_answer_reaches_the_goal_and_lazy_ones_do_not() -> None:
    train = passages(300, seed=0)
    patch = add_sentences(train, seed=0, candidates=1, fakes="fixed")
    patched = train_reader(union(train, patch), steps=250, seed=0)
    test = passages(20, seed=1000, held_out=True)
    one = add_sentences(test, seed=0, candidates=1)
    ours = score_table({"patched": patched}, {"ours": one}).f1[0]

    def told(attack) -> str:
        return check_sentences(attack, patched, test, beat=ours - 10)

    assert told(question_of_another).startswith("Right")
    fakes = [fake for two in FAKES.values() for fake in two if fake[0].islower()]
    for lazy in ("", "Nobody knows.", "Otto Holdmouth.", " ".join(fakes)):
        assert "Inside the rules" in told(lambda p, q, a, lazy=lazy: lazy)


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
