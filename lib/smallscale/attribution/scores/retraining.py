"""What would the model have been without these points? Train again, hundreds at a time.

Training again is the truth of attribution: `retrain` does it for many models at once,
`leave_one_out` for one point after another. Small networks spend their time on starting
operations, not on arithmetic; so all are trained together, their parameters stacked
into one tensor, by `torch.func.vmap`.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from smallscale.attribution.scores.flat_model import (
    Examples,
    Loss,
    Models,
    as_examples,
    as_losses,
    as_models,
    as_type_of,
)
from smallscale.attribution.scores.training_config import (
    TrainingConfig,
    check_layers,
    with_bar,
)
from smallscale.core.validation import as_tensor, finite, require
from smallscale.training.evaluation import Model, eval_mode

Stack = dict[str, Tensor]  # parameters by name, each (models, ...)


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
        for batch, lr in with_bar(steps, progress):
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
    check_layers(starts[0])
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
