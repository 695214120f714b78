"""What does a change look like, and when does the reading flip? Widgets: one image, one change, what the model sees.

The changed images are computed beforehand. Moving a slider only writes a picture as SVG, which takes about a
millisecond and needs no plotting library.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
from jinja2 import Template

from smallscale.robustness.images.attacks import as_number, pgd
from smallscale.robustness.shift.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from smallscale.training.evaluation import Model, predict_logits

BRIGHTER, DARKER = (
    (0xD5, 0x5E, 0x00),
    (0x00, 0x72, 0xB2),
)  # Okabe and Ito's orange and blue
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
Explorer = tuple[
    Callable[..., str], dict[str, Any]
]  # what `smallscale.notebook.explore` shows
PAGE = Template(
    Path(__file__).with_name("scene.html.j2").read_text("utf-8"),
    autoescape=True,
    trim_blocks=True,
)


def attack_explorer(
    model: Model,
    images: Any,
    labels: Any,
    eps_grid: Iterable[float],
    *,
    norm: str = "linf",
    steps: int = 40,
) -> Explorer:
    """For `explore`: choose an image and an eps; see the attacked image, the change, and the class probabilities.

    images: (n, channels, height, width) in [0, 1], shown as the mean over channels; labels: (n,).
    eps_grid: the radii of the slider, increasing; `pgd` with `norm` and `steps` is run at each, on all images.
    It opens on the image that flips soonest, one notch of the slider before it does.
    Raises ValueError for an empty batch or grid, a grid that does not increase, and as `pgd` does.
    """
    images, labels = torch.as_tensor(images), torch.as_tensor(labels).cpu()
    grid = [as_number(eps) for eps in eps_grid]
    if len(images) == 0 or not grid:
        raise ValueError(
            f"images and eps_grid must not be empty; got {len(images)} images and {len(grid)} radii"
        )
    if any(not low < high for low, high in pairwise(grid)):
        raise ValueError(
            f"eps_grid must increase from one radius to the next; got {grid}"
        )
    attacked = torch.stack(
        [pgd(model, images, labels, eps, norm=norm, steps=steps) for eps in grid]
    )
    original, seen, probabilities = (
        _grey(images),
        _grey(attacked),
        _probabilities(model, attacked),
    )
    first, notch = _start(probabilities.argmax(2) != labels.numpy())
    radii = [(f"{radius:g}", k) for k, radius in enumerate(grid)]

    def shown(i: int, k: int) -> str:
        return scene(
            original[i], seen[k, i], probabilities[k, i], int(labels[i]), grid[k], norm
        )

    return shown, {
        "image": _images(labels, first),
        "eps": widgets.SelectionSlider(options=radii, value=notch),
    }


def corruption_explorer(
    model: Model, images: Any, labels: Any, *, seed: int = 0
) -> Explorer:
    """For `explore`: choose an image, a corruption and a severity; see the image and the class probabilities.

    images: (n, channels, height, width) in [0, 1], shown as the mean over channels; labels: (n,). All readings are
    computed beforehand. It opens on a corruption that makes the model misread at severity 3, if there is one.
    """
    labels, severities = torch.as_tensor(labels).cpu(), (0, *SEVERITIES)
    corrupted = {
        n: torch.stack([corrupt(images, n, k, seed=seed) for k in severities])
        for n in CORRUPTIONS
    }
    seen = {
        name: (_grey(each), _probabilities(model, each))
        for name, each in corrupted.items()
    }
    wrong = {
        name: probabilities[3].argmax(1) != labels.numpy()
        for name, (_, probabilities) in seen.items()
    }
    most = max(wrong, key=lambda name: wrong[name].sum())

    def shown(i: int, name: str, severity: int) -> str:
        pictures, probabilities = (each[severity, i] for each in seen[name])
        return corruption_scene(pictures, probabilities, int(labels[i]), name, severity)

    sliders = {"image": _images(labels, int(wrong[most].argmax()))}
    sliders["corruption"] = widgets.SelectionSlider(options=list(seen), value=most)
    return shown, sliders | {
        "severity": widgets.SelectionSlider(options=severities, value=3)
    }


def _grey(images: torch.Tensor) -> np.ndarray:
    """(..., channels, height, width) -> (..., height, width)."""
    return images.detach().cpu().double().mean(-3).numpy()


def _probabilities(model: Model, changed: torch.Tensor) -> np.ndarray:
    """(changes, n, channels, height, width) -> (changes, n, classes)."""
    return np.stack(
        [
            predict_logits(model, images).softmax(1).double().numpy()
            for images in changed
        ]
    )


def _start(wrong: np.ndarray) -> tuple[int, int]:
    """(image, notch) just before the soonest flip, from wrong (radii, n); if none flips, the largest radius.

    A flip at the slider's second notch would start it on the unchanged image: a later one is preferred.
    """
    flips = np.where(
        wrong.any(0), wrong.argmax(0), 0
    )  # (n,): the first notch read wrong; 0: never, or from the start
    image = int(
        np.select([flips > 1, flips == 1], [flips, len(wrong)], len(wrong) + 1).argmin()
    )
    return image, (int(flips[image]) or len(wrong)) - 1


def _images(labels: torch.Tensor, value: int) -> widgets.SelectionSlider:
    return widgets.SelectionSlider(
        options=[(f"{i + 1}: a {y}", i) for i, y in enumerate(labels.tolist())],
        value=value,
    )


def scene(
    original: np.ndarray,
    seen: np.ndarray,
    probabilities: np.ndarray,
    truth: int,
    eps: float,
    norm: str,
) -> str:
    """The state as HTML: an SVG that says in words what it shows, and the same sentence below it.

    original, seen: (height, width) in [0, 1], before and after the attack; probabilities: (classes,).
    """
    read, change = int(probabilities.argmax()), seen - original
    largest = float(np.abs(change).max())
    doubt = f" ({truth}: {probabilities[truth]:.2f})" if read != truth else ""
    size, caption = "no perturbation.", "change: none"
    if largest > 0:
        size = f"perturbation at most {eps:g} " + (
            "per pixel." if norm == "linf" else "in length."
        )
        caption, change = f"change, {1 / largest:.3g} times as strong", change / largest
    sentence = f"True {truth}, read as {read} with probability {probabilities[read]:.2f}{doubt}; {size}"
    # Of the change, 32 shades each way: more than an eye tells apart.
    signed = _mixed(
        np.rint(abs(change) * 32) / 32,
        np.where(change[..., None] > 0, BRIGHTER, DARKER),
        WHITE,
    )
    key = "In the change, orange pixels were made brighter, blue ones darker."
    return _page(
        sentence,
        {"image": _mixed(seen, WHITE, BLACK), caption: signed},
        probabilities,
        truth,
        key,
    )


def corruption_scene(
    picture: np.ndarray, probabilities: np.ndarray, truth: int, name: str, severity: int
) -> str:
    """The state as HTML: an SVG of picture (height, width) in [0, 1] and probabilities (classes,), and a sentence."""
    read = int(probabilities.argmax())
    state = f"{name.capitalize()}, severity {severity}" if severity else "Not corrupted"
    sentence = f"{state}: true {truth}, read as {read} with probability {probabilities[read]:.2f}."
    return _page(
        sentence,
        {"what the model sees": _mixed(picture, WHITE, BLACK)},
        probabilities,
        truth,
    )


def _page(
    sentence: str,
    panels: dict[str, np.ndarray],
    probabilities: np.ndarray,
    truth: int,
    key: str = "",
) -> str:
    """The sentence, drawn: panels, captions and colours (height, width), and a bar for each class. The key is below."""
    pictures = []
    for caption, colours in panels.items():
        squares: dict[str, str] = defaultdict(
            str
        )  # those of one colour are drawn as one path
        for (row, column), colour in np.ndenumerate(colours):
            squares[colour] += f"M{column} {row}h1v1h-1z"
        pictures.append((caption, squares, *colours.shape))
    told = {
        "sentence": sentence,
        "pictures": pictures,
        "truth": truth,
        "read": int(probabilities.argmax()),
        "key": key,
    }
    return PAGE.render(probabilities=probabilities.tolist(), **told)


def _mixed(share: np.ndarray, colour: Any, ground: Any) -> np.ndarray:
    """(height, width) hexadecimal colours with `share` of one, (3,) or (height, width, 3), the rest of the other."""
    weight = share[..., None]
    mixed = np.rint(weight * np.array(colour) + (1 - weight) * np.array(ground)).astype(
        np.uint8
    )
    return np.apply_along_axis(lambda rgb: "#" + rgb.tobytes().hex(), 2, mixed)
