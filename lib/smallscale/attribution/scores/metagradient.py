"""How does the test loss depend on each example's weight, through all of training?

The metagradient is the exact derivative of a training run (Maclaurin et al. 2015,
Engstrom et al. 2025): no quadratic picture, no Hessian's inverse, but one run only.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad, vjp, vmap

from smallscale.attribution.scores.examples import Examples, finite_points
from smallscale.attribution.scores.flat_model import FlatModel, as_scores
from smallscale.attribution.scores.loss_checks import TRIED, Loss
from smallscale.attribution.scores.model_checks import check_model
from smallscale.attribution.scores.training_config import (
    TrainingConfig,
    check_layers,
    check_modes,
    with_bar,
)


def metagradient(
    model: nn.Module,
    loss: Loss,
    train: Any,
    test: Any,
    *,
    config: TrainingConfig,
    progress: str = "",
) -> Tensor:
    """Return the derivative of each test loss through a training run:
        scores[i, j] = -d loss_j(theta_T) / d w_i  at w = 1
    where w_i is the weight of example i in its batches' mean loss; (n_train, n_test).
    The run is replayed, then walked backwards with lambda, the derivative by theta, and
    nu, the derivative by v. H, g_i: Hessian and gradients of a step's batch of b.
        a = nu - lr lambda,   d/dw_i += a . g_i / b,   lambda += H a,   nu = momentum a

    It is the first-order change in the loss if example i were taken out of this run and
    nothing else changed: same start, same batches (Maclaurin et al. 2015, algorithm 2;
    Engstrom et al. 2025).

    model: with the weights that the run starts from; it stays as it is. All parameters
    of all steps are kept in memory. Raises ValueError as `grad_dot` and `retrain` do.

    >>> from torch import nn
    >>> model = nn.Linear(1, 1, bias=False)  # output w x; the loss is the output
    >>> train, test = ([[2.0]], [0.0]), ([[1.0]], [0.0])
    >>> config = TrainingConfig(epochs=1, lr=0.1)  # one step, w falls by 0.1 * 2
    >>> first = lambda outputs, targets: outputs[..., 0]
    >>> metagradient(model, first, train, test, config=config)
    tensor([[0.2000]])
    """
    flat = _checked_run(model, loss, train, test)
    x, y = flat.train
    steps = config.steps(len(x))
    flat.check_train_slopes()

    def objective(theta: Tensor, x: Tensor, y: Tensor) -> Tensor:
        penalty = config.weight_decay / 2 * theta.square().sum()
        return flat.losses(theta, x, y).sum() / len(x) + penalty

    path = []  # theta before each step
    theta = flat.parameters  # algorithm 1: the run, forwards
    v = torch.zeros_like(theta)
    for batch, lr in steps:
        path.append(theta)
        v = config.momentum * v + grad(objective)(theta, x[batch], y[batch])
        _check_step(flat, v, theta, batch)
        theta = theta - lr * v

    lam = flat.test_gradients(theta)  # algorithm 2: lambda, (n_test, p)
    nu = torch.zeros_like(lam)
    scores = lam.new_zeros(len(x), len(lam))
    backwards = list(zip(steps, path, strict=True))[::-1]
    for (batch, lr), theta in with_bar(backwards, progress):
        examples = (x[batch], y[batch])
        a = nu - lr * lam
        scores[batch] -= flat.gradients(examples, theta) @ a.T / len(batch)
        lam = lam + _hessian_products(objective, theta, examples, a, flat)  # + H a
        _check_step(flat, lam, theta, batch)
        nu = config.momentum * a
    return as_scores(scores, model)


def _hessian_products(
    objective: Callable[..., Tensor],
    theta: Tensor,
    examples: Examples,
    vectors: Tensor,
    flat: FlatModel,
) -> Tensor:
    """Return the Hessian of objective(theta, x, y) times each of vectors, (k, p).

    It is symmetric, so a product from the left will do, and is nearly twice as fast as
    one from the right by jvp.
    """
    x, y = examples
    gradient = partial(grad(objective), x=x, y=y)
    times_hessian = vjp(gradient, theta)[1]
    product: Tensor = vmap(times_hessian, chunk_size=flat.block_length(8))(vectors)[0]
    return product


def _checked_run(model: nn.Module, loss: Loss, train: Any, test: Any) -> FlatModel:
    """Return the model as a flat one; ValueError for layers that have no place here."""
    check_model("model", model)
    check_layers(model)
    flat = FlatModel(model, loss, train, test)
    check_modes(flat.model, flat.train[0][:TRIED])
    return flat


def _check_step(flat: FlatModel, found: Tensor, theta: Tensor, batch: Tensor) -> None:
    """Refuse what a step has found where it is not finite, naming a training point.

    theta: the parameters at which it was found, of the examples in the batch.
    """
    if bool(found.isfinite().all()):
        return
    x, y = (part[batch] for part in flat.train)
    finite_points("train", flat.losses(theta, x, y), what="loss", first=batch)
    finite_points("train", flat.gradients((x, y), theta), what="gradient", first=batch)
    raise ValueError(
        "config must have a smaller lr, or momentum: the run diverges, to parameters "
        f"as large as {float(theta.abs().max()):.1g}"
    )
