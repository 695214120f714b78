"""Who is paid what for this completion, and why? A widget: one completion, one rule, the text and its creditors.

Every token's value was computed beforehand. Moving a slider only writes HTML. The texts may come from anybody:
each piece is escaped before it is shown.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets
import numpy as np
from tokenizers import ByteLevelBPETokenizer

from smallscale.attribution.language import Counts
from smallscale.attribution.payments import payouts

# Okabe and Ito's colours; each author also has a number, so no meaning hangs on colour alone.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")

WIDTH, ROW, LABEL = 760, 24, 150  # the SVG's units: all, one author's bar, the names' column
REASONS = 3


def statement_explorer(
    tokenizer: ByteLevelBPETokenizer,
    windows: np.ndarray,
    prompt: int,
    names: Sequence[str],
    values: Mapping[str, np.ndarray],
    counts: Counts,
    *,
    pot: int = 100,
) -> widgets.VBox:
    """A widget: choose a completion and a rule; see the text by creditor, the payments in cents, and the reasons.

    windows: (n, length) tokens, the first `prompt` given; values: rule -> (authors, T) the value of every token after
    the prompts, T = n * (length - prompt); counts: of the same T tokens. The first rule is the one it opens with, at
    the completion on which the rules differ most about who is paid. pot: cents for each completion.
    Raises ValueError where shapes differ.
    """
    shape = (len(names), windows.size - len(windows) * prompt)
    for rule, found in values.items():
        if found.shape != shape or counts.hits.shape[0::2] != shape:
            raise ValueError(f"values and counts must be (authors, T) = {shape}; got {found.shape} for {rule}")
    by_token = {rule: found.reshape(len(names), len(windows), -1) for rule, found in values.items()}
    cents = {rule: [payouts(found[:, j].mean(1), pot) for j in range(len(windows))] for rule, found in by_token.items()}
    wide = {"style": {"description_width": "7em"}, "layout": widgets.Layout(width="min(100%, 36em)")}
    # Two sliders: left and right move them, while JupyterLab keeps a drop-down's up and down for itself.
    which = widgets.SelectionSlider(
        options=[(f"{j + 1} of {len(windows)}", j) for j in range(len(windows))],
        value=_most_disputed(list(cents.values())),
        description="completion",
        **wide,
    )
    by = widgets.SelectionSlider(options=list(values), description="paid by", **wide)
    view = widgets.HTML()

    def show(_: Any = None) -> None:
        j, rule = which.value, by.value
        others = {other: paid[j] for other, paid in cents.items() if other != rule}
        hits = counts.hits.reshape(len(names), counts.hits.shape[1], len(windows), -1)[:, :, j]
        pieces = [tokenizer.decode([int(token)]) for token in windows[j]]
        view.value = scene(pieces, prompt, names, by_token[rule][:, j], cents[rule][j], hits, rule, others)

    which.observe(show, names="value")
    by.observe(show, names="value")
    show()
    return widgets.VBox([which, by, view])


def _most_disputed(cents: Sequence[Sequence[Sequence[int]]]) -> int:
    """The completion where the first rule and another are furthest apart about which of their favourites earns more."""
    paid = np.array(cents)  # (rules, completions, authors)
    each, best = np.arange(paid.shape[1]), paid.argmax(2)
    ahead = paid[0][each, best[0]] - paid[0][each, best]  # (rules, completions): by the first rule
    behind = np.stack([rule[each, theirs] - rule[each, best[0]] for rule, theirs in zip(paid, best, strict=True)])
    return int(np.minimum(ahead, behind).max(0).argmax())


def scene(
    pieces: Sequence[str],
    prompt: int,
    names: Sequence[str],
    values: np.ndarray,
    cents: Sequence[int],
    hits: np.ndarray,
    rule: str,
    others: Mapping[str, Sequence[int]],
) -> str:
    """The state as HTML: the text by creditor, an SVG of the payments, and sentences that say the same.

    pieces: the text of each token, prompt included; values: (authors, tokens after the prompt); hits: (authors,
    order, tokens after the prompt); others: rule -> cents, of the rules that are not shown.
    """
    best = int(np.argmax(cents))
    sentence = f"Paid by {rule}: {names[best]} gets {cents[best]} of {sum(cents)} cents."
    differs = [
        f"By {other} it would be {names[int(np.argmax(paid))]}, with {max(paid)}."
        for other, paid in others.items()
        if int(np.argmax(paid)) != best
    ]
    head = escape(" ".join([sentence, *differs]))
    every = ", ".join(f"{name} {paid}" for name, paid in zip(names, cents, strict=True))
    text = escape("".join(pieces[:prompt])) + _credited(pieces[prompt:], values)
    return (
        f'<div style="color: var(--jp-ui-font-color1, currentColor); max-width: {WIDTH}px">'
        f"<p><strong>{head}</strong></p>"
        '<pre style="white-space: pre-wrap; border-left: 3px solid currentColor; padding-left: 8px; '
        f'line-height: 1.7">{text}</pre>'
        f'<svg role="img" aria-label="{escape(sentence)} All: {escape(every)}." '
        f'viewBox="0 0 {WIDTH} {ROW * len(names)}" style="width: 100%; height: auto; font: 14px sans-serif" '
        f'fill="currentColor">{_bars(names, cents)}</svg>'
        f"<p>Why {escape(names[best])}: {_reasons(pieces, prompt, names, values[best], hits, best)}</p></div>"
    )


def _credited(pieces: Sequence[str], values: np.ndarray) -> str:
    """Each token on its first creditor's colour, stronger where the value is larger; a number where it changes."""
    strongest, last, spans = max(float(values.max()), 1e-12), -1, []
    for piece, column in zip(pieces, values.T, strict=True):
        who = int(column.argmax())
        share = max(float(column[who]), 0.0) / strongest
        number = f"<sup>{who + 1}</sup>" if who != last else ""
        alpha = f"{round(0x20 + 0x60 * share):02x}"
        spans.append(f'{number}<span style="background: {COLOURS[who % len(COLOURS)]}{alpha}">{escape(piece)}</span>')
        last = who
    return "".join(spans)


