"""Who is paid for this completion, and why? A widget.

All that it shows was computed beforehand, for every token. Texts may come from anybody:
the template escapes whatever it is given.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
from tokenizers import ByteLevelBPETokenizer

from smallscale.attribution.markets.market import Texts
from smallscale.attribution.markets.ngram_model import Counts
from smallscale.attribution.markets.payments import payouts
from smallscale.attribution.markets.sources import (
    SourceLine,
    source_line,
    token_texts,
)
from smallscale.core.templates import template
from smallscale.core.validation import require
from smallscale.notebook.explorer import Explorer

# Okabe and Ito's colours, told apart by colour-blind readers. No meaning hangs on
# colour alone: an author's number stands where the colour changes.
AUTHOR_COLOURS = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#999999",
)
COMPLETION_CENTS = 100  # paid for each completion
CLEAR_LEAD = 5  # cents by which the best-paid author is more than about level
REASONS = 3  # how many of a completion's tokens are given as reasons

TEMPLATE = template("attribution/markets/statement.html.j2")


def statement_explorer(
    tokenizer: ByteLevelBPETokenizer,
    windows: Any,
    prompt: int,
    names: Sequence[str],
    values: Mapping[str, Any],
    counts: Counts,
    texts: Texts,
) -> Explorer:
    """Return, for `explore`, a statement of payments by completion and rule.

    The statement has the text by creditor, the payments in cents, the reasons, and the
    line of a document where most of the completion stands. It opens with the first
    rule, at the completion for which another rule would pay most otherwise, of those
    without a tie if there are any.

    windows: (n, length) tokens, the first `prompt` given. values: rule -> (authors, T),
    the value of every token after the prompts; T = n * (length - prompt). counts: of
    the same T tokens. texts: the documents of each of the names. A dollar is paid for
    each completion. Raises ValueError where shapes differ, or texts lack a name.
    """
    n = len(windows)
    shape = (len(names), windows.size - n * prompt)
    for rule, found in values.items():
        require(
            found.shape == counts.hits.shape[0::2] == shape,
            f"values and counts must be (authors, T) = {shape}; "
            f"got {found.shape} for {rule}",
        )
    missing = [name for name in names if name not in texts]
    require(not missing, f"texts must hold every name; not {', '.join(missing)}")
    by_token = {
        rule: found.reshape(len(names), n, -1) for rule, found in values.items()
    }
    hits = counts.hits.reshape(*counts.hits.shape[:2], n, -1)
    cents: dict[str, list[list[int]]] = {}  # rule -> completion -> author -> cents
    for rule, found in by_token.items():
        of_completion = [found[:, j].mean(1) for j in range(n)]
        cents[rule] = [payouts(each, COMPLETION_CENTS) for each in of_completion]

    pieces = [token_texts(tokenizer, window) for window in windows]
    lines = [
        [source_line(each[prompt:], texts, author=name) for name in names]
        for each in pieces
    ]

    def scene(j: int, rule: str) -> str:
        here = {name: each[j] for name, each in cents.items()}
        value, hit = by_token[rule][:, j], hits[:, :, j]
        return statement_scene(
            pieces[j], prompt, names, value, hit, here, rule, lines[j]
        )

    numbers = [(f"{j + 1} of {n}", j) for j in range(n)]
    return scene, {
        "completion": widgets.SelectionSlider(
            options=numbers, value=_most_disputed(cents)
        ),
        "paid by": widgets.SelectionSlider(options=list(values)),
    }


def statement_scene(
    pieces: Sequence[str],
    prompt: int,
    names: Sequence[str],
    values: np.ndarray,
    hits: np.ndarray,
    cents: dict[str, list[int]],
    rule: str,
    lines: Sequence[SourceLine | None],
) -> str:
    """Return HTML: the text by creditor, a bar for each payment, and sentences.

    A token lies on its first creditor's colour, stronger where the value is larger,
    with the creditor's number where it changes. The reasons are the best-paid author's
    most valued tokens, each with the longest run before it that the author wrote.

    pieces: the text of each token, prompt included. values: (authors, tokens after the
    prompt). hits: (authors, order, tokens after the prompt). cents: rule -> payments
    (authors,). lines: of each author, where the longest run of the completion stands.
    """
    paid = cents[rule]
    best = int(np.argmax(paid))
    reasons = _reasons(pieces, prompt, names, values, hits, best)
    why = (
        "; ".join(reasons) or "nothing in this text is anybody’s; all get equal shares"
    )
    return TEMPLATE.render(
        sentence=_payment_sentence(names, cents, rule),
        text=_text_by_creditor(pieces, prompt, values),
        payments=_payment_bars(names, paid),
        note=f"Why {names[best]}: {why}.",
        sources=_source_sentences(names, lines, best),
    )


def _most_disputed(cents: dict[str, list[list[int]]]) -> int:
    """Return the completion that another rule pays most otherwise than the first.

    One of those that the first rule pays no two authors about equally, if there are
    any: who is paid best is then no tie.
    """
    paid = np.array(list(cents.values()))  # (rules, completions, authors)
    moved = np.abs(paid - paid[0]).sum(2).max(0)  # (completions,), in cents
    best = paid[0].max(1, keepdims=True)
    no_tie = (paid[0] > best - CLEAR_LEAD).sum(1) == 1
    return int(np.where(no_tie, moved, moved - moved.max() - 1).argmax())


def _payment_sentence(
    names: Sequence[str], cents: dict[str, list[int]], rule: str
) -> str:
    paid = cents[rule]
    best = int(np.argmax(paid))
    sentence = f"Paid by {rule}: {names[best]} gets {paid[best]} of {sum(paid)} cents."
    for other, instead in cents.items():
        first = int(np.argmax(instead))
        if first != best:
            sentence += (
                f" By {other} it would be {names[first]}, with {instead[first]}."
            )
    return sentence


def _text_by_creditor(
    pieces: Sequence[str], prompt: int, values: np.ndarray
) -> list[dict[str, Any]]:
    """Return every token's words, colour and number, for the template."""
    creditors = values.argmax(0)
    largest = max(values.max(), 1e-12)
    strength = values.max(0).clip(0) / largest  # in [0, 1]
    # At most a third, so that the words are readable in light and in dark.
    opacity = (0x18 + 0x38 * strength).round().astype(int)
    text = [
        {"words": piece, "number": 0, "colour": "none"} for piece in pieces[:prompt]
    ]
    before = -1
    for piece, creditor, alpha in zip(
        pieces[prompt:], creditors.tolist(), opacity.tolist(), strict=True
    ):
        number = creditor + 1 if creditor != before else 0
        colour = f"{_colour(creditor)}{alpha:02x}"
        text.append({"words": piece, "number": number, "colour": colour})
        before = creditor
    return text


