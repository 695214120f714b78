"""Can torch.func take this model, and does it answer each input with a row of outputs?

Each score is computed by torch.func, which takes the model as a function of its
parameters. What it cannot take, or takes wrongly, is refused in words of ours.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from smallscale.core.validation import require, type_and_shape

Answer = Callable[[Tensor], Any]  # inputs (n, ...) -> outputs (n, ...)
Models = nn.Module | Sequence[nn.Module]

# What runs a module elsewhere, or in another form.
WRAPPERS = (
    torch.jit.ScriptModule,
    nn.DataParallel,
    nn.parallel.DistributedDataParallel,
)
NO_SLOPE = (
    "model must be differentiable in its parameters; no output depends on one that "
    "requires a gradient: leave detach, no_grad and argmax out of it"
)

LARGEST_ERROR = 150  # characters of another library's message in one of ours
REFUSALS = (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError)


def as_models(models: Models) -> list[nn.Module]:
    """Return one model or several as a list."""
    if isinstance(models, nn.Module) or not isinstance(models, Iterable):
        found = [models]
    else:
        found = list(models)
    require(found, "models must hold at least one model; got none")
    for model in found:
        check_model("models", model)
    return found


def check_model(name: str, model: Any) -> None:
    """Refuse what torch.func cannot take as a function of its parameters."""
    kind = type(model).__name__
    require(
        isinstance(model, nn.Module),
        f"{name} must be torch.nn.Module; got {kind}",
    )
    for part in model.modules():
        kind = type(part).__name__
        require(
            not isinstance(part, WRAPPERS),
            f"{name} must be a plain torch.nn.Module, as torch.func takes no {kind}: "
            "give the model that was wrapped, scripted or traced",
        )
    for part, values in (*model.named_parameters(), *model.named_buffers()):
        ready = not (is_lazy(values) or values.is_meta)
        require(
            ready, f"{name} must be initialised; {part} has no values yet: call it once"
        )


def check_gradients(model: nn.Module) -> None:
    """Refuse torch's modes in which gradients are rounded, or not computed at all."""
    require(
        not torch.is_inference_mode_enabled(),
        "scores need gradients: compute them outside of torch.inference_mode",
    )
    check_precision(model)


def check_precision(model: nn.Module) -> None:
    """Refuse torch's mode in which a model computes in less than its own precision."""
    for kind in {values.device.type for values in model.parameters()}:
        require(
            not torch.is_autocast_enabled(kind),
            "scores need losses and gradients that are not rounded: compute them "
            "outside of torch.autocast",
        )


def copied(model: nn.Module) -> nn.Module:
    """Return a copy of the model, with nothing in common with it."""
    with explained(
        "model must be one that copy.deepcopy can copy; where a hook builds its "
        "weights, make them permanent, as torch.nn.utils.prune.remove does"
    ):
        return copy.deepcopy(model)


def outputs_of(name: str, answer: Answer, inputs: Tensor) -> Tensor:
    """Return the model's outputs (n, ...); ValueError for what is no such tensor."""
    whole = not (inputs.is_floating_point() or inputs.is_complex())
    cure = "; give them as inputs.float(), scaled as in training" if whole else ""
    try:
        outputs = answer(inputs)
    except REFUSALS as error:
        raise ValueError(
            f"{name} inputs must be such as the model takes; it does not take "
            f"{type_and_shape(inputs)}{cure}. It raised: {first_line(error)}"
        ) from error
    outputs = torch.as_tensor(outputs) if isinstance(outputs, np.ndarray) else outputs
    kind = type(outputs).__name__
    require(
        isinstance(outputs, Tensor),
        f"model must return a tensor of outputs; got {kind}: wrap it so that it does",
    )
    shape, n = tuple(outputs.shape), len(inputs)
    require(
        shape[:1] == (n,),
        f"model must return a row of outputs for each input, ({n}, ...); got {shape}",
    )
    return outputs


@contextmanager
def explained(message: str) -> Iterator[None]:
    """Raise what another library refuses inside as ValueError with this message."""
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        raise ValueError(f"{message}; torch says: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:LARGEST_ERROR] if lines else type(error).__name__
