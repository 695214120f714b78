"""Who cannot see this figure, and what would they miss?

A figure here is a picture, a sentence that says what it shows, and its numbers.
nbconvert reads alt text from the output's metadata; JupyterLab does not, so there the
visible sentence and the table say it to everyone.
"""

import io
import textwrap
from html import escape
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from smallscale.core.validation import require
from smallscale.notebook.output import show_output

STYLE = "smallscale.notebook.house"  # for plt.style.use
LONGEST_TABLE = 200  # rows; a longer table hides what it is there to show
DOTS_DRAWN = 144  # an inch
DOTS_SHOWN = 100  # fewer than are drawn, so that the picture is sharp on dense screens
LETTERS = 9  # of a bold title in an inch


def figure(fig: Figure, *, title: str, alt: str, data: Any = None) -> None:
    """Show a matplotlib figure with a title, alt text, a visible sentence, its numbers.

    title: the message, as a statement; it is drawn above the axes, on the left.
    alt: one or two sentences: what kind of picture it is, and what to see in it.
    data: what `pandas.DataFrame` takes (a frame, columns by name, rows), shown as a
        collapsed table.

    The figure is closed, so that nothing shows it a second time.
    Raises ValueError for an empty title or alt.
    """
    for name, text in (("title", title), ("alt", alt)):
        require(text.strip(), f"{name} must say something; got an empty text")
    fig.suptitle(
        textwrap.fill(title, int(LETTERS * fig.get_figwidth())),
        x=0.01,
        ha="left",
        fontsize=12,
        fontweight="bold",
    )
    png = io.BytesIO()
    fig.savefig(png, format="png", dpi=DOTS_DRAWN, metadata={"Software": None})
    plt.close(fig)
    width = round(fig.get_figwidth() * DOTS_SHOWN)
    sentence = f"Figure: {_sentence(title)} {_sentence(alt)}"
    show_output(
        {"image/png": png.getvalue(), "text/plain": sentence},
        metadata={"image/png": {"alt": alt, "title": title, "width": width}},
    )
    table = "" if data is None else _table(data)
    show_output(
        {"text/html": f"<p>{escape(sentence)}</p>{table}", "text/plain": sentence}
    )


def note(text: str) -> None:
    """Show a sentence, as Markdown: what a cell says in words about its numbers."""
    show_output({"text/markdown": text, "text/plain": text})


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text[-1] in ".?!" else text + "."


def _table(data: Any) -> str:
    """Return the numbers as a collapsed table, in which every column has a name."""
    frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(data)
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index(allow_duplicates=True)
    html = frame.head(LONGEST_TABLE).to_html(
        index=False, border=0, float_format="{:.4g}".format, na_rep=""
    )
    if len(frame) > LONGEST_TABLE:
        html += f"<p>The first {LONGEST_TABLE} of {len(frame)} rows.</p>"
    return f"<details><summary>The numbers in this figure</summary>{html}</details>"
