"""What line does the transformer see? A widget for points of one function.

Everything is computed as the sliders move: a prompt is read in milliseconds.
"""

import ipywidgets as widgets
import numpy as np
import torch

from smallscale.core.templates import template
from smallscale.foundations.in_context.regressor import InContextRegressor
from smallscale.notebook.explorer import Explorer

WIDTH, HEIGHT = 460, 280  # of the picture, in its own units
REACH = 4.0  # the picture shows inputs from -REACH to REACH
TALLEST = 6.0  # and answers from -TALLEST to TALLEST
INPUTS = (1.0, -0.6, 1.7, -1.4, 0.4, 2.2)  # where the examples lie, one after another


def line_explorer(model: InContextRegressor, *, points: int = 5) -> Explorer:
    """Return a scene and its sliders, for `explore`.

    Choose how many examples there are, the slope of their line, and how far the last
    one lies off it. The scene shows the examples, what the transformer predicts along
    the first input (the others 0), and the line of least squares. model: trained on
    functions of any dimensions. points: the most examples, at most 6.
    """
    most = min(points, len(INPUTS), model.points - 1)

    def scene(examples: int, slope: float, off: float) -> str:
        return line_scene(model, examples, slope, off)

    sliders = {
        "examples": widgets.IntSlider(value=min(2, most), min=0, max=most),
        "slope": widgets.FloatSlider(value=1.5, min=-3, max=3, step=0.25),
        "last one off by": widgets.FloatSlider(value=0, min=-4, max=4, step=0.5),
    }
    return scene, sliders


def line_scene(
    model: InContextRegressor, examples: int, slope: float, off: float
) -> str:
    """Return the state as HTML: an SVG, and a sentence that says what it shows."""
    x = np.array(INPUTS[:examples])
    y = slope * x
    if examples:
        y[-1] += off
    grid = np.linspace(-REACH, REACH, 33)
    seen = predictions_along(model, x, y, grid)
    fitted = float(x @ y / (x @ x)) if examples else 0.0
    at_one, far = (float(seen[np.abs(grid - g).argmin()]) for g in (1.0, REACH))
    return template("foundations/in_context/line.html.j2").render(
        width=WIDTH,
        height=HEIGHT,
        dots=[_place(a, b) for a, b in zip(x, y, strict=True)],
        seen=" ".join(_corner(a, b) for a, b in zip(grid, seen, strict=True)),
        fitted=[_place(-REACH, -REACH * fitted), _place(REACH, REACH * fitted)],
        axis=[_place(-REACH, 0), _place(REACH, 0)],
        sentence=(
            f"{examples} examples of a line with slope {slope:g}"
            + (f", the last one off by {off:g}" if examples and off else "")
            + f". At x = 1 the transformer says {at_one:.2f} and least squares "
            f"{fitted:.2f}; at x = {REACH:g}, further out than most that it was "
            f"trained on, {far:.2f} and {REACH * fitted:.2f}."
        ),
    )


@torch.no_grad()
def predictions_along(
    model: InContextRegressor, x: np.ndarray, y: np.ndarray, grid: np.ndarray
) -> np.ndarray:
    """Return what the model predicts at each of grid (m,), after examples x, y (k,).

    They lie along the first input; the other inputs are 0.
    """
    k = len(x)
    inputs = torch.zeros(len(grid), k + 1, model.dimensions)
    answers = torch.zeros(len(grid), k + 1)
    inputs[:, :k, 0] = torch.from_numpy(x).float()
    inputs[:, k, 0] = torch.from_numpy(grid).float()
    answers[:, :k] = torch.from_numpy(y).float()
    said: np.ndarray = model(inputs, answers)[:, k].numpy()
    return said


def _place(x: float, y: float) -> tuple[float, float]:
    """Return where a point stands in the picture, from its upper left corner."""
    across = (x + REACH) / (2 * REACH) * WIDTH
    down = (TALLEST - float(np.clip(y, -TALLEST, TALLEST))) / (2 * TALLEST) * HEIGHT
    return round(float(across), 1), round(down, 1)


def _corner(x: float, y: float) -> str:
    across, down = _place(x, y)
    return f"{across:g},{down:g}"
