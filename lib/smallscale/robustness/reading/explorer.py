"""What makes a reader change its mind? A widget in which the texts can be edited."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import ipywidgets as widgets
import numpy as np

from smallscale.core.templates import template
from smallscale.core.validation import require
from smallscale.notebook.explorer import Explorer
from smallscale.robustness.reading.addsent import original_id
from smallscale.robustness.reading.dataset import Dataset, asked, gold_texts
from smallscale.robustness.reading.readings import Pair, ReaderLike, Reading
from smallscale.robustness.reading.squad import f1
from smallscale.robustness.reading.words import Array

PAGE = template("robustness/reading/reading.html.j2")
ANSWERS_SHOWN = 5
SEARCHED = 20  # questions that are tried for each one that is shown
# Where the misleading sentence may stand.
NOWHERE = "nowhere"
AT_THE_END = "at the end"
AT_THE_START = "at the start"


class Attacked(NamedTuple):
    """A question, its passage as it was, and with a misleading sentence at the end."""

    question: str
    golds: list[str]
    plain: str
    longer: str

    def passage(self, place: str) -> str:
        """Return the passage with the sentence in this place."""
        sentence = self.longer[len(self.plain) :].strip()
        with_sentence = {
            NOWHERE: self.plain,
            AT_THE_END: self.longer,
            AT_THE_START: f"{sentence} {self.plain}",
        }
        return with_sentence[place]


def reading_explorer(
    readers: Mapping[str, ReaderLike],
    dataset: Dataset,
    attacked: Dataset,
    *,
    n: int = 12,
) -> Explorer:
    """Return what `explore` takes: see what a reader answers, and edit what it reads.

    One chooses a question, a reader, and where the misleading sentence stands, or edits
    the texts by hand.

    readers: by name. dataset, attacked: passages, and the same from `add_sentences`, at
    the end. n: the questions to choose from. First come those that the first reader
    gets wrong only because of the sentence; it opens on one of these.
    Raises ValueError where readers is empty or attacked has no question of dataset.
    """
    require(readers, "readers must hold at least one reader, by name")
    shown = _questions_to_show(next(iter(readers.values())), dataset, attacked, n)
    names = [(f"{i + 1}: {each.question}", i) for i, each in enumerate(shown)]
    which = widgets.SelectionSlider(options=names)
    who = widgets.SelectionSlider(options=list(readers))
    where = widgets.SelectionSlider(
        options=[NOWHERE, AT_THE_END, AT_THE_START], value=AT_THE_END
    )
    question = widgets.Text()
    passage = widgets.Textarea(rows=5)

    def fill(_: object = None) -> None:
        """Write the chosen texts into the boxes; both are read together, once."""
        chosen = shown[which.value]
        with question.hold_trait_notifications(), passage.hold_trait_notifications():
            question.value = chosen.question
            passage.value = chosen.passage(where.value)

    @lru_cache(maxsize=64)  # a slider and the box that it fills ask for the same page
    def page(i: int, reader_name: str, asked_for: str, text: str) -> str:
        if not (text.strip() and asked_for.strip()):
            return "<p><strong>Type a passage and a question.</strong></p>"
        (reading,) = readers[reader_name].read([Pair(text, asked_for)])
        return reading_html(reading, asked_for, shown[i].golds)

    def scene(i: int, reader_name: str, _: str, asked_for: str, text: str) -> str:
        return page(i, reader_name, asked_for, text)

    # Observers are called in this order: the boxes are filled before the page is drawn.
    which.observe(fill, names="value")
    where.observe(fill, names="value")
    fill()
    controls = {
        "question": which,
        "reader": who,
        "sentence": where,
        "asked": question,
        "passage": passage,
    }
    return scene, controls


def _questions_to_show(
    reader: ReaderLike, dataset: Dataset, attacked: Dataset, n: int
) -> list[Attacked]:
    """Return n questions, first those that only the sentence turns wrong."""
    plain = {qa["id"]: context for context, qa in asked(dataset)}
    found: list[Attacked] = []
    for longer, qa in asked(attacked):
        context = plain.get(original_id(qa["id"]))
        if context is not None and len(found) < SEARCHED * n:
            found.append(Attacked(qa["question"], gold_texts(qa), context, longer))
    require(
        found,
        "attacked must be made from dataset by add_sentences; it has no question of it",
    )
    misled = _misled(reader, found)
    order = sorted(range(len(found)), key=lambda i: not misled[i])
    return [found[i] for i in order[:n]]


def _misled(reader: ReaderLike, questions: Sequence[Attacked]) -> list[bool]:
    """Return for each question whether only the sentence turns the answer wrong."""
    misled = []
    for each in questions:
        before, after = reader.read(
            [Pair(each.plain, each.question), Pair(each.longer, each.question)]
        )
        was_right = f1(before.answer, each.golds) > 0.5
        is_wrong = f1(after.answer, each.golds) <= 0.5
        misled.append(was_right and is_wrong)
    return misled


class ShownWord(NamedTuple):
    """A word as the page shows it: gap is the text between it and the word before."""

    gap: str
    text: str
    share: float
    in_answer: bool


def reading_html(reading: Reading, question: str, golds: list[str]) -> str:
    """Return a reading as HTML: a sentence, the shaded passage, the likeliest answers.

    A word is shaded by how likely it is part of the answer. The likeliest answer is
    framed, so that no meaning hangs on colour alone. Every text is escaped.
    """
    best = reading.best(ANSWERS_SHOWN)
    if not best:
        return "<p><strong>There is no word to read in this passage.</strong></p>"
    answer, probability = best[0]
    score = f1(answer, golds)
    verdict = "right" if score == 1 else "half right" if score > 0 else "wrong"
    words = _shown_words(reading)
    return str(
        PAGE.render(
            sentence=(
                f"Read: {answer}, with probability {probability:.2f}. The file says: "
                f"{golds[0]}. So this is {verdict}."
            ),
            words=words,
            rest=reading.passage[int(reading.places[-1, 1]) :],
            question=question,
            best=best,
        )
    )


def _shown_words(reading: Reading) -> list[ShownWord]:
    first, last = reading.best_span
    shares = covered(reading).tolist()
    words = []
    end_before = 0
    for i, (start, end) in enumerate(reading.places.tolist()):
        gap = reading.passage[end_before:start]
        text = reading.passage[start:end]
        words.append(ShownWord(gap, text, shares[i], first <= i <= last))
        end_before = end
    return words


def covered(reading: Reading) -> Array:
    """Return (words,): the probability that the answer covers each word.

        covered[k] = sum of p(i, j) over i <= k <= j

    In words: the spans that have started up to here, less those that ended before.
    """
    started = np.cumsum(reading.spans.sum(1))
    ended = np.cumsum(reading.spans.sum(0))
    ended_before = np.concatenate([[0.0], ended[:-1]])
    return np.asarray(started - ended_before)
