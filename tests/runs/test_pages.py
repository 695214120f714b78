"""Does a reader who cannot see, run scripts or reach a network get the whole page?"""

import re
import time
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

from smallscale.runs.pages import gallery, notebook_page, save_figures

CELLS = [
    (
        "markdown",
        r"""# How little must change before it is wrong?

A classifier reads digits almost perfectly. We move every pixel by at most $\varepsilon < 1$ and look again;
the [scaling laws](../foundations/scaling-laws.ipynb) are elsewhere, and [the question](#The-question) is below.

$$
\begin{aligned}
\delta^\star &= \arg\max_{\|\delta\|_\infty \le \varepsilon} \ell(f_\theta(x + \delta), y) \\
             &\sim \mathcal{N}(\mathbf{0}, \sigma^2)
\end{aligned}
$$

<table><tr><td>objective</td><td>$a < b$ and $a &lt; c$</td></tr></table>

## The question

A formula that nobody can convert stays readable: $\nosuchcommand{x}$.""",
    ),
    ("parameters", 'scale: str = "small"  # how much work; one of: tiny, small\neps: float = 0.1  # radius [0, 1]'),
    ("injected-parameters", "# Parameters of this run\nscale = 'small'\neps = 0.25"),
    (
        "code",
        """import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from smallscale.notebook import Claims, figure, source

accuracy = pd.DataFrame({"eps": np.linspace(0, 0.5, 11), "accuracy": np.linspace(1, 0, 11) ** 2})
accuracy.head(3)""",
    ),
    (
        "code",
        """fig, ax = plt.subplots()
ax.plot(accuracy["eps"], accuracy["accuracy"], marker="o")
ax.set(xlabel="radius of the change, eps", ylabel="accuracy", ylim=(0, 1))
figure(
    fig, title="A change of 0.25 halves what it knew",
    alt='A falling line: accuracy against eps, from 1 to 0, "steep" at first & flat at the end.', data=accuracy,
)""",
    ),
    ("markdown", "## What it is made of\n\nThe method, as it runs:"),
    ("code", "from smallscale.notebook import at_scale\n\nsource(at_scale)"),
    ("code", "plt.plot([1, 2]);"),
    ("code", 'print("<script>alert(1)</script>", "\\x1b[31mred\\x1b[0m")\nprint(" 10%\\r 20%\\r100%")'),
    (
        "code",
        """claims = Claims()
claims.add("Undefended, it is wrong on most digits", measured=0.12, holds=True, tolerance="below 0.5", paper="0.11")
claims.add("Trained against it, it is right on all", measured=0.81, holds=False, tolerance="1", reproduced=False)
claims.show()""",
    ),
    ("code", "import ipywidgets\n\nipywidgets.IntSlider(description='eps')"),
    ("code", "pd.DataFrame(np.arange(60).reshape(3, 20) * 1001, columns=[f'column {i}' for i in range(20)])"),
    ("code", "long_line = " + " + ".join(f"{i:>3}" for i in range(60))),
    ("code", "raise ValueError('eps must be at least 0; got <b>-1</b>')"),
]


class Page(HTMLParser):
    """The tags of a page, in order, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def record(**changes):
    """A run's record, all keys present."""
    return {
        "run": "adversarial-images-3f2a91c0d1e2",
        "notebook": "robustness/adversarial-images",
        "title": "How little must change",
        "question": "A classifier reads digits almost perfectly; how little must *change* before it is wrong?",
        "status": "completed",
        "parameters": {"scale": "small", "seed": 0, "eps": 0.25, "data": ""},
        "claims": [],
        "metrics": {"accuracy": 0.25},
        "seconds": 12.3,
        "peak_mb": 812.0,
        "error": "",
        "seed": 0,
        "scale": "small",
        "kernel": "warm",
        "versions": {"python": "3.11.2", "torch": "2.13.0"},
        "hardware": {"machine": "x86_64", "cores": 2, "memory_gb": 8.3, "gpu": None},
        "data": {},
        "started": "2026-11-03T12:00:00+00:00",
        "finished": "2026-11-03T12:00:12+00:00",
        "figures": [],
        "html": True,
    } | changes


@pytest.fixture(scope="module")
def executed():
    """A small notebook with one of everything, really executed."""
    notebook = nbformat.v4.new_notebook()
    for kind, source in CELLS:
        make = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
        tags = {"tags": [kind]} if "parameters" in kind else {}
        notebook.cells.append(make(source, metadata=tags))
    NotebookClient(notebook, timeout=120, allow_errors=True, kernel_name="python3").execute()
    return notebook
