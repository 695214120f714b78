"""What would the model have been without these points? Train again, hundreds at a time.

Training again is the truth of attribution: `retrain` does it for many models at once,
`leave_one_out` for one point after another, and `metagradient` differentiates a
training run instead. Small networks spend their time on starting operations, not on
arithmetic; so all are trained together, their parameters stacked into one tensor, by
`torch.func.vmap`.
"""

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vjp, vmap
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from tqdm import tqdm

from smallscale.attribution.scores.flat_model import (
    Examples,
    FlatModel,
    Loss,
    Models,
    as_examples,
    as_losses,
    as_models,
    as_type_of,
)
from smallscale.core.validation import as_tensor, finite, require, whole_number
from smallscale.training.evaluation import Model, eval_mode

Stack = dict[str, Tensor]  # parameters by name, each (models, ...)
# The positions of a batch's examples, and the learning rate.
Step = tuple[Tensor, float]
Item = TypeVar("Item")


@dataclass(frozen=True)
class TrainingConfig:
    """A deterministic training run, by SGD with momentum over shuffled batches:

        v <- momentum * v + gradient of (batch mean loss + weight_decay/2 * ||theta||^2)
        theta <- theta - lr * v

    The learning rate falls from lr to 0 along half a cosine. seed: of the examples'
    order.

    >>> TrainingConfig(epochs=1, batch_size=2, lr=0.1).steps(2)[0][1]
    0.1
    """

    epochs: int = 20
    batch_size: int = 16
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-3
    seed: int = 0

    def steps(self, n: int) -> list[Step]:
        """Return the batches, as positions below n, each with its learning rate.

        Raises ValueError unless epochs and batch_size are whole numbers of at least 1.
        """
        epochs = whole_number("epochs", self.epochs)
        batch_size = whole_number("batch_size", self.batch_size)
        generator = Generator().manual_seed(self.seed)
        batches: list[Tensor] = []
        for _ in range(epochs):
            order = torch.randperm(n, generator=generator)
            batches.extend(torch.split(order, batch_size))
        steps = []
        for t, batch in enumerate(batches):
            share = 0.5 * (1 + math.cos(math.pi * t / len(batches)))
            steps.append((batch, self.lr * share))
        return steps


def retrain(
    models: Models,
    loss: Loss,
    train: Any,
    config: TrainingConfig,
    *,
    rows: Any = None,
    weights: Any = None,
    progress: str = "",
) -> Stack:
    """Train many models together, each on its own part of the data:
        v <- momentum v + gradient + weight_decay theta,    theta <- theta - lr v
    and return their parameters by name, stacked, each (models, ...).

    models: of one architecture, with the weights that each starts from; a single one
    starts them all. train: (inputs, targets), n of each. rows: (models, k), which
    examples each model sees, in its own order; None: each sees all. weights: (models,
    k), of its examples in the batch's mean loss; 0 takes an example out while
    everything else in the run stays as it was; None: all 1. A single model, row or
    weighting serves all the others. Each model is trained as it would be alone (the
    same numbers up to rounding). Raises ValueError for layers that train and predict
    differently (dropout, batch norm), and for rows or weights that do not fit.

    >>> from smallscale.models import small_mlp
    >>> train = (torch.eye(4), torch.tensor([0, 1, 0, 1]))
    >>> loss = lambda logits, labels: logits.square().sum(-1)
    >>> config = TrainingConfig(epochs=1, batch_size=2)
    >>> stack = retrain(small_mlp(4, 2), loss, train, config, rows=[[0, 1], [2, 3]])
    >>> stack["3.bias"].shape
    torch.Size([2, 2])
    """
    work = _checked_work(models, loss, train, rows, weights)
    stack = work.start()
    theta = list(stack.values())  # one tensor (models, ...) for each parameter
    v = [torch.zeros_like(parameter) for parameter in theta]
    steps = config.steps(work.examples)
    with eval_mode(work.model):
        for batch, lr in _with_bar(steps, progress):
            losses = work.losses(stack, batch)  # (models, b)
            gradients = torch.autograd.grad(losses.sum() / len(batch), theta)
            # One call for all parameters, since starting a call is what costs.
            with torch.no_grad():
                torch._foreach_mul_(v, config.momentum)
                torch._foreach_add_(v, gradients)
                torch._foreach_add_(v, theta, alpha=config.weight_decay)
                torch._foreach_add_(theta, v, alpha=-lr)
    return {name: parameter.detach() for name, parameter in stack.items()}


def stack_outputs(model: nn.Module, stack: Stack, inputs: Any) -> Tensor:
    """Return each model's outputs for inputs (n, ...), (models, n, ...).

    model: says how the stack's models are built.
    """
    x = as_type_of(inputs, next(model.parameters()))
    with eval_mode(model), torch.no_grad():
        outputs: Tensor = vmap(lambda theta: functional_call(model, theta, (x,)))(stack)
    return outputs


