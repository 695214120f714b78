"""What the tests of attacks share: small models with random weights, small images."""

import pytest
import torch
from torch import Tensor, nn

from smallscale.training.evaluation import Model, predict_logits

NORMS = pytest.mark.parametrize("norm", ["linf", "l2"])


def linear(classes: int = 2, *, seed: int = 0) -> nn.Sequential:
    """Return a classifier with logits W x + b of 1x4x4 images."""
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(16, classes)
    nn.init.normal_(layer.weight, generator=generator)
    nn.init.normal_(layer.bias, std=0.1, generator=generator)
    return nn.Sequential(nn.Flatten(), layer).eval()


def network(classes: int = 3, *, seed: int = 0) -> nn.Sequential:
    """Return a random nonlinear classifier of 1x4x4 images."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, classes)
    )
    for parameter in net.parameters():
        nn.init.normal_(parameter, generator=generator)
    return net.eval()


def some_images(
    n: int, *, low: float = 0.0, high: float = 1.0, seed: int = 0
) -> Tensor:
    """Return n random images of 1x4x4 pixels, between low and high."""
    random = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    return low + (high - low) * random


def read(model: Model, images: Tensor) -> Tensor:
    """Return the class that each image is read as, (n,)."""
    return predict_logits(model, images).argmax(1)


def length(change: Tensor, norm: str) -> Tensor:
    """Return how long each image's change is in the norm, (n,)."""
    rows = change.flatten(1)
    return rows.abs().amax(1) if norm == "linf" else rows.norm(dim=1)


def private(seed: int = 0) -> torch.Generator:
    """Return a generator of random numbers of its own."""
    return torch.Generator().manual_seed(seed)
