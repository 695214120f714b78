"""Which way does it go? A widget: an optimizer's path on a surface, computed live."""

from collections.abc import Mapping

import contourpy
import ipywidgets as widgets
import numpy as np
from numpy.typing import NDArray

from smallscale.core.templates import template
from smallscale.foundations.races.steps import follow, in_turn
from smallscale.foundations.races.surfaces import (
    DESCENDERS,
    HALF,
    SURFACES,
    Surface,
    descend,
    descender,
)
from smallscale.notebook.explorer import Explorer

TEMPLATE = template("foundations/races/path.html.j2")
IN_TURN = "gradients 3, -1, -1 in turn"
STEPS = 100
STEPS_IN_TURN = 300
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
BETAS1 = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)
BETAS2 = (0.1, 0.5, 0.9, 0.99, 0.999)
NEAR = 0.01  # of the loss at the start, less the least: where a path has arrived
SIDE = 400  # of the picture
LINES = 10  # of equal loss

Array = NDArray[np.float64]


def path_explorer() -> Explorer:
    """Return a scene and its sliders, for `explore`.

    Choose a surface, an optimizer, its rate and its betas. It shows the path of 100
    steps and says where it ends. It opens where turning the valley has made Adam slow.
    """
    lines = {name: contour_paths(surface) for name, surface in SURFACES.items()}

    def scene(where: str, name: str, lr: float, beta1: float, beta2: float) -> str:
        if where == IN_TURN:
            return turns_scene(name, lr, beta1, beta2)
        return path_scene(where, lines[where], name, lr, beta1, beta2)

    where = [*SURFACES, IN_TURN]
    sliders = {
        "surface": widgets.SelectionSlider(options=where, value=where[1]),
        "optimizer": widgets.SelectionSlider(options=DESCENDERS, value="Adam"),
        "learning rate": widgets.SelectionSlider(options=RATES, value=0.1),
        "β1": widgets.SelectionSlider(options=BETAS1, value=0.9),
        "β2": widgets.SelectionSlider(options=BETAS2, value=0.999),
    }
    return scene, sliders


def path_scene(
    where: str,
    lines: list[str],
    name: str,
    lr: float,
    beta1: float,
    beta2: float,
) -> str:
    """Return a path on a surface as HTML: an SVG, and a sentence on where it ends."""
    surface = SURFACES[where]
    path = descend(surface, name, lr=lr, beta1=beta1, beta2=beta2, steps=STEPS)
    x, y = path.T
    losses = surface.value(x, y) - surface.best
    near = losses <= NEAR * losses[0]
    if len(path) <= STEPS:
        ending = f"it has left the picture for good at step {len(path) - 1}"
    elif near.any():
        ending = (
            f"the loss first falls to a hundredth at step {near.argmax()}, and ends "
            f"at {losses[-1] / losses[0]:.1g} of the start's"
        )
    else:
        ending = f"after {STEPS} steps {losses[-1] / losses[0]:.1g} of the loss is left"
    html: str = TEMPLATE.render(
        sentence=f"{name} on {where}, rate {lr:g}: {ending}.{_unused(name)}",
        lines=lines,
        path=_polyline(np.clip(path, -2 * HALF, 2 * HALF)),
        dots=_pixels(path[np.abs(path).max(1) <= HALF]).tolist(),
        across="x",
        up="y",
        side=SIDE,
    )
    return html


def turns_scene(name: str, lr: float, beta1: float, beta2: float) -> str:
    """Return a weight in [-1, 1] over time, the gradients 3, -1, -1 coming in turn."""
    if name == "Muon":  # its matrix has one entry, of which only the sign is left
        gradients = in_turn(STEPS_IN_TURN).reshape(-1, 1, 1)
    else:
        gradients = in_turn(STEPS_IN_TURN)
    path = follow(
        lambda x: descender(name, x, lr, beta1, beta2),
        gradients,
        rate=lambda t: lr / t**0.5,
        bounds=(-1.0, 1.0),
    ).flatten()
    end = float(path[-3:].mean())
    word = "the worst" if end > 0.9 else "the best" if end < -0.9 else "neither end"
    t = np.linspace(-HALF, HALF, len(path))
    line = np.stack([t, HALF * path.numpy()], 1)
    html: str = TEMPLATE.render(
        sentence=f"{name}, rate {lr:g}/√t, gradients 3, −1, −1 in turn: after "
        f"{STEPS_IN_TURN} steps the weight is at {end:+.2f}, {word} (best −1, worst "
        f"+1).{_unused(name)}",
        lines=[],
        path=_polyline(line),
        dots=_pixels(line[-1:]).tolist(),
        across=f"step, 0 to {STEPS_IN_TURN}",
        up="weight, −1 to 1",
        side=SIDE,
    )
    return html


def contour_paths(surface: Surface) -> list[str]:
    """Return the lines of equal loss on the picture as SVG paths."""
    grid = np.linspace(-HALF, HALF, 81)
    x, y = np.meshgrid(grid, grid)
    above = surface.value(x, y) - surface.best
    levels = np.geomspace(0.002, 1, LINES) * above.max()
    lines = contourpy.contour_generator(grid, grid, above)
    return [
        _polyline(np.asarray(line)) for level in levels for line in lines.lines(level)
    ]


def _unused(name: str) -> str:
    """Return what to say of a slider that this optimizer does not read."""
    unread: Mapping[str, str] = {"momentum": "β2", "Muon": "β2"}
    return f" It has no {unread[name]}." if name in unread else ""


def _pixels(places: Array) -> Array:
    """Return places as pixels, to a tenth."""
    x, y = places.T
    across = (x + HALF) / (2 * HALF) * SIDE
    down = (HALF - y) / (2 * HALF) * SIDE
    return np.stack([across, down], 1).round(1)


def _polyline(places: Array) -> str:
    """Return places joined by lines, as the data of an SVG path."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in _pixels(places))
