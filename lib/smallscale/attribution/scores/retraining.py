"""What would the model have been without these points? Train again, hundreds at a time.

Training again is the truth of attribution: `retrain` does it for many models at once,
`leave_one_out` for one point after another. Small networks spend their time on starting
operations, not on arithmetic; so all are trained together, their parameters stacked
into one tensor, by `torch.func.vmap`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from smallscale.attribution.scores.examples import (
    TRIED,
    Answer,
    Examples,
    Loss,
    Models,
    as_examples,
    as_models,
    as_positions,
    as_type_of,
    check_losses,
    copied,
    finite_losses,
    finite_points,
    outputs_of,
    positions_wanted,
)
from smallscale.attribution.scores.training_config import (
    TrainingConfig,
    check_layers,
    check_modes,
    with_bar,
)
from smallscale.core.validation import as_tensor, finite, require
from smallscale.training.evaluation import Model, eval_mode

Stack = dict[str, Tensor]  # parameters by name, each (models, ...)

HALVES = {torch.float16, torch.bfloat16}
DIVERGED = "config must have a smaller lr: the run diverges"


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
    starts them all. Frozen parameters and buffers are each model's own; they stay as
    they are, and are in the stack as well. loss(outputs, targets): a value per example.
    train: (inputs, targets), n of each. rows: (models, k), which
    examples each model sees, in its own order; None: each sees all. weights: (models,
    k), of its examples in the batch's mean loss; 0 takes an example out while
    everything else in the run stays as it was; None: all 1. A single model, row or
    weighting serves all the others. Each model is trained as it would be alone (the
    same numbers up to rounding). Raises ValueError for layers that train and predict
    differently (dropout, batch norm), for rows or weights that do not fit, for a loss
    that is not one value per example, and, with the training point's position, for a
    loss or gradient that is or becomes infinite.

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
            work.check_step(stack, batch, losses, gradients)
            # One call for all parameters, since starting a call is what costs.
            with torch.no_grad():
                torch._foreach_mul_(v, config.momentum)
                torch._foreach_add_(v, gradients)
                torch._foreach_add_(v, theta, alpha=config.weight_decay)
                torch._foreach_add_(theta, v, alpha=-lr)
    return work.end(stack)


def stack_outputs(model: nn.Module, stack: Stack, inputs: Any) -> Tensor:
    """Return each model's outputs for inputs (n, ...), (models, n, ...).

    model: says how the stack's models are built. Raises ValueError for a stack of
    other ones.
    """
    like = _checked_stack(model, stack)
    x = as_type_of(as_tensor("inputs", inputs), like)
    finite_points("inputs", x)
    outputs_of("inputs", member(model, stack), x[:1])
    with eval_mode(model), torch.no_grad():
        outputs: Tensor = vmap(lambda theta: functional_call(model, theta, (x,)))(stack)
    return outputs


def member(model: nn.Module, stack: Stack, k: int = 0) -> nn.Module:
    """Return the k-th model of the stack on its own, in eval mode.

    model: says how the stack's models are built.
    """
    _checked_stack(model, stack)
    one = copied(model).eval()
    with torch.no_grad():
        for name, values in _state(one).items():
            values.copy_(stack[name][k])
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
    ValueError for points that are no positions, no point left to train on, and a loss
    that is not one finite value per test example.

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
    model = fit(inputs.clone(), targets.clone())  # which a fit may write into
    check_losses("test", *_asked(model, loss, held_out), slopes=False)
    full = _test_losses(model, loss, held_out, "with all training points")
    scores = full.new_zeros(len(chosen), len(full))
    for row, point in enumerate(chosen):
        kept = torch.arange(n) != point
        without = fit(inputs[kept], targets[kept])
        words = f"without training point {int(point)}"
        scores[row] = _test_losses(without, loss, held_out, words) - full
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

    @cached_property
    def fixed(self) -> Stack:
        """What is not trained, buffers too, each (1, ...) or (models, ...)."""
        trained = _trained(self.model)
        return {
            name: torch.stack([_state(model)[name].detach() for model in self.starts])
            for name in _state(self.model)
            if name not in trained
        }

    def start(self) -> Stack:
        """Return the parameters that the models start from, each (models, ...)."""
        stack = {}
        for name in _trained(self.model):
            values = torch.stack([_state(one)[name].detach() for one in self.starts])
            shape = (self.models, *values.shape[1:])
            stack[name] = values.expand(shape).clone().requires_grad_()
        return stack

    def end(self, stack: Stack) -> Stack:
        """Return the trained parameters, and what was not trained beside them."""
        done = {name: values.detach() for name, values in stack.items()}
        finite = all(bool(values.isfinite().all()) for values in done.values())
        require(finite, f"{DIVERGED}, to parameters that are NaN or infinite")
        for name, values in self.fixed.items():
            done[name] = values.expand(self.models, *values.shape[1:])
        return done

    def losses(self, stack: Stack, batch: Tensor) -> Tensor:
        """Return every model's weighted losses on its own batch, (models, b)."""

        def losses_of_one(theta: Stack, still: Stack, x: Tensor, y: Tensor) -> Tensor:
            outputs = functional_call(self.model, {**theta, **still}, (x,))
            return self.loss(outputs, y).reshape(len(y))

        # What there is only one of serves all: the same batch (b,), or its own
        # (models, b); the same frozen parameters, or its own.
        own_rows, own_fixed = len(self.rows) > 1, len(self.starts) > 1
        where = self.rows[:, batch] if own_rows else self.rows[0, batch]
        fixed = self.fixed if own_fixed else _member_of(self.fixed, 0)
        over_rows = 0 if own_rows else None
        dims = (0, 0 if own_fixed else None, over_rows, over_rows)
        together = vmap(losses_of_one, in_dims=dims)
        losses: Tensor = together(stack, fixed, self.inputs[where], self.targets[where])
        return losses if self.weights is None else losses * self.weights[:, batch]

    def check_step(
        self,
        stack: Stack,
        batch: Tensor,
        losses: Tensor,
        gradients: tuple[Tensor, ...],
    ) -> None:
        """Refuse losses (models, b), or gradients, that are not finite.

        The training point is named; where it is no single one's fault, the run.
        """
        sizes = torch._foreach_norm(gradients, torch.inf)  # one call, as in the update
        if bool(losses.isfinite().all() & torch.stack(sizes).isfinite().all()):
            return
        largest = max(float(values.detach().abs().max()) for values in stack.values())
        so_far = f"{DIVERGED}, to parameters as large as {largest:.1g}"
        rows = self.rows.expand(self.models, -1)[:, batch]
        for k, of_model in enumerate(losses.detach()):
            _check_points(of_model, "loss", rows[k], k, so_far)
        theta = list(stack.values())
        for j in range(len(batch)):
            of_one = self.losses(stack, batch[j : j + 1]).sum()
            for part in torch.autograd.grad(of_one, theta):
                bad = ~part.flatten(1).isfinite().all(1)
                if bool(bad.any()):
                    k = int(bad.int().argmax())
                    of_point = part[k].reshape(1, -1)
                    _check_points(of_point, "gradient", rows[k, j : j + 1], k, so_far)
        raise ValueError(so_far)


