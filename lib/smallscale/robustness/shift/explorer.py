"""Which corruption flips the reading? A widget for one corrupted image.

The corrupted images are computed beforehand; moving a slider only draws them.
"""

from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
from numpy.typing import NDArray

from smallscale.core.templates import template
from smallscale.notebook.explorer import Explorer
from smallscale.robustness.pictures import (
    WHITE,
    grey,
    image_slider,
    mixed,
    picture,
    probabilities,
)
from smallscale.robustness.shift.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from smallscale.training.evaluation import Model

OPENING_SEVERITY = 3


def corruption_explorer(
    model: Model, images: Any, labels: Any, *, seed: int = 0
) -> Explorer:
    """Return a scene and its sliders, for `explore`.

    Choose an image, a corruption and a severity.
    It shows the corrupted image and the class probabilities.
    images: (n, channels, height, width) in [0, 1], shown as the mean over channels;
    labels: (n,). It opens on the corruption that makes the model misread most at
    severity 3, and on an image that is misread, if there is one.
    """
    labels = torch.as_tensor(labels).cpu()
    severities = (0, *SEVERITIES)
    pictures = {}
    shares = {}
    misread = {}
    for name in CORRUPTIONS:
        corrupted = torch.stack(
            [corrupt(images, name, severity, seed=seed) for severity in severities]
        )
        pictures[name] = grey(corrupted)
        shares[name] = probabilities(model, corrupted)
        misread[name] = shares[name][OPENING_SEVERITY].argmax(1) != labels.numpy()
    hardest = max(misread, key=lambda name: int(misread[name].sum()))

    def scene(i: int, name: str, severity: int) -> str:
        return corruption_scene(
            pictures[name][severity, i],
            shares[name][severity, i],
            int(labels[i]),
            name,
            severity,
        )

    sliders = {
        "image": image_slider(labels, int(misread[hardest].argmax())),
        "corruption": widgets.SelectionSlider(options=list(CORRUPTIONS), value=hardest),
        "severity": widgets.SelectionSlider(options=severities, value=OPENING_SEVERITY),
    }
    return scene, sliders


def corruption_scene(
    seen: NDArray[np.float64],
    shares: NDArray[np.float64],
    truth: int,
    name: str,
    severity: int,
) -> str:
    """Return the state as HTML: an SVG, and a sentence that says what it shows.

    seen: (height, width) in [0, 1]; shares: (classes,) the model's probabilities;
    truth: the label; name, severity: of the corruption.
    """
    read = int(shares.argmax())
    state = f"{name.capitalize()}, severity {severity}" if severity else "Not corrupted"
    reading = f"true {truth}, read as {read} with probability {shares[read]:.2f}"
    return template("robustness/shift/corruption.html.j2").render(
        sentence=f"{state}: {reading}.",
        image=picture("what the model sees", mixed(seen, WHITE)),
        probabilities=shares.tolist(),
        truth=truth,
        read=read,
    )
