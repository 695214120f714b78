"""Do the model, the loss and the examples fit together? What every score checks first.

A loss that is a mean, a sum, or a table of all pairs gives numbers too, and they look
like scores; one infinite loss makes every score NaN. So each is refused before anything
is computed, with the argument's name, and where it is one example's fault, with its
position.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from smallscale.core.validation import (
    as_array,
    as_tensor,
    require,
    same_length,
    type_and_shape,
)

Loss = Callable[[Tensor, Tensor], Tensor]  # (outputs, targets) -> a value per example
Answer = Callable[[Tensor], Any]  # inputs (n, ...) -> outputs (n, ...)
Examples = tuple[Tensor, Tensor]  # inputs and targets, of the same length
Models = nn.Module | Sequence[nn.Module]

AT_ONCE = 1024  # examples whose losses are computed together
TRIED = 8  # examples that are also asked about one by one
SAME_OUTPUT = 0.01  # of the largest output: how far an answer alone may be from its own
LARGEST_ERROR = 150  # characters of another library's message in one of ours
REFUSALS = (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError)


def as_models(models: Models) -> list[nn.Module]:
    """Return one model or several as a list."""
    found = [models] if isinstance(models, nn.Module) else list(models)
    require(found, "models must hold at least one model; got none")
    for model in found:
        kind = type(model).__name__
        require(
            isinstance(model, nn.Module),
            f"models must be torch.nn.Module, one or several; got {kind}",
        )
    return found


def copied(model: nn.Module) -> nn.Module:
    """Return a copy of the model, with nothing in common with it."""
    with explained(
        "model must be one that copy.deepcopy can copy; where a hook builds its "
        "weights, make them permanent, as torch.nn.utils.prune.remove does"
    ):
        return copy.deepcopy(model)


def as_examples(name: str, examples: Any, like: Tensor | None = None) -> Examples:
    """Return a pair (inputs, targets) as tensors of the same length; see `as_type_of`.

    Raises ValueError, naming `name`, for what is no such pair, or not finite.
    """
    pair = isinstance(examples, (tuple, list)) and len(examples) == 2
    kind = type(examples).__name__
    require(pair, f"{name} must be a pair (inputs, targets); got {kind}")
    parts = {f"{name} inputs": examples[0], f"{name} targets": examples[1]}
    tensors = []
    for part, values in parts.items():
        # A list becomes single precision in torch, whatever the model computes in.
        keep = like is not None and isinstance(values, (list, tuple))
        given = as_array(part, values) if keep else values
        tensor = as_tensor(part, given).detach()
        require(tensor.dim(), f"{part} must be a list; got a single value")
        tensors.append(tensor)
    inputs, targets = tensors
    same_length(**{f"{name} inputs": inputs, f"{name} targets": targets})
    for part, tensor in zip(parts, tensors, strict=True):
        finite_points(part, tensor)
    pair_of_type = as_type_of(inputs, like), as_type_of(targets, like)
    for part, tensor in zip(parts, pair_of_type, strict=True):
        finite_points(part, tensor)  # what is finite in double may not be in single
    return pair_of_type


def as_type_of(values: Any, like: Tensor | None) -> Tensor:
    """Return values on the device of `like`, and floating ones in its type.

    Whole numbers become int64, which labels and tokens are. None: nothing changes.
    """
    tensor = torch.as_tensor(values).detach()
    if like is None:
        return tensor
    if tensor.is_floating_point():
        return tensor.to(like)
    keeps_type = tensor.dtype == torch.bool or tensor.is_complex()
    return tensor.to(like.device, tensor.dtype if keeps_type else torch.int64)


def as_positions(name: str, values: Any, n: int) -> Tensor:
    """Return positions of n examples as int64; ValueError, naming `name`, if not."""
    found = as_tensor(name, values)
    if found.numel():
        whole = not (
            found.is_floating_point() or found.is_complex() or found.dtype == torch.bool
        )
        require(whole, positions_wanted(name))
        low, high = int(found.min()), int(found.max())
        require(
            low >= 0 and high < n,
            f"{name} must lie in 0..{n - 1}, the training points; got {low} to {high}",
        )
    return found.long()


def positions_wanted(name: str) -> str:
    return f"{name} must be a list of positions of training points, such as [0, 5]"


def finite_points(
    name: str, values: Tensor, *, what: str = "", first: int | Tensor = 0
) -> None:
    """Refuse values (n, ...) that are not finite, with the position of the example.

    what: of the example, such as its loss. first: the position of the first example,
    or those of all n.

    >>> finite_points("train", torch.tensor([1.0, torch.nan]), what="loss")
    Traceback (most recent call last):
    ValueError: loss must be finite for each point of train; that of training point 1 \
