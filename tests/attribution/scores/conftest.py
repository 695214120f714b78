"""Small data that several tests of scores share."""

import pytest
import torch
from torch import Tensor

from tests.attribution.scores.small_problems import randn


@pytest.fixture(scope="module")
def regression() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    x, x_test = randn(30, 4), randn(7, 4, seed=1)
    truth = randn(4, 1, seed=2)
    return (x, x @ truth + 0.3 * randn(30, 1, seed=3)), (
        x_test,
        x_test @ truth + 0.3 * randn(7, 1, seed=4),
    )


@pytest.fixture(scope="module")
def blobs() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    y, y_test = torch.arange(60) % 3, torch.arange(9) % 3
    centres = 1.2 * randn(3, 5, seed=5)
    return (centres[y] + randn(60, 5, seed=6), y), (
        centres[y_test] + randn(9, 5, seed=7),
        y_test,
    )
