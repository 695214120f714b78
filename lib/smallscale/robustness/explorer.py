"""What does an attack look like, and when does the reading flip? A widget: one image, one eps, what the model sees.

The attacks are computed beforehand, one batch for each eps. Moving a slider only writes a picture as SVG, which
takes about a millisecond and needs no plotting library.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch

from smallscale.robustness.attacks import Bounds, as_number, pgd
from smallscale.training import Model, predict_logits

# Okabe and Ito's colours, told apart by colour-blind readers; no meaning hangs on colour alone.
TRUE, WRONG, OTHER = "#009E73", "#D55E00", "#56B4E9"
BRIGHTER, DARKER = (0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)

WIDTH, PANEL, GAP, TOP = 760, 200, 32, 28  # the SVG's units: all, a picture's side, between, room for captions


def attack_explorer(
    model: Model,
    images: Any,
    labels: Any,
    eps_grid: Iterable[float],
    *,
    norm: str = "linf",
    steps: int = 40,
    bounds: Bounds = (0.0, 1.0),
) -> widgets.VBox:
    """A widget: choose an image and an eps; see the attacked image, the change, and the class probabilities.

    images: (n, channels, height, width) within bounds, shown as the mean over channels; labels: (n,).
    eps_grid: the radii of the slider, increasing; `pgd` with `norm` and `steps` is run at each, on all images.
    It opens on the image that flips soonest, one notch of the slider before it does.
    Raises ValueError for an empty batch or grid, a grid that does not increase, and as `pgd` does.
    """
    images, labels = torch.as_tensor(images), torch.as_tensor(labels)
    grid = [as_number(eps) for eps in eps_grid]
    if len(images) == 0 or not grid:
        raise ValueError(f"images and eps_grid must not be empty; got {len(images)} images and {len(grid)} radii")
    if any(not low < high for low, high in pairwise(grid)):
        raise ValueError(f"eps_grid must increase from one radius to the next; got {grid}")
    attacked = [pgd(model, images, labels, eps, norm=norm, steps=steps, bounds=bounds) for eps in grid]
    probabilities = np.stack([predict_logits(model, x).softmax(1).double().numpy() for x in attacked])
    original, *seen = [_grey(x, bounds) for x in (images, *attacked)]
    truth = [int(label) for label in labels]

    first, notch = _start(probabilities.argmax(2) != np.array(truth))
    wide = {"style": {"description_width": "5em"}, "layout": widgets.Layout(width="min(100%, 32em)")}
    # Two sliders: left and right move them, while JupyterLab keeps a drop-down's up and down for itself.
    image = widgets.SelectionSlider(
        options=[(f"{i + 1}: a {label}", i) for i, label in enumerate(truth)], value=first, description="image", **wide
    )
    eps = widgets.SelectionSlider(
        options=[(f"{radius:g}", k) for k, radius in enumerate(grid)], value=notch, description="eps", **wide
    )
    view = widgets.HTML()

    def show(_: Any = None) -> None:
        i, k = image.value, eps.value
        view.value = scene(original[i], seen[k][i], probabilities[k, i], truth[i], grid[k], norm)

    image.observe(show, names="value")
    eps.observe(show, names="value")
    show()
    return widgets.VBox([image, eps, view])


def _grey(images: torch.Tensor, bounds: Bounds) -> np.ndarray:
    """(n, channels, height, width) within bounds -> (n, height, width) in [0, 1]."""
    low, high = bounds
    return ((images.detach().cpu().double().mean(1) - low) / (high - low)).numpy()


def _start(wrong: np.ndarray) -> tuple[int, int]:
    """(image, notch) just before the soonest flip, from wrong (radii, n); if none flips, the largest radius.

    A flip at the slider's second notch would start it on the unchanged image: a later one is preferred.
    """
    flips = np.where(wrong.any(0), wrong.argmax(0), 0)  # (n,): the first notch read wrong; 0: never, or from the start
    for soonest in (2, 1):
        late = np.where(flips >= soonest, flips, len(wrong))
        if late.min() < len(wrong):
            return int(late.argmin()), int(late.min()) - 1
    return 0, len(wrong) - 1


def scene(original: np.ndarray, seen: np.ndarray, probabilities: np.ndarray, truth: int, eps: float, norm: str) -> str:
    """The state as HTML: an SVG that says in words what it shows, and the same sentence below it.

    original, seen: (height, width) in [0, 1], before and after the attack; probabilities: (classes,).
    """
    read, change = int(probabilities.argmax()), seen - original
    largest = float(np.abs(change).max())
    doubt = f" ({truth}: {probabilities[truth]:.2f})" if read != truth else ""
    sentence = f"True {truth}, read as {read} with probability {probabilities[read]:.2f}{doubt}; "
    if largest > 0:
        sentence += f"perturbation at most {eps:g} " + ("per pixel." if norm == "linf" else "in length.")
        caption = f"change, {1 / largest:.3g} times as strong"
    else:
        sentence += "no perturbation."
        caption = "change: none"
    every = ", ".join(f"{digit} {p:.2f}" for digit, p in enumerate(probabilities))
    signed = change / largest if largest > 0 else change
    panels = (
        _panel(0, "image", [_mixed(value, (255, 255, 255), (0, 0, 0)) for value in seen.flat], seen.shape),
        _panel(PANEL + GAP, caption, [_diverging(value) for value in signed.flat], seen.shape),
        _bars(2 * (PANEL + GAP), probabilities, truth, read),
    )
    key = "In the change, orange pixels were made brighter, blue ones darker."
    return (
        f'<div style="color: var(--jp-ui-font-color1, currentColor); max-width: {WIDTH}px">'
        f'<svg role="img" aria-label="{sentence} Probabilities: {every}." viewBox="0 0 {WIDTH} {TOP + PANEL + 2}" '
        f'style="width: 100%; height: auto; font: 14px sans-serif" fill="currentColor"><title>{sentence}</title>'
        f"{''.join(panels)}</svg><p><strong>{sentence}</strong><br>{key}</p></div>"
    )


def _panel(x: int, caption: str, colours: Sequence[str], shape: tuple[int, ...]) -> str:
    """A picture of height x width squares under its caption; squares of one colour are drawn as one path."""
    height, width = shape
    squares = defaultdict(list)
    for place, colour in enumerate(colours):
        squares[colour].append(f"M{place % width} {place // width}h1v1h-1z")
    paths = "".join(f'<path fill="{colour}" d="{"".join(d)}"/>' for colour, d in squares.items())
    scale = PANEL / max(height, width)
    return (
        f'<text x="{x}" y="{TOP - 10}">{caption}</text>'
        f'<g transform="translate({x} {TOP}) scale({scale:.6g})" shape-rendering="crispEdges">{paths}</g>'
        f'<rect x="{x}" y="{TOP}" width="{scale * width:.6g}" height="{scale * height:.6g}" fill="none" '
        'stroke="currentColor" stroke-opacity="0.5"/>'
    )


def _bars(x: int, probabilities: np.ndarray, truth: int, read: int) -> str:
    """A bar for each class, with its probability; the true one and the one read say so in words."""
    row, longest = PANEL / len(probabilities), WIDTH - x - 130  # what is left holds the words
    parts = [f'<text x="{x}" y="{TOP - 10}">probability of each class</text>']
    for digit, p in enumerate(probabilities):
        middle, colour = TOP + row * (digit + 0.5), TRUE if digit == truth else WRONG if digit == read else OTHER
        words = ", ".join([f"{p:.2f}"] + ["true"] * (digit == truth) + ["read"] * (digit == read))
        parts.append(
            f'<text x="{x + 12}" y="{middle:.4g}" text-anchor="end" dominant-baseline="central">{digit}</text>'
            f'<rect x="{x + 20}" y="{middle - row * 0.35:.4g}" width="{longest * p:.4g}" height="{row * 0.7:.4g}" '
            f'fill="{colour}"/>'
            f'<text x="{x + 26 + longest * p:.4g}" y="{middle:.4g}" dominant-baseline="central">{words}</text>'
        )
    return "".join(parts)


def _diverging(value: float) -> str:
    """-1 is blue, 0 white, 1 orange; in 32 shades each way, more than an eye tells apart."""
    return _mixed(round(abs(value) * 32) / 32, BRIGHTER if value > 0 else DARKER, (255, 255, 255))


def _mixed(share: float, colour: tuple[int, int, int], ground: tuple[int, int, int]) -> str:
    """The hexadecimal colour with `share` of one and the rest of the other."""
    return "#" + "".join(f"{round(share * a + (1 - share) * b):02x}" for a, b in zip(colour, ground, strict=True))
