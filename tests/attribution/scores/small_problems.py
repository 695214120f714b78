"""Problems whose answer is known: closed forms, and fits to their minimum."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smallscale.attribution import TrainingConfig
from smallscale.models.classifiers import small_mlp

cross_entropy = partial(F.cross_entropy, reduction="none")


def half_square(outputs: Tensor, targets: Tensor) -> Tensor:
    return (
        0.5 * (outputs - targets).square().flatten(1).sum(1)
        if outputs.dim() > 1
        else 0.5 * (outputs - targets) ** 2
    )


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(
        *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    model = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(weight)
        model.bias.copy_(bias)
    return model


def ridge(weight_decay: float, n: int | None = None) -> Any:
    """A fit of mean(half squares) + weight_decay/2 ||theta||^2, by normal equations.

    n: what divides the sum, whatever the number of examples; None: that number.
    """

    def fit(x: Tensor, y: Tensor) -> nn.Linear:
        ones = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
        size = len(x) if n is None else n
        theta = torch.linalg.solve(
            ones.T @ ones / size
            + weight_decay * torch.eye(ones.shape[1], dtype=x.dtype),
            ones.T @ y / size,
        )
        return linear(theta[:-1].T, theta[-1])

    return fit


def softmax_regression(
    weight_decay: float, n: int | None = None, classes: int = 3
) -> Any:
    def fit(x: Tensor, y: Tensor) -> nn.Linear:
        model = linear(torch.zeros(classes, x.shape[1]), torch.zeros(classes))
        optimizer = torch.optim.LBFGS(
            model.parameters(),
            max_iter=500,
            tolerance_grad=1e-12,
            tolerance_change=1e-16,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            optimizer.zero_grad()
            penalty = sum(p.square().sum() for p in model.parameters())
            value = (
                F.cross_entropy(model(x), y, reduction="sum") / (n or len(x))
                + weight_decay / 2 * penalty
            )
            value.backward()
            return value

        optimizer.step(closure)
        return model

    return fit


CONFIG = TrainingConfig(epochs=3, batch_size=7, lr=0.1, weight_decay=0.01, seed=2)


def examples(n: int = 20, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 5, generator=generator, dtype=torch.float64), torch.arange(
        n
    ) % 3


def network(seed: int = 0) -> nn.Module:
    return small_mlp(5, 3, hidden=4, seed=seed).double()


def same(model: nn.Module, other: nn.Module) -> None:
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def alone(
    model: nn.Module, train: Any, run: TrainingConfig, weights: Tensor | None = None
) -> nn.Module:
    """The same training as one usually writes it."""
    x, y = train
    weights = torch.ones(len(x), dtype=x.dtype) if weights is None else weights
    optimizer = torch.optim.SGD(
        model.parameters(), lr=1, momentum=run.momentum, weight_decay=run.weight_decay
    )
    for batch, lr in run.steps(len(x)):
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        (cross_entropy(model(x[batch]), y[batch]) * weights[batch]).mean().backward()
        optimizer.step()
    return model
