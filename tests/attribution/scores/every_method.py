"""Every method that takes a loss, called alike, and a small problem for them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from smallscale.attribution import (
    grad_dot,
    influence,
    leave_one_out,
    metagradient,
    retrain,
    tracin,
    trak,
)
from tests.attribution.scores.small_problems import CONFIG, randn

Method = Callable[..., Any]

Method = Callable[..., Any]


def column(n: int = 12) -> tuple[Tensor, Tensor]:
    """Inputs (n, 4), and targets (n,) for a model with outputs (n, 1)."""
    return randn(n, 4), randn(n, seed=1).abs()


def line(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Linear(4, 1).double()


def by_retraining(model: nn.Module, loss: Any, train: Any, test: Any) -> Any:
    return retrain(model, loss, train, CONFIG)


def by_leaving_out(model: nn.Module, loss: Any, train: Any, test: Any) -> Any:
    return leave_one_out(lambda x, y: model, loss, train, test)


def by_metagradient(model: nn.Module, loss: Any, train: Any, test: Any) -> Any:
    return metagradient(model, loss, train, test, config=CONFIG)


def by_influence(model: nn.Module, loss: Any, train: Any, test: Any) -> Any:
    return influence(model, loss, train, test, damping=0.1)


def by_trak(model: nn.Module, loss: Any, train: Any, test: Any) -> Any:
    return trak(model, loss, train, test, ridge=0.1)


METHODS: list[Method] = [
    by_retraining,
    by_leaving_out,
    by_metagradient,
    by_influence,
    by_trak,
    grad_dot,
    tracin,
]
BY_TRAINING_POINT = [method for method in METHODS if method is not by_leaving_out]


# Outputs are (n, 1) and targets (n,): the first three compare every pair.
def squares(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs[:, 0] - targets) ** 2