def member(model: nn.Module, stack: Stack, k: int = 0) -> nn.Module:
    """Return the k-th model of the stack on its own, in eval mode.

    model: says how the stack's models are built.
    """
    one = copy.deepcopy(model).eval()
    its_own = {name: values[k] for name, values in stack.items()}
    one.load_state_dict(its_own, strict=False)
    return one


def leave_one_out(
    fit: Callable[[Tensor, Tensor], Model],
    loss: Loss,
    train: Any,
    test: Any,
    points: Any = None,
) -> Tensor:
    """Return the change in each test loss when a training point is left out:
        scores[i, j] = loss_j of fit(train without i) - loss_j of fit(train).

    This is the truth that the other methods predict, by calling `fit` again.

    fit(inputs, targets) -> a model, the same for the same arguments; it is given
    tensors. points: positions of training points, one row of scores for each; None:
    all. Returns (len(points), n_test). With fits that differ by chance, in their order
    of batches for instance, a single point's effect drowns: average many. Raises
    ValueError for points that are no positions, or no point left to train on.

    >>> mean = lambda x, y: lambda inputs: y.mean().expand(len(inputs))
    >>> square = lambda outputs, targets: (outputs - targets) ** 2
    >>> train, test = ([[0.0]] * 2, [1.0, 3.0]), ([[0.0]], [2.0])
    >>> leave_one_out(mean, square, train, test)  # the mean is 2, then 3, then 1
    tensor([[1.],
            [1.]])
    """
    inputs, targets = as_examples("train", train)
    held_out = as_examples("test", test)
    n = len(inputs)
    chosen = _checked_points(points, n)
    full = _test_losses(fit(inputs, targets), loss, held_out)
    scores = full.new_zeros(len(chosen), len(full))
    for row, point in enumerate(chosen):
        kept = torch.arange(n) != point
        without = fit(inputs[kept], targets[kept])
        scores[row] = _test_losses(without, loss, held_out) - full
    return scores


def metagradient(
    model: nn.Module,
    loss: Loss,
    train: Any,
    test: Any,
    *,
    config: TrainingConfig,
    progress: str = "",
) -> Tensor:
    """Return the derivative of each test loss through a training run, (n_train,
    n_test):
        scores[i, j] = -d loss_j(theta_T) / d w_i  at w = 1
    where w_i is the weight of example i in its batches' mean loss.

    It is the first-order change in the loss if example i were taken out of this run and
    nothing else changed: same start, same batches (Maclaurin et al. 2015, algorithm 2;
    Engstrom et al. 2025). The run is replayed with all its parameters kept, then walked
    backwards. Where H and g_i are the Hessian and the gradients of the batch of b at a
    step, lambda is the derivative by theta, nu by v, and

        a = nu - lr lambda,   d/dw_i += a . g_i / b,   lambda += H a,   nu = momentum a

    model: with the weights that the run starts from; it stays as it is.
    Raises ValueError as `grad_dot` and `retrain` do.

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

    def objective(theta: Tensor, x: Tensor, y: Tensor) -> Tensor:
        penalty = config.weight_decay / 2 * theta.square().sum()
        return flat.losses(theta, x, y).sum() / len(x) + penalty

    path = []  # theta before each step
    theta = flat.parameters
    v = torch.zeros_like(theta)
    for batch, lr in steps:
        path.append(theta)
        v = config.momentum * v + grad(objective)(theta, x[batch], y[batch])
        theta = theta - lr * v

    lam = flat.gradients(flat.test, theta)  # lambda: (n_test, p)
    nu = torch.zeros_like(lam)
    scores = lam.new_zeros(len(x), len(lam))
    backwards = list(zip(steps, path, strict=True))[::-1]
    for (batch, lr), theta in _with_bar(backwards, progress):
        examples = (x[batch], y[batch])
        a = nu - lr * lam
        scores[batch] -= flat.gradients(examples, theta) @ a.T / len(batch)
        lam = lam + _hessian_products(objective, theta, examples, a, flat)  # + H a
        nu = config.momentum * a
    return scores


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


@dataclass(frozen=True)
class _Work:
    """The checked arguments of `retrain`.

    starts: one model, or one for each of `models`. rows: (1, k) or (models, k).
    weights: None, (1, k) or (models, k).
    """

    starts: list[nn.Module]
    loss: Loss
    inputs: Tensor
    targets: Tensor
    rows: Tensor
    weights: Tensor | None
    models: int

    @property
    def model(self) -> nn.Module:
        """The model that says how all are built."""
        return self.starts[0]

    @property
    def examples(self) -> int:
        """How many examples each model sees in an epoch."""
        return self.rows.shape[1]

    def start(self) -> Stack:
        """Return the parameters that the models start from, each (models, ...)."""
        stack = {}
        for name, values in stack_module_state(self.starts)[0].items():
            if values.requires_grad:
                shape = (self.models, *values.shape[1:])
                stack[name] = values.detach().expand(shape).clone().requires_grad_()
        return stack

    def losses(self, stack: Stack, batch: Tensor) -> Tensor:
        """Return every model's weighted losses on its own batch, (models, b)."""

        def losses_of_one(theta: Stack, x: Tensor, y: Tensor) -> Tensor:
            return self.loss(functional_call(self.model, theta, (x,)), y)

        if len(self.rows) == 1:  # all see the same batch (b,)
            where = self.rows[0, batch]
            together = vmap(losses_of_one, in_dims=(0, None, None))
        else:  # each sees its own (models, b)
            where = self.rows[:, batch]
            together = vmap(losses_of_one)
        losses: Tensor = together(stack, self.inputs[where], self.targets[where])
        return losses if self.weights is None else losses * self.weights[:, batch]


