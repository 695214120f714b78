"""What makes a reader change its mind? A widget: edit the passage or the question, see the answer and its rivals."""

from collections.abc import Mapping
from html import escape
from typing import Any

import ipywidgets as widgets
import numpy as np

from smallscale.robustness.distractors import original_id
from smallscale.robustness.reading import Reading, Reads, answers
from smallscale.robustness.squad import Dataset, f1, gold_texts, paragraphs

RIVALS = 5  # spans shown
PLACES = ("nowhere", "at the end", "at the start")


def reading_explorer(readers: Mapping[str, Reads], dataset: Dataset, attacked: Dataset, *, n: int = 12) -> widgets.VBox:
    """A widget: choose a question, a reader, and where the misleading sentence stands; or edit the texts by hand.

    readers: by name. dataset, attacked: passages, and the same from `add_sentences`, at the end. The first n questions
    of attacked that the first reader gets wrong only because of the sentence come first; it opens on one of these.
    Raises ValueError where readers is empty or attacked has no question of dataset.
    """
    if not readers:
        raise ValueError("readers must hold at least one reader, by name")
    plain = {qa["id"]: (p["context"], qa) for p in paragraphs(dataset) for qa in p["qas"]}
    pairs = [(*plain[original_id(qa["id"])], p["context"]) for p in paragraphs(attacked) for qa in p["qas"]
             if original_id(qa["id"]) in plain]  # fmt: skip
    if not pairs:
        raise ValueError("attacked must be made from dataset with add_sentences; no question of it is there")
    pairs = _misled_first(next(iter(readers.values())), pairs[: 20 * n])[:n]
    wide = {"style": {"description_width": "5em"}, "layout": widgets.Layout(width="min(100%, 46em)")}
    which = widgets.SelectionSlider(
        options=[(f"{i + 1}: {qa['question']}", i) for i, (_, qa, _) in enumerate(pairs)],
        description="question",
        **wide,
    )
    who = widgets.SelectionSlider(options=list(readers), description="reader", **wide)
    where = widgets.SelectionSlider(options=PLACES, value=PLACES[1], description="sentence", **wide)
    question = widgets.Text(description="asked", continuous_update=True, **wide)
    passage = widgets.Textarea(description="passage", rows=5, continuous_update=True, **wide)
    view = widgets.HTML()

    def show(_: Any = None) -> None:
        golds = gold_texts(pairs[which.value][1])
        if not passage.value.strip() or not question.value.strip():
            view.value = "<p><strong>Type a passage and a question.</strong></p>"
            return
        (reading,) = readers[who.value].read([(passage.value, question.value)])
        view.value = scene(reading, question.value, golds)

    def fill(_: Any = None) -> None:
        context, qa, longer = pairs[which.value]
        sentence = longer[len(context) :].strip()
        texts = {PLACES[0]: context, PLACES[1]: longer, PLACES[2]: f"{sentence} {context}"}
        for box in (passage, question):
            box.unobserve(show, names="value")
        passage.value, question.value = texts[where.value], qa["question"]
        for box in (passage, question):
            box.observe(show, names="value")
        show()

    for control, react in ((which, fill), (where, fill), (who, show)):
        control.observe(react, names="value")
    fill()
    return widgets.VBox([which, who, where, question, passage, view])


def _misled_first(reader: Reads, pairs: list[Any]) -> list[Any]:
    """The pairs (passage, question, longer passage), those first that only the added sentence turns wrong."""
    asked = [qa for _, qa, _ in pairs]
    right = []
    for texts in ([context for context, *_ in pairs], [longer for *_, longer in pairs]):
        data = [
            {"context": t, "qas": [{**qa, "id": str(i)}]} for i, (t, qa) in enumerate(zip(texts, asked, strict=True))
        ]
        read = answers(reader, {"data": [{"paragraphs": data}]})
        right.append([f1(read[str(i)], gold_texts(qa)) > 0.5 for i, qa in enumerate(asked)])
    order = sorted(range(len(pairs)), key=lambda i: not (right[0][i] and not right[1][i]))
    return [pairs[i] for i in order]


def scene(reading: Reading, question: str, golds: list[str]) -> str:
    """The reading as HTML: a sentence, the passage shaded by how likely each word is part of the answer, the rivals.

    Every text is escaped. The likeliest answer is framed, so that no meaning hangs on colour alone.
    """
    best = reading.best(RIVALS)
    if not best:
        return "<p><strong>There is no word to read in this passage.</strong></p>"
    answer, p = best[0]
    verdict = "right" if f1(answer, golds) == 1 else "half right" if f1(answer, golds) > 0 else "wrong"
    sentence = f"Read: {answer}, with probability {p:.2f}. The file says: {golds[0]}. So this is {verdict}."
    i, j = np.unravel_index(reading.spans.argmax(), reading.spans.shape)
    words, last = [], 0
    for k, ((a, b), share) in enumerate(zip(reading.places.tolist(), covered(reading), strict=True)):
        frame = "outline: 2px solid currentColor; outline-offset: 1px; " if i <= k <= j else ""
        tint = f"background: rgba(230, 159, 0, {0.55 * share:.2f})" if share >= 0.01 else ""
        style = f' style="{frame}{tint}"' if frame or tint else ""
        words.append(escape(reading.passage[last:a]) + f"<span{style}>{escape(reading.passage[a:b])}</span>")
        last = b
    left = 'style="text-align: left"'
    rows = "".join(
        f"<tr><td {left}>{escape(text)}</td><td>{q:.2f}</td>"
        f'<td {left}><div style="width: {160 * q:.0f}px; height: 0.7em; background: #0072B2"></div></td></tr>'
        for text, q in best
    )
    heading = f"<tr><th {left}>likeliest answers to: {escape(question)}</th><th>probability</th><th></th></tr>"
    return (
        '<div style="color: var(--jp-ui-font-color1, currentColor); max-width: 46em">'
        f"<p><strong>{escape(sentence)}</strong></p>"
        f'<p style="max-height: 14em; overflow: auto; line-height: 1.7">{"".join(words)}'
        f"{escape(reading.passage[last:])}</p><table>{heading}{rows}</table>"
        "<p>Shaded: how likely a word is part of the answer. Framed: the answer.</p></div>"
    )


def covered(reading: Reading) -> np.ndarray:
    """(words,): the probability that the answer covers each word."""
    starts, ends = reading.spans.sum(1), reading.spans.sum(0)
    return np.cumsum(starts) - np.concatenate([[0.0], np.cumsum(ends)[:-1]])
