"""Who cannot see this figure, and what would they miss?

A figure here is a picture, a sentence that says what it shows, and its numbers.
nbconvert reads alt text from the output's metadata; JupyterLab does not, so there the
visible sentence and the table say it to everyone.
"""

import io
import re
import textwrap
import warnings
from html import escape
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from smallscale.core.folders import run_folder
from smallscale.core.validation import require
from smallscale.notebook.output import show_output

STYLE = "smallscale.notebook.house"  # for plt.style.use
LONGEST_TABLE = 200  # rows; a longer table hides what it is there to show
DOTS_DRAWN = 144  # an inch
DOTS_SHOWN = 100  # fewer than are drawn, so that the picture is sharp on dense screens
LONGEST_NAME = 60  # characters of a title in a file's name
LETTERS = 9  # of a bold title in an inch


def figure(fig: Figure, *, title: str, alt: str, data: Any = None) -> None:
    """Show a matplotlib figure with a title, alt text, a visible sentence, its numbers.

    title: the message, as a statement; it is drawn above the axes, on the left.
    alt: one or two sentences: what kind of picture it is, and what to see in it.
    data: what `pandas.DataFrame` takes (a frame, columns by name, rows), shown as a
        collapsed table. In a run of `smallscale run` the whole table is also left in
        the run's folder as CSV, with the figure as SVG beside it, for a paper.

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
        parse_math=False,  # a title may have dollars
    )
    png = io.BytesIO()
    fig.savefig(png, format="png", dpi=DOTS_DRAWN, metadata={"Software": None})
    table = ""
    if data is not None:
        frame = _frame(data)
        table = _table(frame)
        _leave_files(fig, title, frame)
    plt.close(fig)
    width = round(fig.get_figwidth() * DOTS_SHOWN)
    sentence = f"Figure: {_sentence(title)} {_sentence(alt)}"
    show_output(
        {"image/png": png.getvalue(), "text/plain": sentence},
        metadata={"image/png": {"alt": alt, "title": title, "width": width}},
    )
    show_output(
        {"text/html": f"<p>{escape(sentence)}</p>{table}", "text/plain": sentence}
    )


def note(text: str) -> None:
    """Show a sentence, as Markdown: what a cell says in words about its numbers."""
    show_output({"text/markdown": text, "text/plain": text})


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text[-1] in ".?!" else text + "."


def _frame(data: Any) -> pd.DataFrame:
    """Return the numbers as a table in which every column has a name."""
    frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(data)
    if not isinstance(frame.index, pd.RangeIndex) or frame.index.name is not None:
        frame = frame.reset_index(allow_duplicates=True)
    return frame


def _leave_files(fig: Figure, title: str, frame: pd.DataFrame) -> None:
    """Leave figure and table in the folder that this run has for its files, if any.

    The same figure gives the same bytes. A full disk costs the files, with a warning.
    """
    folder = run_folder()
    if folder is None:
        return
    number = len(list(folder.glob("figure-*.csv"))) + 1
    words = "-".join(re.findall(r"[a-z0-9]+", title.lower()))[:LONGEST_NAME].strip("-")
    stem = folder / f"figure-{number}-{words}".rstrip("-")
    try:
        frame.to_csv(f"{stem}.csv", index=False)
        # Without these, the marks' names and the date would differ each time.
        with plt.rc_context({"svg.hashsalt": "smallscale"}):
            fig.savefig(f"{stem}.svg", format="svg", metadata={"Date": None})
    except OSError as error:
        warnings.warn(f"the figure's files could not be kept: {error}", stacklevel=3)


def _table(frame: pd.DataFrame) -> str:
    """Return the numbers as a collapsed table."""
    html = frame.head(LONGEST_TABLE).to_html(
        index=False, border=0, float_format="{:.4g}".format, na_rep=""
    )
    if len(frame) > LONGEST_TABLE:
        html += f"<p>The first {LONGEST_TABLE} of {len(frame)} rows.</p>"
    return f"<details><summary>The numbers in this figure</summary>{html}</details>"
