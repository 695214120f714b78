"""Which models are trained together? Of one architecture, each with its own examples.

Their parameters are stacked into one tensor for each name, (models, ...). What fits in
no such stack is refused before anything is trained.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from smallscale.attribution.scores.examples import (
    as_examples,
    as_positions,
    finite_points,
)
from smallscale.attribution.scores.likeness import unlike
from smallscale.attribution.scores.loss_checks import TRIED, Loss, check_losses
from smallscale.attribution.scores.model_checks import (
    NO_SLOPE,
    Models,
    as_models,
    check_gradients,
    explained,
    outputs_of,
)
from smallscale.attribution.scores.training_config import check_layers, check_modes
from smallscale.core.modes import eval_mode
from smallscale.core.validation import as_tensor, finite, require

Stack = dict[str, Tensor]  # parameters by name, each (models, ...)

HALVES = {torch.float16, torch.bfloat16}
DIVERGED = "config must have a smaller lr: the run diverges"
BY_VMAP = "models and loss must be such as torch.func.vmap computes"


@dataclass(frozen=True)
class Work:
    """The checked arguments of `retrain`, and what each of its steps computes.

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
            name: torch.stack([state_of(model)[name].detach() for model in self.starts])
            for name in state_of(self.model)
            if name not in trained
        }

    def start(self) -> Stack:
        """Return the parameters that the models start from, each (models, ...)."""
        stack = {}
        for name in _trained(self.model):
            values = torch.stack([state_of(one)[name].detach() for one in self.starts])
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
        with explained(BY_VMAP):
            losses: Tensor = together(
                stack, fixed, self.inputs[where], self.targets[where]
            )
        require(losses.requires_grad, NO_SLOPE)
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


def state_of(model: nn.Module) -> Stack:
    """Return all parameters and buffers by name; shared ones once."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _member_of(stack: Stack, k: int) -> Stack:
    return {name: values[k] for name, values in stack.items()}


def checked_stack(model: nn.Module, stack: Stack) -> Tensor:
    """Return a value of the type that the stack computes in."""
    for name, values in state_of(model).items():
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


def checked_work(
    models: Models, loss: Loss, train: Any, rows: Any, weights: Any
) -> Work:
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
    return Work(starts, loss, inputs, targets, seen, factors, count)


def _checked_starts(starts: list[nn.Module]) -> Tensor:
    """Return a value of the type that the models compute in, once they can train."""
    for model in starts:
        check_gradients(model)
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
        other = unlike(first, model)
        require(
            not other,
            "models must be of one architecture, as model 0's code and settings serve "
            f"all; model {k} has another {other}: train it on its own, or make what "
            "differs a buffer",
        )
        with eval_mode(first), eval_mode(model), torch.no_grad():
            own = outputs_of("train", model, inputs)
            by_first = functional_call(first, state_of(model), (inputs,))
        require(
            torch.allclose(own, by_first, rtol=1e-3, atol=1e-5, equal_nan=True),
            f"models must be of one architecture; model {k} does not answer as model 0 "
            "does with the parameters of that one",
        )


def _built(model: nn.Module) -> list[tuple[Any, ...]]:
    """Return what must be the same in models that are trained together."""
    return [
        (name, tuple(values.shape), values.dtype, values.requires_grad)
        for name, values in state_of(model).items()
    ]