is nan: leave the point out, or mend it
    """
    if bool(values.isfinite().all()):
        return
    good = values.reshape(len(values), -1).isfinite().all(1)
    row = int(good.int().argmin())
    point = int(first[row]) if isinstance(first, Tensor) else first + row
    bad = values[row].flatten()
    number = bad[~bad.isfinite()][0].item()
    which = "training point" if name.startswith("train") else f"{name} point"
    wanted = f"{what} must be finite for each point of {name}"
    raise ValueError(
        f"{wanted if what else f'{name} must be finite'}; that of {which} {point} is "
        f"{number}: leave the point out, or mend it"
    )


def check_losses(
    name: str,
    answer: Answer,
    loss: Loss,
    examples: Examples,
    *,
    points: Tensor | None = None,
    slopes: bool = True,
) -> Tensor:
    """Return the loss of each example, (n,), once each has a finite one of its own.

    points: the positions by which a message names the examples; None: 0 to n - 1.
    slopes: whether the loss must be differentiable in the outputs. Raises ValueError,
    naming model, loss or the point, for what cannot be.
    """
    inputs, targets = examples
    last = len(inputs) - 1
    few = torch.unique(torch.linspace(0, last, min(TRIED, last + 1)).long())
    # A mean and a value per example look alike for one example, so it is asked twice.
    few = few.repeat(2) if len(few) == 1 else few
    losses = finite_losses(name, answer, loss, examples, points)
    _check_alone(name, answer, loss, (inputs[few], targets[few]), slopes)
    return losses


def finite_losses(
    name: str,
    answer: Answer,
    loss: Loss,
    examples: Examples,
    points: Tensor | None = None,
) -> Tensor:
    """Return the loss of each example, (n,); ValueError with the point if not finite.

    Arguments as for `check_losses`.
    """
    names = torch.arange(len(examples[0])) if points is None else points
    found = []
    blocks = [torch.split(part, AT_ONCE) for part in (*examples, names)]
    for inputs, targets, here in zip(*blocks, strict=True):
        losses = _losses(name, answer, loss, (inputs, targets), here)
        finite_points(name, losses, what="loss", first=here)
        found.append(losses)
    return torch.cat(found)


def losses_of(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each of n examples, (n,); ValueError for another number."""
    try:
        values = torch.as_tensor(loss(outputs, targets))
    except REFUSALS as error:
        raise ValueError(
            f"loss must take outputs {tuple(outputs.shape)} and targets "
            f"{type_and_shape(targets)}; it raised: {_first_line(error)}"
        ) from error
    n = len(outputs)
    require(
        values.dim() and len(values) == n == values.numel(),
        f"loss must return one value per example, ({n},) for {n} examples; got "
        f"{tuple(values.shape)} from outputs {tuple(outputs.shape)} and targets "
        f"{tuple(targets.shape)}: use reduction='none', and outputs and targets of one "
        "shape",
    )
    require(not values.is_complex(), "loss must return real numbers; got complex ones")
    return values.reshape(-1)


