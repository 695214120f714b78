"""What would the model have been without these points? Hundreds of trainings as one, and the derivative of a training.

The ground truth of attribution is to train again. Small networks spend their time on starting operations, not on
arithmetic; so all are trained together, their parameters stacked into one tensor, by `torch.func.vmap`.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vjp, vmap
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from tqdm import tqdm

from smallscale.attribution.checks import require, require_counts, require_finite
from smallscale.attribution.scores.gradients import (
    Examples,
    Frame,
    Loss,
    Models,
    as_examples,
    as_models,
    cast,
    per_example,
)
from smallscale.training.evaluation import Model, eval_mode

Stack = dict[str, Tensor]  # parameters by name, each (models, ...)


@dataclass(frozen=True)
class Run:
    """A deterministic training run: SGD with momentum over shuffled batches, lr falling to 0 along half a cosine.

        v <- momentum * v + gradient of (batch mean loss + weight_decay/2 * ||theta||^2),   theta <- theta - lr * v

    seed: of the order of the examples.
    """

    epochs: int = 20
    batch_size: int = 16
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-3
    seed: int = 0

    def steps(self, n: int) -> list[tuple[Tensor, float]]:
        """The batches, as positions below n, each with its learning rate."""
        require_counts(epochs=self.epochs, batch_size=self.batch_size)
        generator = Generator().manual_seed(self.seed)
        orders = [torch.randperm(n, generator=generator) for _ in range(self.epochs)]
        batches = [batch for order in orders for batch in order.split(self.batch_size)]
        fall = (
            0.5 * (1 + math.cos(math.pi * t / len(batches)))
            for t in range(len(batches))
        )
        return [
            (batch, self.lr * share) for batch, share in zip(batches, fall, strict=True)
        ]


def retrain(
    models: Models,
    loss: Loss,
    train: Any,
    run: Run,
    *,
    rows: Any = None,
    weights: Any = None,
    progress: str = "",
) -> Stack:
    """Train many models together, each on its own part of the data; their parameters, stacked, (models, ...).

    models: of one architecture, with the weights that each starts from; a single one starts them all.
    train: (inputs, targets), n of each. rows: (models, k), which examples each model sees, in its own order; None:
    each sees all. weights: (models, k), of its examples in the batch's mean loss; 0 takes one out while everything
    else in the run stays as it was; None: all 1. A single model, row or weighting serves all the others.
    Each is trained as it would be alone (the same numbers up to rounding). Raises ValueError for layers that train
    and predict differently (dropout, batch norm), and for rows or weights that do not fit.
    """
    starts = as_models(models)
    _check_layers(starts[0])
    like = next(starts[0].parameters())
    inputs, targets = as_examples("train", train, like)
    rows = (
        torch.arange(len(inputs))[None]
        if rows is None
        else as_positions("rows", rows, len(inputs))
    )
    seen = rows.shape[-1]
    factors = (
        torch.ones(1, seen).to(like)
        if weights is None
        else torch.as_tensor(weights).to(like)
    )
    for name, part in (("rows", rows), ("weights", factors)):
        fit = part.dim() == 2 and part.shape[1] == seen and part.numel()
        require(
            fit,
            f"{name} must be (models, {seen}), one for each example seen; got {tuple(part.shape)}",
        )
    require_finite(weights=factors)
    counts = {"models": len(starts), "rows": len(rows), "weights": len(factors)}
    count = max(counts.values())
    require(
        {*counts.values()} <= {1, count},
        f"models, rows and weights must be as many, or one; got {counts}",
    )
    each = {
        name: p for name, p in stack_module_state(starts)[0].items() if p.requires_grad
    }
    stack = {
        name: p.detach().expand(count, *p.shape[1:]).clone().requires_grad_()
        for name, p in each.items()
    }
    params = list(stack.values())
    speed = [torch.zeros_like(p) for p in params]

    def losses(theta: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return loss(functional_call(starts[0], theta, (x,)), y)

    together = vmap(losses, in_dims=(0, None, None) if len(rows) == 1 else (0, 0, 0))
    steps = run.steps(seen)
    with eval_mode(starts[0]):
        for batch, lr in tqdm(
            steps, desc=progress, unit="step", leave=False, disable=not progress
        ):
            where = (
                rows[0, batch] if len(rows) == 1 else rows[:, batch]
            )  # (b,) or (models, b)
            values = together(stack, inputs[where], targets[where])  # (models, b)
            if weights is not None:
                values = values * factors[:, batch]
            gradients = torch.autograd.grad(values.sum() / len(batch), params)
            with torch.no_grad():
                torch._foreach_mul_(
                    speed, run.momentum
                )  # one call for all parameters: starting them is the cost
                torch._foreach_add_(speed, gradients)
                torch._foreach_add_(speed, params, alpha=run.weight_decay)
                torch._foreach_add_(params, speed, alpha=-lr)
    return {name: p.detach() for name, p in stack.items()}


def stack_outputs(model: nn.Module, stack: Stack, inputs: Any) -> Tensor:
    """What each model of the stack says of the inputs (n, ...): (models, n, ...)."""
    x = cast(inputs, next(model.parameters()))
    with eval_mode(model), torch.no_grad():
        return vmap(lambda theta: functional_call(model, theta, (x,)))(stack)


def member(model: nn.Module, stack: Stack, k: int = 0) -> nn.Module:
    """The k-th model of the stack, on its own, in eval mode; `model` says how it is built."""
    one = copy.deepcopy(model).eval()
    one.load_state_dict(
        {name: values[k] for name, values in stack.items()}, strict=False
    )
    return one


def leave_one_out(
    fit: Callable[[Tensor, Tensor], Model],
    loss: Loss,
    train: Any,
    test: Any,
    points: Any = None,
) -> Tensor:
    """The change in each test loss when a training point is left out and `fit` is called again: the truth.

    fit(inputs, targets) -> a model, the same for the same arguments; it is given tensors. points: positions of
    training points, a row of scores for each entry; None: all. Returns (len(points), n_test).
    With fits that differ by chance (a new order of batches), a single point's effect drowns: average many.
    Raises ValueError for points that are no positions, or no point left to train on.
    """
    inputs, targets = as_examples("train", train)
    held, n = as_examples("test", test), len(inputs)
    require(
        n > 1, "train must hold at least 2 examples, so that one can be left out; got 1"
    )
    chosen = torch.arange(n) if points is None else as_positions("points", points, n)
    require(
        chosen.dim() == 1,
        "points must be a list of positions of training points, such as [0, 5]",
    )
    full = _losses(fit(inputs, targets), loss, held)
    rest = (torch.arange(n) != point for point in chosen)
    changes = [
        _losses(fit(inputs[kept], targets[kept]), loss, held) - full for kept in rest
    ]
    return torch.stack(changes) if changes else full.new_zeros(0, len(full))


def metagradient(
    model: nn.Module, loss: Loss, train: Any, test: Any, *, run: Run, progress: str = ""
) -> Tensor:
    """The exact derivative of each test loss through a whole training run, scores (n_train, n_test).

        scores[i, j] = -d loss_j(theta_T) / d w_i  at w = 1,   w_i the weight of example i in its batches' mean loss

    The first-order change in the loss if example i were taken out of this run and nothing else changed: same start,
    same batches (Maclaurin et al. 2015; Engstrom et al. 2025). model: with the weights the run starts from; it stays
    as it is.
    Reverse mode: the run is replayed, all its parameters kept, then walked back with, for each test point, the
    adjoint a of the speed v:

        a = nu - lr lambda,   d/dw_i += a . g_i / b,   lambda <- lambda + H a,   nu <- momentum a

    g_i and H: gradients and Hessian of the batch of b at that step. Raises ValueError as `grad_dot` and `retrain` do.
    """
    _check_layers(model)
    frame = Frame(model, loss, train, test)
    x, y = frame.train
    steps = run.steps(len(x))

    def objective(theta: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return (
            frame.losses(theta, x, y).sum() / len(x)
            + run.weight_decay / 2 * theta.square().sum()
        )

    theta, v, path = frame.theta, torch.zeros_like(frame.theta), []
    for batch, lr in steps:
        path.append(theta)
        v = run.momentum * v + grad(objective)(theta, x[batch], y[batch])
        theta = theta - lr * v
    back = frame.gradients(frame.test, theta)  # lambda, (n_test, p)
    nu, scores = torch.zeros_like(back), back.new_zeros(len(x), len(back))
    walk = list(zip(steps, path, strict=True))[::-1]
    for (batch, lr), theta in tqdm(
        walk, desc=progress, unit="step", leave=False, disable=not progress
    ):
        here = (x[batch], y[batch])
        a = nu - lr * back
        scores[batch] -= frame.gradients(here, theta) @ a.T / len(batch)
        # H is symmetric: a product from the left serves, and is nearly twice as fast as one from the right by jvp.
        times_hessian = vjp(partial(grad(objective), x=here[0], y=here[1]), theta)[1]
        back = back + vmap(times_hessian, chunk_size=frame.chunk(8))(a)[0]
        nu = run.momentum * a
    return scores


def as_positions(name: str, values: Any, n: int) -> Tensor:
    """Positions of n examples as int64; ValueError, naming `name`, for what is none."""
    found = torch.as_tensor(values)
    if found.numel():
        whole = not (found.is_floating_point() or found.dtype == torch.bool)
        require(
            whole,
            f"{name} must be a list of positions of training points, such as [0, 5]",
        )
        low, high = int(found.min()), int(found.max())
        require(
            low >= 0 and high < n,
            f"{name} must lie in 0..{n - 1}, the training points; got {low} to {high}",
        )
    return found.long()


def _losses(model: Model, loss: Loss, held: Examples) -> Tensor:
    like = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    inputs, targets = (cast(part, like) for part in held)
    with eval_mode(model), torch.no_grad():
        return per_example(
            loss(torch.as_tensor(model(inputs)), targets), len(targets)
        ).detach()


def _check_layers(model: nn.Module) -> None:
    odd = {
        type(part).__name__
        for part in model.modules()
        if isinstance(part, (_BatchNorm, _DropoutNd))
    }
    require(
        not odd,
        f"model must train as it predicts; leave {', '.join(odd)} out, or use LayerNorm",
    )
