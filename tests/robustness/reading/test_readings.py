"""Does a reading mark spans as it should, and is every question answered?"""

import numpy as np
import pytest

from smallscale.robustness.reading.dataset import questions
from smallscale.robustness.reading.explorer import reading_html
from smallscale.robustness.reading.reader import train_reader
from smallscale.robustness.reading.readings import LONGEST_ANSWER, Reading, answers
from smallscale.robustness.reading.synthetic_squad import passages


def reading(text: str, start: list[float], end: list[float]) -> Reading:
    """A reading of words of one letter each, one space apart."""
    places = np.array([(i, i + 1) for i in range(0, 2 * len(start), 2)])
    return Reading(text, places, np.log(start), np.log(end))


def test_the_likeliest_span_starts_before_it_ends() -> None:
    """start (.1, .8, .1), end (.6, .1, .3).

    Spans: 00 .06, 01 .01, 02 .03, 11 .08, 12 .24, 22 .03, together .45.
    """
    one = reading("a b c", [0.1, 0.8, 0.1], [0.6, 0.1, 0.3])
    (text, p), (second, q) = one.best(2)
    assert (text, second) == ("b c", "b")
    assert p == pytest.approx(0.24 / 0.45)
    assert q == pytest.approx(0.08 / 0.45)
    assert one.spans.sum() == pytest.approx(1)
    assert one.best_span == (1, 2)


def test_the_spans_are_those_of_a_plain_double_loop() -> None:
    rng = np.random.default_rng(0)
    start, end = rng.dirichlet(np.ones(25)), rng.dirichlet(np.ones(25))
    plain = np.zeros((25, 25))
    for i in range(25):
        for j in range(i, min(25, i + LONGEST_ANSWER)):
            plain[i, j] = start[i] * end[j]
    found = reading(" ".join("w" * 25), list(start), list(end)).spans
    np.testing.assert_allclose(found, plain / plain.sum(), atol=1e-12)


def test_an_answer_has_at_most_sixteen_words() -> None:
    text = " ".join("w" * 20)
    start, end = [1.0] + [1e-9] * 19, [1e-9] * 19 + [1.0]
    answer = reading(text, start, end).answer
    assert len(answer.split()) <= LONGEST_ANSWER == 16


def test_an_empty_passage_has_the_empty_answer() -> None:
    model = train_reader(passages(2, seed=0), epochs=1)
    qa = {"id": "e", "question": "Who?", "answers": []}
    empty = {"data": [{"paragraphs": [{"context": " ", "qas": [qa]}]}]}
    assert answers(model, empty) == {"e": ""}
    nothing = reading("", [], [])
    assert nothing.best(3) == []
    assert "no word to read" in reading_html(nothing, "Who?", ["x"])


def test_answers_come_for_every_question_in_the_file_s_order() -> None:
    class Copies:
        """Answers with the question's last word, wherever its batch put it."""

        def read(self, pairs):
            found = []
            for _, question in pairs:
                places = np.array([(0, len(question))])
                found.append(Reading(question, places, np.zeros(1), np.zeros(1)))
            return found

    data = passages(60, seed=3, neighbours=0.5)  # more than are read at once
    asked = {qa["id"]: qa["question"] for qa in questions(data)}
    found = answers(Copies(), data)
    assert found == asked
    assert list(found) == list(asked)