def _payment_bars(names: Sequence[str], paid: list[int]) -> list[dict[str, Any]]:
    """Return a bar for each author, for the template."""
    return [
        {
            "label": f"{i + 1} {names[i]}",
            "share": cents / max(paid),
            "colour": _colour(i),
            "words": f"{cents} cents",
        }
        for i, cents in enumerate(paid)
    ]


def _reasons(
    pieces: Sequence[str],
    prompt: int,
    names: Sequence[str],
    values: np.ndarray,
    hits: np.ndarray,
    author: int,
) -> list[str]:
    """Return sentences on the author's most valued tokens, and who else wrote them."""
    reasons = []
    for t in np.argsort(-values[author], kind="stable")[:REASONS]:
        orders = np.flatnonzero(hits[author, :, t])
        if values[author, t] <= 0 or not len(orders):
            continue
        longest = int(orders.max())  # tokens before this one that the author also has
        words = "".join(pieces[prompt + t - longest : prompt + t + 1])
        where = [
            f"{int(times)} times in {names[i]}"
            for i, times in enumerate(hits[:, longest, t])
            if times
        ]
        reasons.append(f"“{repr(words)[1:-1]}” stands {', '.join(where)}")
    return reasons


def _source_sentences(
    names: Sequence[str], lines: Sequence[SourceLine | None], best: int
) -> list[dict[str, str]]:
    """Return the best-paid author's source line, and a longer one by somebody else."""

    def length(author: int) -> int:
        line = lines[author]
        return len(line.run) if line else 0

    longest = max(range(len(lines)), key=length)
    chosen = [best, longest] if length(longest) > length(best) else [best]
    sentences = []
    for author in chosen:
        line = lines[author]
        if line is None:
            words = f"No line of {names[author]} holds a run of this completion."
            sentences.append({"words": words, "line": ""})
            continue
        run = repr(line.run)[1:-1]
        words = (
            f"The longest run that {names[author]} also wrote, “{run}”, begins in "
            f"{line.document}, line {line.number}:"
        )
        sentences.append({"words": words, "line": line.line.strip()})
    return sentences


def _colour(author: int) -> str:
    return AUTHOR_COLOURS[author % len(AUTHOR_COLOURS)]
