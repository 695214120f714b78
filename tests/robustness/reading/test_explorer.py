"""Does the widget follow sliders and typing, and say in words what was read?"""

import numpy as np
import pytest

from smallscale.notebook import explore
from smallscale.robustness import add_sentences
from smallscale.robustness.reading.dataset import questions
from smallscale.robustness.reading.explorer import (
    covered,
    reading_explorer,
    reading_html,
)
from smallscale.robustness.reading.reader import Reader, train_reader
from smallscale.robustness.reading.readings import Reading
from smallscale.robustness.reading.synthetic_squad import passages
from smallscale.robustness.reading.words import word_places

UNSEEN = passages(10, seed=9, held_out=True)


def reading(text: str, start: list[float], end: list[float]) -> Reading:
    """A reading of words of one letter each, one space apart."""
    places = np.array([(i, i + 1) for i in range(0, 2 * len(start), 2)])
    return Reading(text, places, np.log(start), np.log(end))


class LastWord:
    """Reads the last word but the full stop, and counts what it is asked to read."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self, pairs):
        self.reads += len(pairs)
        found = []
        for passage, _ in pairs:
            places = word_places(passage)
            peak = np.full(len(places), -9.0)
            peak[-2] = 0.0
            found.append(Reading(passage, places, peak, peak))
        return found


def two_questions() -> dict:
    """Where was Ada born, and when did she die? LastWord reads the second right."""
    text = "Ada was born in Tarby. Ada died in 1799."
    where = {"text": "Tarby", "answer_start": 16}
    when = {"text": "1799", "answer_start": 35}
    qas = [
        {"id": "0", "question": "Where was Ada born?", "answers": [where]},
        {"id": "1", "question": "When did Ada die?", "answers": [when]},
    ]
    paragraph = {"context": text, "qas": qas}
    return {"version": "1.1", "data": [{"title": "t", "paragraphs": [paragraph]}]}


def test_the_widget_follows_sliders_and_typing_and_escapes_what_is_typed(
    reader: Reader,
) -> None:
    attacked = add_sentences(UNSEEN, seed=0, candidates=1)
    other = train_reader(passages(30, seed=0), epochs=1, seed=4)
    readers = {"one": reader, "two": other}
    box = explore(*reading_explorer(readers, UNSEEN, attacked, n=3))
    which, who, where, question, passage, view = box.children
    qa = next(qa for qa in questions(UNSEEN) if qa["question"] == question.value)
    sentence = passage.value
    where.value = "nowhere"
    assert sentence.startswith(passage.value)
    where.value = "at the start"
    assert passage.value != sentence
    before = view.value
    who.value = "two"
    assert view.value != before
    which.value = 1
    assert question.value != qa["question"]
    passage.value = "Salt <script>alert(1)</script> & silver"
    assert "<script>" not in view.value
    assert "&lt;</span>" in view.value  # each sign is a word of its own
    assert "&amp;</span>" in view.value
    passage.value = "  "
    assert "Type a passage" in view.value


def test_the_widget_opens_on_a_question_that_only_the_sentence_turns_wrong() -> None:
    data = two_questions()
    attacked = add_sentences(data, seed=0, candidates=1)
    _, sliders = reading_explorer({"last": LastWord()}, data, attacked)
    assert sliders["asked"].value == "When did Ada die?"
    assert len(sliders["question"].options) == 2


def test_the_boxes_hold_the_sentence_where_the_slider_says() -> None:
    data = two_questions()
    attacked = add_sentences(data, seed=0, candidates=1)
    _, sliders = reading_explorer({"last": LastWord()}, data, attacked)
    text = data["data"][0]["paragraphs"][0]["context"]
    at_end = sliders["passage"].value
    sentence = at_end.removeprefix(text + " ")
    assert sentence != at_end
    sliders["sentence"].value = "nowhere"
    assert sliders["passage"].value == text
    sliders["sentence"].value = "at the start"
    assert sliders["passage"].value == f"{sentence} {text}"


def test_a_move_of_a_slider_reads_once() -> None:
    data = two_questions()
    attacked = add_sentences(data, seed=0, candidates=1)
    last = LastWord()
    box = explore(*reading_explorer({"last": last}, data, attacked))
    which, _, where, _, passage, view = box.children
    for slider, value in ((which, 1), (where, "nowhere")):
        before = last.reads
        slider.value = value
        assert last.reads == before + 1
    passage.value = "Ada lived. Salt."
    assert "Read: Salt" in view.value


def test_the_html_says_what_was_read() -> None:
    html = reading_html(
        reading("a b c", [0.1, 0.8, 0.1], [0.6, 0.1, 0.3]), "Which <b>?", ["b c"]
    )
    said = "Read: b c, with probability 0.53. The file says: b c. So this is right."
    assert said in html
    assert "Which &lt;b&gt;?" in html
    assert html.count("outline: 2px") == 2
    # The words by how likely the answer covers them: .22, .8, .67 of .55.
    assert html.count("background: rgba(230, 159, 0, ") == 3
    assert "rgba(230, 159, 0, 0.44)" in html
    assert "</span> <span" in html


@pytest.mark.parametrize(
    ("golds", "verdict"),
    [(["b c"], "right"), (["c d"], "half right"), (["e"], "wrong")],
)
def test_the_verdict_follows_f1(golds: list[str], verdict: str) -> None:
    one = reading("a b c", [0.1, 0.8, 0.1], [0.6, 0.1, 0.3])
    assert f"So this is {verdict}." in reading_html(one, "Which?", golds)


def test_a_word_is_covered_by_every_span_over_it() -> None:
    """By hand for three words; by the plain sum over spans for twenty."""
    one = reading("a b c", [0.1, 0.8, 0.1], [0.6, 0.1, 0.3])
    expected = [0.10 / 0.45, (0.01 + 0.03 + 0.08 + 0.24) / 0.45, 0.30 / 0.45]
    assert covered(one) == pytest.approx(expected)
    rng = np.random.default_rng(0)
    start, end = rng.dirichlet(np.ones(20)), rng.dirichlet(np.ones(20))
    longer = reading(" ".join("w" * 20), list(start), list(end))
    plain = [longer.spans[: k + 1, k:].sum() for k in range(20)]
    assert covered(longer) == pytest.approx(plain)


def test_what_cannot_be_shown_is_refused() -> None:
    data = two_questions()
    attacked = add_sentences(data, seed=0, candidates=1)
    with pytest.raises(ValueError, match="readers must hold at least one reader"):
        reading_explorer({}, data, attacked)
    with pytest.raises(ValueError, match="attacked must be made from dataset"):
        reading_explorer({"last": LastWord()}, UNSEEN, attacked)
