"""At which change does the reading flip? A widget for one image under attack.

The attacked images are computed beforehand; moving a slider only draws them.
"""

from collections.abc import Iterable
from functools import partial
from itertools import pairwise
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
from numpy.typing import NDArray

from smallscale.core.templates import template
from smallscale.core.validation import as_float, as_tensor, require
from smallscale.notebook.explorer import Explorer
from smallscale.robustness.images.attacks import pgd
from smallscale.robustness.pictures import (
    WHITE,
    grey,
    image_slider,
    mixed,
    picture,
    probabilities,
)
from smallscale.training.evaluation import Model

# Okabe and Ito's orange and blue.
BRIGHTER = (0xD5, 0x5E, 0x00)
DARKER = (0x00, 0x72, 0xB2)
SHADES = 32  # of each colour in the change: more than an eye tells apart


def attack_explorer(
    model: Model,
    images: Any,
    labels: Any,
    eps_grid: Iterable[float],
    *,
    norm: str = "linf",
    steps: int = 40,
) -> Explorer:
    """Return a scene and its sliders, for `explore`.

    Choose an image and an eps. It shows the attacked image, the change, and the class
    probabilities.
    images: (n, channels, height, width) in [0, 1], shown as the mean over channels;
    labels: (n,). eps_grid: the radii of the slider, increasing; `pgd` with `norm` and
    `steps` is run at each, on all images. It opens on the image that flips soonest, one
    notch of the slider before it does.
    Raises ValueError for an empty batch or grid, a grid that does not increase, and as
    `pgd` does.
    """
    images = as_tensor("images", images)
    labels = as_tensor("labels", labels).cpu()
    radii = _checked_radii(eps_grid, images.shape[:1].numel())
    attack = partial(pgd, norm=norm, steps=steps, random_start=True)
    attacked = torch.stack([attack(model, images, labels, eps) for eps in radii])
    original, seen = grey(images), grey(attacked)
    shares = probabilities(model, attacked)
    image, notch = opening(shares.argmax(2) != labels.numpy())

    def scene(i: int, k: int) -> str:
        return attack_scene(
            original[i], seen[k, i], shares[k, i], int(labels[i]), radii[k], norm
        )

    options = [(f"{radius:g}", k) for k, radius in enumerate(radii)]
    sliders = {
        "image": image_slider(labels, image),
        "eps": widgets.SelectionSlider(options=options, value=notch),
    }
    return scene, sliders


def opening(wrong: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the image and the notch just before the soonest flip.

    wrong: (radii, n), whether each image is read wrong at each notch of the slider. A
    flip at the second notch would start it on the unchanged image: a later one is
    preferred. If none flips, or only from the start, it is the first image at the
    largest radius.
    """
    notches = len(wrong)
    flips = wrong.argmax(0).tolist()  # 0: never, or all along

    def rank(image: int) -> int:
        if flips[image] > 1:
            return int(flips[image])
        return notches if flips[image] == 1 else notches + 1

    image = min(range(len(flips)), key=rank)
    return image, (flips[image] or notches) - 1


def attack_scene(
    original: NDArray[np.float64],
    seen: NDArray[np.float64],
    shares: NDArray[np.float64],
    truth: int,
    eps: float,
    norm: str,
) -> str:
    """Return the state as HTML: an SVG, and a sentence that says what it shows.

    original, seen: (height, width) in [0, 1], before and after the attack; shares:
    (classes,) the model's probabilities; truth: the label.
    """
    read = int(shares.argmax())
    change = seen - original
    largest = float(np.abs(change).max())
    of_truth = f" ({truth}: {shares[truth]:.2f})" if read != truth else ""
    size, caption = "no perturbation.", "change: none"
    if largest > 0:
        measure = "per pixel" if norm == "linf" else "in length"
        size = f"perturbation at most {eps:g} {measure}."
        caption = f"change, {1 / largest:.3g} times as strong"
        change = change / largest
    reading = f"True {truth}, read as {read} with probability {shares[read]:.2f}"
    return template("robustness/images/attack.html.j2").render(
        sentence=f"{reading}{of_truth}; {size}",
        image=picture("image", mixed(seen, WHITE)),
        change=picture(caption, _signed_colours(change)),
        probabilities=shares.tolist(),
        truth=truth,
        read=read,
    )


def _signed_colours(change: NDArray[np.float64]) -> list[list[str]]:
    """Return the colours of a change (height, width) in [-1, 1]; none is white."""
    strength = np.rint(np.abs(change) * SHADES) / SHADES
    colour = np.where(change[..., None] > 0, BRIGHTER, DARKER)
    return mixed(strength, colour, WHITE)


def _checked_radii(eps_grid: Iterable[float], images: int) -> list[float]:
    radii = [as_float(eps) for eps in eps_grid]
    got = f"{images} images and {len(radii)} radii"
    full = images > 0 and len(radii) > 0
    require(full, f"images and eps_grid must not be empty; got {got}")
    increasing = all(low < high for low, high in pairwise(radii))
    message = f"eps_grid must increase from one radius to the next; got {radii}"
    require(increasing, message)
    return radii
