"""How is a small image drawn at once? As squares of an SVG, without a plotting library.

What the explorers of `images` and `shift` share. Drawing a state takes about a
millisecond.
"""

from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
from numpy.typing import NDArray

from smallscale.training.evaluation import Model, predict_logits

BLACK = (0, 0, 0)
WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Picture:
    """An image as the templates draw it.

    paths: for each colour, the path of all squares that have it; height, width: in
    pixels.
    """

    caption: str
    paths: dict[str, str]
    height: int
    width: int


def picture(caption: str, colours: list[list[str]]) -> Picture:
    """Return rows of colours as a picture, the squares of one colour in one path."""
    paths: dict[str, str] = {}
    for row, line in enumerate(colours):
        for column, colour in enumerate(line):
            paths[colour] = f"{paths.get(colour, '')}M{column} {row}h1v1h-1z"
    return Picture(caption, paths, height=len(colours), width=len(colours[0]))


def mixed(
    share: NDArray[np.float64], colour: Any, ground: Any = BLACK
) -> list[list[str]]:
    """Mix a colour into the ground, and return rows of hexadecimal colours.

    share: (height, width) of the colour, in [0, 1]; the rest is the ground's. colour,
    ground: red, green and blue, 0 to 255: (3,), or a colour for each pixel.
    """
    weight = share[..., None]
    parts = np.rint(weight * np.array(colour) + (1 - weight) * np.array(ground))
    return [
        [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in row]
        for row in parts.astype(int).tolist()
    ]


def grey(images: torch.Tensor) -> NDArray[np.float64]:
    """Average over channels: (..., channels, height, width) -> (..., height, width)."""
    averaged: NDArray[np.float64] = images.detach().cpu().double().mean(-3).numpy()
    return averaged


def probabilities(model: Model, changed: torch.Tensor) -> NDArray[np.float64]:
    """Return the probability of each class for each image after each change.

    changed: (changes, n, channels, height, width). Returns (changes, n, classes).
    """
    of_each = [predict_logits(model, images).softmax(1) for images in changed]
    return torch.stack(of_each).double().numpy()


def image_slider(labels: torch.Tensor, value: int) -> widgets.SelectionSlider:
    """Return a slider over images, each named by its number and its label."""
    names = [f"{i}: a {label}" for i, label in enumerate(labels.tolist(), start=1)]
    options = [(name, i) for i, name in enumerate(names)]
    return widgets.SelectionSlider(options=options, value=value)
