"""What makes a reader change its mind? A widget: edit the passage or the question, see the answer and its rivals."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import ipywidgets as widgets
import numpy as np

from smallscale.robustness.reading.addsent import original_id
from smallscale.robustness.reading.reader import Reading, Reads
from smallscale.robustness.reading.squad import Dataset, Question, asked, f1, gold_texts

SCENE = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
RIVALS = 5  # spans shown
PLACES = ("nowhere", "at the end", "at the start")


def reading_explorer(
    readers: Mapping[str, Reads], dataset: Dataset, attacked: Dataset, *, n: int = 12
) -> widgets.VBox:
    """A widget: choose a question, a reader, and where the misleading sentence stands; or edit the texts by hand.

    readers: by name. dataset, attacked: passages, and the same from `add_sentences`, at the end. The first n questions
    of attacked that the first reader gets wrong only because of the sentence come first; it opens on one of these.
    Raises ValueError where readers is empty or attacked has no question of dataset.
    """
    if not readers:
        raise ValueError("readers must hold at least one reader, by name")
    plain = {qa["id"]: (context, qa) for context, qa in asked(dataset)}
    originals = [(original_id(qa["id"]), longer) for longer, qa in asked(attacked)]
    pairs = [(*plain[id_], longer) for id_, longer in originals if id_ in plain][
        : 20 * n
    ]
    if not pairs:
        raise ValueError(
            "attacked must be made from dataset with add_sentences; no question of it is there"
        )
    first = next(iter(readers.values()))
    pairs = sorted(pairs, key=lambda pair: not _misled(first, *pair))[:n]
    wide = {
        "style": {"description_width": "5em"},
        "layout": widgets.Layout(width="min(100%, 46em)"),
    }
    options = [(f"{i + 1}: {qa['question']}", i) for i, (_, qa, _) in enumerate(pairs)]
    which = widgets.SelectionSlider(options=options, description="question", **wide)
    who = widgets.SelectionSlider(options=list(readers), description="reader", **wide)
    where = widgets.SelectionSlider(
        options=PLACES, value=PLACES[1], description="sentence", **wide
    )
    question = widgets.Text(description="asked", continuous_update=True, **wide)
    passage = widgets.Textarea(
        description="passage", rows=5, continuous_update=True, **wide
    )
    view = widgets.HTML()

    def show(_: Any = None) -> None:
        if passage.value.strip() and question.value.strip():
            (reading,) = readers[who.value].read([(passage.value, question.value)])
            view.value = scene(
                reading, question.value, gold_texts(pairs[which.value][1])
            )
        else:
            view.value = "<p><strong>Type a passage and a question.</strong></p>"

    def fill(_: Any = None) -> None:
        context, qa, longer = pairs[which.value]
        texts = context, longer, f"{longer[len(context) :].strip()} {context}"
        with view.hold_sync(), passage.hold_sync():
            passage.value, question.value = (
                "",
                qa["question"],
            )  # so that both are read together, once
            passage.value = texts[where.index]

    for control, react in (
        (which, fill),
        (where, fill),
        (who, show),
        (question, show),
        (passage, show),
    ):
        control.observe(react, names="value")
    fill()
    return widgets.VBox([which, who, where, question, passage, view])


def _misled(reader: Reads, context: str, qa: Question, longer: str) -> bool:
    """Whether only the longer passage turns the answer wrong."""
    readings = reader.read([(context, qa["question"]), (longer, qa["question"])])
    before, after = (f1(reading.answer, gold_texts(qa)) for reading in readings)
    return before > 0.5 >= after


def scene(reading: Reading, question: str, golds: list[str]) -> str:
    """The reading as HTML: a sentence, the passage shaded by how likely each word is part of the answer, the rivals.

    Every text is escaped. The likeliest answer is framed, so that no meaning hangs on colour alone.
    """
    best = reading.best(RIVALS)
    if not best:
        return "<p><strong>There is no word to read in this passage.</strong></p>"
    answer, p = best[0]
    verdict = (
        "right"
        if f1(answer, golds) == 1
        else "half right"
        if f1(answer, golds) > 0
        else "wrong"
    )
    sentence = f"Read: {answer}, with probability {p:.2f}. The file says: {golds[0]}. So this is {verdict}."
    i, j = np.unravel_index(reading.spans.argmax(), reading.spans.shape)
    words, last = "", 0
    for k, ((a, b), share) in enumerate(
        zip(reading.places.tolist(), covered(reading), strict=True)
    ):
        frame = (
            "outline: 2px solid currentColor; outline-offset: 1px; "
            if i <= k <= j
            else ""
        )
        tint = (
            f"background: rgba(230, 159, 0, {0.55 * share:.2f})"
            if share >= 0.01
            else ""
        )
        style = f' style="{frame}{tint}"' if frame or tint else ""
        words += (
            escape(reading.passage[last:a])
            + f"<span{style}>{escape(reading.passage[a:b])}</span>"
        )
        last = b
    words += escape(reading.passage[last:])
    row = '<tr><td style="text-align: left">{}</td><td>{:.2f}</td><td><meter value="{:.3f}"></meter></td></tr>'
    rows = "".join(row.format(escape(text), q, q) for text, q in best)
    return SCENE.substitute(
        sentence=escape(sentence), words=words, question=escape(question), rows=rows
    )


def covered(reading: Reading) -> np.ndarray:
    """(words,): the probability that the answer covers each word."""
    starts, ends = reading.spans.sum(1), reading.spans.sum(0)
    return np.cumsum(starts) - np.concatenate([[0.0], np.cumsum(ends)[:-1]])
