"""Which change of the input does a classifier not survive?

Eight corruptions at five severities follow ImageNet-C (Hendrycks and Dietterich 2019),
adapted to small grey digits: turned and moved in place of fog and pixels, which mean
little on eight by eight.

To add a corruption, write its function and add a row to CORRUPTIONS.
"""

import math
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, NamedTuple

import pandas as pd
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Generator, Tensor

from smallscale.core.intervals import share_interval
from smallscale.core.validation import as_float, as_tensor, one_of, require
from smallscale.training.evaluation import Model, correct

SEVERITIES = (1, 2, 3, 4, 5)


def gaussian_noise(x: Tensor, std: float, generator: Generator) -> Tensor:
    """Move every pixel by a normal number: the noise of a sensor in poor light."""
    return x + std * torch.randn(x.shape, generator=generator)


def shot_noise(x: Tensor, photons: float, generator: Generator) -> Tensor:
    """Let every pixel count photons, `photons` on average where it is white.

    It is the noise of light itself.
    """
    return torch.poisson(x * photons, generator=generator) / photons


def impulse_noise(x: Tensor, share: float, generator: Generator) -> Tensor:
    """Turn this share of the pixels black or white: dead and hot pixels."""
    where, value = torch.rand(2, *x.shape, generator=generator)
    return torch.where(where < share, value.round(), x)


def blur(x: Tensor, sigma: float, generator: Generator) -> Tensor:
    """Blur by a Gaussian of this standard deviation, as a share of the height.

    Black lies beyond the edge.
    """
    pixels = sigma * x.shape[2]
    reach = math.ceil(3 * pixels)
    blurred = gaussian_filter(
        x.numpy(), pixels, mode="constant", radius=reach, axes=(2, 3)
    )
    return torch.from_numpy(blurred)


def contrast(x: Tensor, factor: float, generator: Generator) -> Tensor:
    """Draw every pixel towards its image's mean; `factor` of the distance is left."""
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + factor * (x - mean)


def brightness(x: Tensor, more: float, generator: Generator) -> Tensor:
    """Make every pixel brighter by this much; white stays white."""
    return x + more


def translation(x: Tensor, share: float, generator: Generator) -> Tensor:
    """Move each image by this share of its side, in a random direction of its own.
        pixel (a, b) of the result is pixel (a, b) + share * side * (cos t, sin t) of x
    with t uniform from 0 to 2 pi, drawn for each image; black moves in.
    """
    t = 2 * math.pi * torch.rand(len(x), generator=generator)
    shift = 2 * share * torch.stack([torch.cos(t), torch.sin(t)], 1)  # a side counts 2
    unturned = torch.eye(2).expand(len(x), 2, 2)
    return _sampled_at(x, torch.cat([unturned, shift[:, :, None]], 2))


def rotation(x: Tensor, degrees: float, generator: Generator) -> Tensor:
    """Turn each image about its centre by this angle, to the left or to the right.

    Black moves in.
    """
    left_or_right = 2 * torch.randint(0, 2, (len(x),), generator=generator) - 1
    angle = math.radians(degrees) * left_or_right
    cos, sin = torch.cos(angle), torch.sin(angle)
    # Places are counted in half sides, which differ in an oblong image.
    oblong = x.shape[2] / x.shape[3]
    no_shift = 0 * cos
    first_row = torch.stack([cos, -sin * oblong, no_shift], 1)
    second_row = torch.stack([sin / oblong, cos, no_shift], 1)
    return _sampled_at(x, torch.stack([first_row, second_row], 1))


def _sampled_at(x: Tensor, maps: Tensor) -> Tensor:
    """Return x (n, channels, height, width) sampled where maps send each pixel.

    maps: (n, 2, 3), an affine map of places (across, down, 1) for each image, counted
    from -1 at one edge to 1 at the other.
    """
    places = F.affine_grid(maps, list(x.shape), align_corners=False)
    return F.grid_sample(x, places, align_corners=False)


class Corruption(NamedTuple):
    """What changes the images, and how strongly at each severity.

    apply(images, strength, generator) returns images of the same shape.
    """

    apply: Callable[[Tensor, float, Generator], Tensor]
    strengths: tuple[float, ...]