def _checked_work(
    models: Models, loss: Loss, train: Any, rows: Any, weights: Any
) -> _Work:
    """Return the arguments of `retrain` in one form; ValueError if they do not fit."""
    starts = as_models(models)
    _check_layers(starts[0])
    like = next(starts[0].parameters())
    inputs, targets = as_examples("train", train, like)
    n = len(inputs)
    seen = torch.arange(n)[None] if rows is None else as_positions("rows", rows, n)
    k = seen.shape[-1] if seen.dim() else 1
    factors = None if weights is None else as_tensor("weights", weights).to(like)
    lengths = {"models": len(starts)}
    for name, table in {"rows": seen, "weights": factors}.items():
        if table is not None:
            require(
                table.dim() == 2 and table.shape[1] == k and table.numel(),
                f"{name} must be (models, {k}), one for each example seen; "
                f"got {tuple(table.shape)}",
            )
            finite(name, table)
            lengths[name] = len(table)
    count = max(lengths.values())
    require(
        set(lengths.values()) <= {1, count},
        f"models, rows and weights must have the same length, or 1; got {lengths}",
    )
    return _Work(starts, loss, inputs, targets, seen, factors, count)


def _checked_run(model: nn.Module, loss: Loss, train: Any, test: Any) -> FlatModel:
    """Return the model as a flat one; ValueError for layers that have no place here."""
    _check_layers(model)
    return FlatModel(model, loss, train, test)


def _checked_points(points: Any, n: int) -> Tensor:
    """Return positions of the training points to leave out; None: of all n."""
    require(
        n > 1, "train must hold at least 2 examples, so that one can be left out; got 1"
    )
    chosen = torch.arange(n) if points is None else as_positions("points", points, n)
    require(chosen.dim() == 1, _positions_wanted("points"))
    return chosen


def as_positions(name: str, values: Any, n: int) -> Tensor:
    """Return positions of n examples as int64; ValueError, naming `name`, if not."""
    found = as_tensor(name, values)
    if found.numel():
        whole = not (found.is_floating_point() or found.dtype == torch.bool)
        require(whole, _positions_wanted(name))
        low, high = int(found.min()), int(found.max())
        require(
            low >= 0 and high < n,
            f"{name} must lie in 0..{n - 1}, the training points; got {low} to {high}",
        )
    return found.long()


def _positions_wanted(name: str) -> str:
    return f"{name} must be a list of positions of training points, such as [0, 5]"


def _test_losses(model: Model, loss: Loss, held_out: Examples) -> Tensor:
    """Return the model's loss on each test example, (n_test,)."""
    like = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    inputs = as_type_of(held_out[0], like)
    targets = as_type_of(held_out[1], like)
    with eval_mode(model), torch.no_grad():
        outputs = torch.as_tensor(model(inputs))
        return as_losses(loss(outputs, targets), len(targets)).detach()


def _check_layers(model: nn.Module) -> None:
    """Refuse a model whose layers train and predict differently."""
    odd = {
        type(part).__name__
        for part in model.modules()
        if isinstance(part, (_BatchNorm, _DropoutNd))
    }
    require(
        not odd,
        f"model must train as it predicts; leave {', '.join(odd)} out, or use "
        "LayerNorm",
    )


def _with_bar(steps: Sequence[Item], progress: str) -> Iterable[Item]:
    """Return the steps, with a progress bar of this name where it has one."""
    bar: Iterable[Item] = tqdm(
        steps, desc=progress, unit="step", leave=False, disable=not progress
    )
    return bar