def _bars(names: Sequence[str], cents: Sequence[int]) -> str:
    longest, parts = (WIDTH - LABEL - 90) / max(*cents, 1), []
    for i, (name, paid) in enumerate(zip(names, cents, strict=True)):
        middle = ROW * (i + 0.5)
        short = name if len(name) <= 16 else name[:15] + "…"
        parts.append(
            f'<text x="{LABEL - 8}" y="{middle}" text-anchor="end" dominant-baseline="central">'
            f"{i + 1} {escape(short)}</text>"
            f'<rect x="{LABEL}" y="{middle - 8}" width="{longest * paid:.4g}" height="16" '
            f'fill="{COLOURS[i % len(COLOURS)]}"/>'
            f'<text x="{LABEL + 6 + longest * paid:.4g}" y="{middle}" dominant-baseline="central">{paid} cents</text>'
        )
    return "".join(parts)


def _reasons(
    pieces: Sequence[str], prompt: int, names: Sequence[str], values: np.ndarray, hits: np.ndarray, author: int
) -> str:
    """The author's most valued tokens, each with the longest run before it that the author wrote, and how often."""
    reasons = []
    for t in np.argsort(-values, kind="stable")[:REASONS]:
        lengths = np.flatnonzero(hits[author, :, t])
        if values[t] <= 0 or not len(lengths):
            continue
        k = int(lengths.max()) + 1
        run = repr("".join(pieces[prompt + t - k + 1 : prompt + t + 1]))[1:-1]
        where = [f"{int(n)} times in {name}" for n, name in zip(hits[:, k - 1, t], names, strict=True) if n]
        reasons.append(f"<code>{escape(run)}</code> stands {escape(', '.join(where))}")
    return "; ".join(reasons) + "." if reasons else "nothing in this text is anybody's; all get equal shares."
