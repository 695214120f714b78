"""Which change of the input does a classifier not survive? Eight corruptions at five severities.

They follow ImageNet-C (Hendrycks and Dietterich 2019), adapted to small grey digits: turned and moved in place of
fog and pixels, which mean little on eight by eight.
"""

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Generator, Tensor

from smallscale.core.intervals import share_interval
from smallscale.training.evaluation import Model, correct

SEVERITIES = (1, 2, 3, 4, 5)


def gaussian_noise(x: Tensor, std: float, generator: Generator) -> Tensor:
    """Every pixel moved by a normal number: the noise of a sensor in poor light."""
    return x + std * torch.randn(x.shape, generator=generator)


def shot_noise(x: Tensor, photons: float, generator: Generator) -> Tensor:
    """Every pixel counts photons, `photons` on average where it is white: the noise of light itself."""
    return torch.poisson(x * photons, generator=generator) / photons


def impulse_noise(x: Tensor, share: float, generator: Generator) -> Tensor:
    """This share of the pixels turns black or white: dead and hot pixels."""
    where, value = torch.rand(2, *x.shape, generator=generator)
    return torch.where(where < share, value.round(), x)


def blur(x: Tensor, sigma: float, generator: Generator) -> Tensor:
    """A Gaussian blur of this standard deviation, as a share of the height; black lies beyond the edge."""
    pixels = sigma * x.shape[2]
    reach = math.ceil(3 * pixels)
    return torch.from_numpy(
        gaussian_filter(x.numpy(), pixels, mode="constant", radius=reach, axes=(2, 3))
    )


def contrast(x: Tensor, factor: float, generator: Generator) -> Tensor:
    """Every pixel drawn towards its image's mean; `factor` of the distance is left."""
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + factor * (x - mean)


def brightness(x: Tensor, more: float, generator: Generator) -> Tensor:
    """Every pixel brighter by this much; white stays white."""
    return x + more


def translation(x: Tensor, share: float, generator: Generator) -> Tensor:
    """Moved by this share of the side in a random direction, an own one for each image; black moves in."""
    angle = 2 * math.pi * torch.rand(len(x), generator=generator)
    # affine_grid counts from -1 to 1: the whole side is 2.
    shift = (
        torch.stack([torch.cos(angle), torch.sin(angle)], 1).unsqueeze(2) * 2 * share
    )  # (n, 2, 1)
    return _moved(x, torch.cat([torch.eye(2).expand(len(x), 2, 2), shift], 2))


def rotation(x: Tensor, degrees: float, generator: Generator) -> Tensor:
    """Turned about the centre by this angle, each image to the left or to the right; black moves in."""
    angle = math.radians(degrees) * (
        2 * torch.randint(0, 2, (len(x),), generator=generator) - 1
    )
    cos, sin = torch.cos(angle), torch.sin(angle)
    slant = (
        x.shape[2] / x.shape[3]
    )  # affine_grid's unit is half a side, which differs in an oblong image
    rows = (
        torch.stack([cos, -sin * slant, 0 * cos], 1),
        torch.stack([sin / slant, cos, 0 * cos], 1),
    )
    return _moved(x, torch.stack(rows, 1))


def _moved(x: Tensor, where: Tensor) -> Tensor:
    """x sampled where (n, 2, 3) maps each pixel to."""
    return F.grid_sample(
        x, F.affine_grid(where, list(x.shape), align_corners=False), align_corners=False
    )


# A strength for each severity. Noise, contrast and brightness have ImageNet-C's.
CORRUPTIONS: dict[
    str, tuple[Callable[[Tensor, float, Generator], Tensor], tuple[float, ...]]
] = {
    "gaussian noise": (gaussian_noise, (0.08, 0.12, 0.18, 0.26, 0.38)),
    "shot noise": (shot_noise, (60, 25, 12, 5, 3)),
    "impulse noise": (impulse_noise, (0.03, 0.06, 0.09, 0.17, 0.27)),
    "blur": (blur, (0.05, 0.075, 0.1, 0.125, 0.15)),
    "contrast": (contrast, (0.4, 0.3, 0.2, 0.1, 0.05)),
    "brightness": (brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "rotation": (rotation, (8, 16, 24, 32, 40)),
    "translation": (translation, (0.05, 0.1, 0.15, 0.2, 0.25)),
}


def corrupt(images: Any, name: str, severity: int, *, seed: int = 0) -> Tensor:
    """The images (n, channels, height, width), in [0, 1], after one of CORRUPTIONS; new, in [0, 1] again.

    severity: 1 to 5, or 0 for the images themselves. seed: of what is random, the same at every severity, so
    that noise grows but keeps its pattern. Raises ValueError for an unknown name or severity, and other images.
    """
    images = torch.as_tensor(images).detach().cpu().float()
    if name not in CORRUPTIONS:
        raise ValueError(f"name must be one of {', '.join(CORRUPTIONS)}; got {name!r}")
    if severity not in (0, *SEVERITIES):
        raise ValueError(
            f"severity must be a whole number from 0 to 5; got {severity!r}"
        )
    if images.ndim != 4 or images.numel() == 0:
        raise ValueError(
            f"images must be (n, channels, height, width), not empty; got {tuple(images.shape)}"
        )
    if not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            f"images must lie in [0, 1]; got {float(images.min()):g} to {float(images.max()):g}"
        )
    if severity == 0:
        return images.clone()
    function, strengths = CORRUPTIONS[name]
    return function(
        images, strengths[int(severity) - 1], Generator().manual_seed(seed)
    ).clamp(0, 1)


def corruption_accuracy(
    model: Model, images: Any, labels: Any, *, seed: int = 0
) -> pd.DataFrame:
    """A row for each corruption and severity: corruption, severity, accuracy, low, high (95 % Wilson interval)."""
    rows = []
    for name, severity in product(CORRUPTIONS, SEVERITIES):
        right = correct(model, corrupt(images, name, severity, seed=seed), labels)
        rows.append((name, severity, *share_interval(right)))
    return pd.DataFrame(
        rows, columns=["corruption", "severity", "accuracy", "low", "high"]
    )
