"""Does the loss give each example one finite value of its own?

A loss that is a mean, a sum, or a table of all pairs gives numbers too, and they look
like scores; one infinite loss makes every score NaN. So each is refused before anything
is computed.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from smallscale.attribution.scores.examples import Examples, finite_points
from smallscale.attribution.scores.model_checks import (
    REFUSALS,
    Answer,
    first_line,
    outputs_of,
)
from smallscale.core.validation import require, type_and_shape

Loss = Callable[[Tensor, Tensor], Tensor]  # (outputs, targets) -> a value per example

AT_ONCE = 1024  # examples whose losses are computed together
TRIED = 8  # examples that are also asked about one by one
SAME_OUTPUT = 0.01  # of the largest output: how far an answer alone may be from its own


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
        given = loss(outputs, targets)
    except REFUSALS as error:
        raise ValueError(
            f"loss must take outputs {tuple(outputs.shape)} and targets "
            f"{type_and_shape(targets)}; it raised: {first_line(error)}"
        ) from error
    require(
        isinstance(given, (Tensor, np.ndarray)),
        "loss must return one value per example, as a tensor; got "
        f"{type(given).__name__}",
    )
    values = torch.as_tensor(given)
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
