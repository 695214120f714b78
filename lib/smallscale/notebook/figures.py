"""Who cannot see this figure, and what would they miss?

A figure here is a picture, a sentence that says what it shows, and its numbers. nbconvert reads alt text from
the output's metadata; JupyterLab does not, so there the visible sentence and the table say it to everyone.
"""

import io
import textwrap
from html import escape
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure

STYLE = "smallscale.notebook.house"  # for plt.style.use
ROWS = 200  # a longer table hides what it is there to show


def figure(fig: Figure, *, title: str, alt: str, data: Any = None) -> None:
    """Show a matplotlib figure under its title, with alt text, a visible sentence, and its numbers.

    title: the message, as a statement; drawn above the axes, left.
    alt: one or two sentences: what kind of picture, and what to see in it.
    data: what `pandas.DataFrame` takes (a frame, columns by name, rows); shown as a collapsed table.

    The figure is closed, so that nothing shows it a second time. Raises ValueError for an empty title or alt.
    """
    for name, text in (("title", title), ("alt", alt)):
        if not text.strip():
            raise ValueError(
                f"{name} must say something: a figure that nobody can read aloud is not finished"
            )
    lines = textwrap.fill(
        title, int(9 * fig.get_figwidth())
    )  # about nine bold letters an inch
    fig.suptitle(lines, x=0.01, ha="left", fontsize=12, fontweight="bold")
    png = io.BytesIO()
    fig.savefig(png, format="png", dpi=144, metadata={"Software": None})
    plt.close(fig)
    width = round(
        fig.get_figwidth() * 100
    )  # drawn at 144 dots an inch, shown at 100: sharp on dense screens
    sentence = f"Figure: {_sentence(title)} {_sentence(alt)}"
    display(
        {"image/png": png.getvalue(), "text/plain": sentence},
        metadata={"image/png": {"alt": alt, "title": title, "width": width}},
        raw=True,
    )
    table = "" if data is None else _table(data)
    display(
        {"text/html": f"<p>{escape(sentence)}</p>{table}", "text/plain": sentence},
        raw=True,
    )


def note(text: str) -> None:
    """Show a sentence as Markdown: for what a cell has to say in words from its numbers."""
    display({"text/markdown": text, "text/plain": text}, raw=True)


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text[-1] in ".?!" else text + "."


def _table(data: Any) -> str:
    frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(data)
    plain = isinstance(frame.index, pd.RangeIndex)
    html = frame.head(ROWS).to_html(
        index=not plain, border=0, float_format="{:.4g}".format, na_rep=""
    )
    more = f"<p>The first {ROWS} of {len(frame)} rows.</p>" if len(frame) > ROWS else ""
    return (
        f"<details><summary>The numbers in this figure</summary>{html}{more}</details>"
    )
