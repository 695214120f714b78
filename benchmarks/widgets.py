"""How soon does each notebook's widget answer? Against the redrawing of a figure.

With `interact` of ipywidgets, a slider usually has matplotlib draw a figure again;
here, what is costly is computed before and a scene is written. Every notebook is
executed at tiny in a kernel, each slider of its widgets is moved to up to nine places,
and the same kernel redraws one small figure as often.

    python benchmarks/widgets.py [NOTEBOOK …]
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from rich.console import Console
from rich.table import Table

from smallscale.core.folders import RUN_FOLDER

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
TINY = "scale = 'tiny'"
MEASURE = """\
import io, json, statistics, time
import ipywidgets
import matplotlib.pyplot as plt
from smallscale.notebook.explorer import StillBox

PLACES = 9  # of each slider, at most


def clock(work):
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def redraw():
    figure, axes = plt.subplots()
    axes.plot(range(50))
    figure.savefig(io.BytesIO(), format="svg")
    plt.close(figure)


def places(slider):
    if slider.has_trait("options"):
        every = [option[1] for option in slider._options_full]
    elif slider.has_trait("min"):
        step = getattr(slider, "step", None) or (slider.max - slider.min) / PLACES
        count = round((slider.max - slider.min) / step)
        every = [slider.min + n * step for n in range(count + 1)]
    else:
        return []
    return every[:: -(-len(every) // PLACES)]


moves, drawings = [], []
for box in list(ipywidgets.widgets.widget._instances.values()):
    for slider in box.children if isinstance(box, StillBox) else ():
        for place in places(slider):
            moves.append(clock(lambda: setattr(slider, "value", place)))
            drawings.append(clock(redraw))
said = [1e3 * f(t) for t in (moves, drawings) if t for f in (statistics.median, max)]
print(json.dumps([len(moves), *said]))"""


def main(paths: list[Path]) -> None:
    """Measure and print."""
    table = Table(
        "notebook",
        "moves",
        "ms, median",
        "ms, at most (wanted: 150)",
        "ratio to redrawing, medians",
        title=f"{os.cpu_count()} cores",
    )
    for path in paths:
        print(path.stem, file=sys.stderr)
        moves, *milliseconds = measured(path)
        if milliseconds:
            median, most, redrawn, _ = milliseconds
            ratio = f"{redrawn / median:.1f}"
            table.add_row(path.stem, f"{moves}", f"{median:.1f}", f"{most:.0f}", ratio)
        else:
            table.add_row(path.stem, "none", "", "", "")
    Console(width=120).print(table)


def measured(path: Path) -> list[float]:
    """Return the number of moves, and where there are any, four times in milliseconds:
    the median and the longest of an answer, and of redrawing the figure.
    """
    notebook = nbformat.read(path, as_version=4)
    cells = notebook.cells
    (first,) = (
        number
        for number, cell in enumerate(cells)
        if "parameters" in cell.metadata.get("tags", ())
    )
    cells.insert(first + 1, nbformat.v4.new_code_cell(TINY))
    cells.append(nbformat.v4.new_code_cell(MEASURE))
    with tempfile.TemporaryDirectory() as folder:
        os.environ[RUN_FOLDER] = folder
        resources = {"metadata": {"path": str(path.parent)}}
        NotebookClient(notebook, resources=resources, timeout=None).execute()
    said: list[float] = json.loads(cells[-1].outputs[-1].text)
    return said


if __name__ == "__main__":
    named = list(map(Path, sys.argv[1:]))
    main(named or sorted(NOTEBOOKS.glob("*/*.ipynb")))