def outputs_of(name: str, answer: Answer, inputs: Tensor) -> Tensor:
    """Return the model's outputs (n, ...); ValueError for what is no such tensor."""
    whole = not (inputs.is_floating_point() or inputs.is_complex())
    cure = "; give them as inputs.float(), scaled as in training" if whole else ""
    try:
        outputs = answer(inputs)
    except REFUSALS as error:
        raise ValueError(
            f"{name} inputs must be such as the model takes; it does not take "
            f"{type_and_shape(inputs)}{cure}. It raised: {_first_line(error)}"
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


def _losses(
    name: str, answer: Answer, loss: Loss, examples: Examples, points: Tensor
) -> Tensor:
    """Return the losses of a block of examples, without gradients, (n,).

    Where the block fails, its examples are tried one by one: where some pass, the first
    that does not is named.
    """
    inputs, targets = examples
    with torch.no_grad():
        try:
            outputs = outputs_of(name, answer, inputs)
            return losses_of(loss, outputs, targets).detach()
        except ValueError:
            refused = {}
            for i in range(len(inputs)):
                try:
                    outputs = outputs_of(name, answer, inputs[i : i + 1])
                    losses_of(loss, outputs, targets[i : i + 1])
                except ValueError as error:
                    refused[int(points[i])] = error
            if 0 < len(refused) < len(inputs):
                point, first = next(iter(refused.items()))
                raise ValueError(f"{name} point {point}: {first}") from first
            raise


def _check_alone(
    name: str, answer: Answer, loss: Loss, examples: Examples, slopes: bool
) -> None:
    """Refuse a model or loss whose value for an example depends on its neighbours."""
    inputs, targets = examples
    with torch.no_grad():
        outputs = outputs_of(name, answer, inputs)
    start = outputs.detach().clone()
    start.requires_grad_(slopes and start.is_floating_point())
    with torch.enable_grad():
        together = losses_of(loss, start, targets)
    require(
        not slopes or together.requires_grad,
        "loss must be differentiable in the outputs; nothing of it depends on them: "
        "leave detach, item, argmax and rounding out of it",
    )
    losses, near = together.detach().double(), _closeness(together, outputs)
    for i in range(len(inputs)):
        row = slice(i, i + 1)
        with torch.no_grad():
            alone = losses_of(loss, outputs[row].clone(), targets[row]).double()
            answer_alone = outputs_of(name, answer, inputs[row])
        require(
            _same(alone, losses[row], near * _largest(losses)),
            "loss must be each example's own; that of an example alone is "
            f"{float(alone[0]):g}, and beside others {float(losses[i]):g}: use "
            "reduction='none', and outputs and targets of one shape",
        )
        require(
            _same(answer_alone, outputs[row], SAME_OUTPUT * _largest(outputs)),
            "model must answer each input on its own; what it answers changes with "
            "the inputs beside it",
        )


def _closeness(*values: Tensor) -> float:
    """Return how far apart two ways to compute a value may come out, relatively."""
    types = [each.dtype for each in values if each.is_floating_point()]
    return max((float(torch.finfo(kind).eps) ** 0.5 for kind in types), default=1e-6)


def _largest(values: Tensor) -> float:
    found = values.detach().abs().double()
    found = found[found.isfinite()]
    return float(found.max()) if found.numel() else 0.0


def _same(one: Tensor, other: Tensor, within: float) -> bool:
    """Whether two tensors are as good as equal; NaN is equal to NaN."""
    if one.shape != other.shape:
        return False
    kind = torch.complex128 if one.is_complex() else torch.float64
    one, other = one.detach().to(kind), other.detach().to(kind)
    return torch.allclose(one, other, rtol=0, atol=within, equal_nan=True)


@contextmanager
def explained(message: str) -> Iterator[None]:
    """Raise what another library refuses inside as ValueError with this message."""
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        raise ValueError(f"{message}; torch says: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:LARGEST_ERROR] if lines else type(error).__name__