# Noise, contrast and brightness have ImageNet-C's strengths.
CORRUPTIONS: Mapping[str, Corruption] = {
    "gaussian noise": Corruption(gaussian_noise, (0.08, 0.12, 0.18, 0.26, 0.38)),
    "shot noise": Corruption(shot_noise, (60, 25, 12, 5, 3)),
    "impulse noise": Corruption(impulse_noise, (0.03, 0.06, 0.09, 0.17, 0.27)),
    "blur": Corruption(blur, (0.05, 0.075, 0.1, 0.125, 0.15)),
    "contrast": Corruption(contrast, (0.4, 0.3, 0.2, 0.1, 0.05)),
    "brightness": Corruption(brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "rotation": Corruption(rotation, (8, 16, 24, 32, 40)),
    "translation": Corruption(translation, (0.05, 0.1, 0.15, 0.2, 0.25)),
}


def corrupt(images: Any, name: str, severity: int, *, seed: int = 0) -> Tensor:
    """Return the images after one of CORRUPTIONS, new and in [0, 1] again.

    images: (n, channels, height, width), in [0, 1]. severity: 1 to 5, or 0 for the
    images themselves. seed: of what is random, the same at every severity, so that
    noise grows but keeps its pattern.
    Raises ValueError for an unknown name or severity, and other images.

    >>> corrupt([[[[0.5, 1.0]]]], "brightness", 2)
    tensor([[[[0.7000, 1.0000]]]])
    """
    x = _checked_images(images)
    one_of("name", name, CORRUPTIONS)
    allowed = f"severity must be a whole number from 0 to {SEVERITIES[-1]}"
    known = as_float(severity) in (0, *SEVERITIES)  # True is none
    require(known, f"{allowed}; got {severity!r}")
    if severity == 0:
        return x.clone()
    corruption = CORRUPTIONS[name]
    strength = corruption.strengths[int(severity) - 1]
    changed = corruption.apply(x, strength, Generator().manual_seed(seed))
    return changed.clamp(0, 1)


def corruption_accuracy(
    model: Model, images: Any, labels: Any, *, seed: int = 0
) -> pd.DataFrame:
    """Return a row for each corruption and severity.

    images: (n, channels, height, width) in [0, 1]; labels: (n,). Columns: corruption,
    severity, accuracy, low, high (the 95 % Wilson interval).
    """
    rows = []
    for name, severity in product(CORRUPTIONS, SEVERITIES):
        right = correct(model, corrupt(images, name, severity, seed=seed), labels)
        rows.append((name, severity, *share_interval(right)))
    columns = ["corruption", "severity", "accuracy", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def corruption_errors(
    table: pd.DataFrame, baseline: pd.DataFrame, *, clean: float, baseline_clean: float
) -> pd.DataFrame:
    """Return each corruption's error as a share of a baseline model's.
        CE_c          = sum over s of E(s, c) / sum over s of E_baseline(s, c)
        relative CE_c = sum over s of (E(s, c) - E(clean)) / the same of the baseline
    (Hendrycks and Dietterich 2019, section 4; there the baseline is AlexNet).

    E is the share read wrong, s a severity. table, baseline: of `corruption_accuracy`
    on the same images; clean, baseline_clean: accuracy on the images themselves.
    Columns: CE and relative_CE, a row for each corruption; the means are mCE and
    relative mCE. A baseline whose error does not grow gives a relative CE of NaN.
    Raises ValueError where the tables hold other corruptions or severities.
    """
    here = _errors(table)
    there = _errors(baseline)
    same = here.index.equals(there.index) and here.columns.equals(there.columns)
    require(same, "table and baseline must hold the same corruptions and severities")
    lost = (here - (1 - clean)).sum(axis=1)
    lost_there = (there - (1 - baseline_clean)).sum(axis=1)
    return pd.DataFrame(
        {
            "CE": here.sum(axis=1) / there.sum(axis=1),
            "relative_CE": lost / lost_there.where(lost_there > 0),
        }
    )


def _errors(table: pd.DataFrame) -> pd.DataFrame:
    accuracy = table.pivot(index="corruption", columns="severity", values="accuracy")
    return 1 - accuracy


def _checked_images(images: Any) -> Tensor:
    x = as_tensor("images", images).detach().cpu().float()
    allowed = "images must be (n, channels, height, width), not empty"
    good = x.ndim == 4 and x.numel() > 0
    require(good, f"{allowed}; got {tuple(x.shape)}")
    least, most = float(x.min()), float(x.max())
    inside = least >= 0 and most <= 1
    require(inside, f"images must lie in [0, 1]; got {least:g} to {most:g}")
    return x