def _check_points(
    values: Tensor, what: str, points: Tensor, k: int, so_far: str
) -> None:
    try:
        finite_points("train", values, what=what, first=points)
    except ValueError as error:
        raise ValueError(f"{error}. It is so for model {k}; or else {so_far}") from None


def _trained(model: nn.Module) -> Stack:
    """Return the parameters that are trained, by name; shared ones once."""
    named = model.named_parameters()
    return {name: values for name, values in named if values.requires_grad}


def _state(model: nn.Module) -> Stack:
    """Return all parameters and buffers by name; shared ones once."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _member_of(stack: Stack, k: int) -> Stack:
    return {name: values[k] for name, values in stack.items()}


def _checked_stack(model: nn.Module, stack: Stack) -> Tensor:
    """Return a value of the type that the stack computes in."""
    for name, values in _state(model).items():
        shape = tuple(stack[name].shape[1:]) if name in stack else None
        require(
            shape == tuple(values.shape),
            f"stack must be of models built like model, with a {name} of "
            f"{tuple(values.shape)} for each; got {shape}",
        )
    wanted = "stack must hold parameters, as retrain returns them"
    floats = [values for values in stack.values() if values.is_floating_point()]
    require(floats, wanted)
    return floats[0]


def _checked_work(
    models: Models, loss: Loss, train: Any, rows: Any, weights: Any
) -> _Work:
    """Return the arguments of `retrain` in one form; ValueError if they do not fit."""
    starts = as_models(models)
    like = _checked_starts(starts)
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
    used = torch.unique(seen)
    with eval_mode(starts[0]):
        examples = (inputs[used], targets[used])
        check_losses("train", starts[0], loss, examples, points=used)
    _check_alike(starts, inputs[used[:TRIED]])
    return _Work(starts, loss, inputs, targets, seen, factors, count)


def _checked_starts(starts: list[nn.Module]) -> Tensor:
    """Return a value of the type that the models compute in, once they can train."""
    for model in starts:
        check_layers(model)
    trained = _trained(starts[0])
    require(
        trained,
        "models must have parameters that require a gradient; none does, so nothing "
        "can be trained",
    )
    half = {values.dtype for values in trained.values()} & HALVES
    require(
        not half,
        "models must compute in single or double precision, as small steps round away "
        f"in {next(iter(half), None)}: call float() on them",
    )
    return next(iter(trained.values()))


def _check_alike(starts: list[nn.Module], inputs: Tensor) -> None:
    """Refuse models that do not train as they predict, or are not built alike."""
    first = starts[0]
    check_modes(first, inputs)
    built = _built(first)
    for k, model in enumerate(starts[1:], 1):
        require(
            _built(model) == built,
            "models must be of one architecture, with the same parts frozen; "
            f"model {k} has other parameters than model 0",
        )
        with eval_mode(first), eval_mode(model), torch.no_grad():
            own = outputs_of("train", model, inputs)
            by_first = functional_call(first, _state(model), (inputs,))
        require(
            torch.allclose(own, by_first, rtol=1e-3, atol=1e-5, equal_nan=True),
            f"models must be of one architecture; model {k} does not answer as model 0 "
            "does with the parameters of that one",
        )


def _built(model: nn.Module) -> list[tuple[Any, ...]]:
    """Return what must be the same in models that are trained together."""
    return [
        (name, tuple(values.shape), values.dtype, values.requires_grad)
        for name, values in _state(model).items()
    ]


def _checked_points(points: Any, n: int) -> Tensor:
    """Return positions of the training points to leave out; None: of all n."""
    require(
        n > 1, "train must hold at least 2 examples, so that one can be left out; got 1"
    )
    chosen = torch.arange(n) if points is None else as_positions("points", points, n)
    require(chosen.dim() == 1, positions_wanted("points"))
    return chosen


def _asked(
    model: Model, loss: Loss, held_out: Examples
) -> tuple[Answer, Loss, Examples]:
    """Return the model as a function in eval mode, and test examples of its type."""
    require(
        callable(model),
        f"fit must return a model that can be called; got {type(model).__name__}",
    )
    found = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    examples = as_type_of(held_out[0], found), as_type_of(held_out[1], found)

    def answer(inputs: Tensor) -> Any:
        with eval_mode(model):
            return model(inputs)

    return answer, loss, examples


def _test_losses(model: Model, loss: Loss, held_out: Examples, words: str) -> Tensor:
    """Return the model's loss on each test example, (n_test,).

    words: what the model was fitted without, for a message.
    """
    try:
        losses = finite_losses("test", *_asked(model, loss, held_out))
    except ValueError as error:
        raise ValueError(
            f"fit {words} gives a model that will not do: {error}"
        ) from error
    return losses if losses.is_floating_point() else losses.float()
