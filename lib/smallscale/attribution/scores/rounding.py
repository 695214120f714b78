"""Is a number rounding? Computed again with other rounding, it would be another one.

Of a nearly certain prediction 1 - p is rounding, and so is the slope of the loss. A
gradient made of it is still a vector, and a score made of that gradient still a number.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.utils._python_dispatch import TorchDispatchMode

from smallscale.attribution.scores.loss_checks import Loss

ROUNDING = 8  # times what rounding each step once does to a derivative
MOVES = 3  # of parameters: one alone may leave a point's slope nearly as it was
ROUGH = 0.1  # of a slope: what rounding may make of it, unsaid


class Rounded(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Rounds each step's result to a neighbour (Parker 1997, Monte Carlo arithmetic).

    What comes out differs from the plain result by about as much as that one is wrong.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.generator = torch.Generator().manual_seed(0)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        returns = func._schema.returns
        is_new = len(returns) == 1 and returns[0].alias_info is None
        if not (is_new and isinstance(found, Tensor) and found.is_floating_point()):
            return found
        if found._is_zerotensor():
            return found
        signs = torch.randint(0, 2, found.shape, generator=self.generator).to(found)
        return found * (1 + (2 * signs - 1) * torch.finfo(found.dtype).eps)


def rounding_slopes(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return which examples' slopes d loss / d outputs are mostly rounding, (n,).

    loss: a value per example. The outputs are taken to be rounded once. A slope of 0 is
    not rounding where rounding leaves it 0, as beyond a hinge.

    >>> square = lambda outputs, targets: (outputs - targets) ** 2
    >>> targets = torch.tensor([1 + 1e-7, 1.1, 0.0])
    >>> rounding_slopes(square, torch.ones(3), targets)
    tensor([ True, False, False])
    """
    noise, sizes = slope_noise(loss, outputs, targets)
    rough: Tensor = noise > ROUGH * sizes
    return rough


def slope_noise(
    loss: Loss, outputs: Tensor, targets: Tensor, again: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the size of rounding in each example's slope, and of the slope, (n,) each.

    again: the outputs with other rounding on their way; None: rounded once.
    """

    slopes_of = _slopes_of(loss)
    plain = slopes_of(outputs, targets)
    with Rounded():
        rounded = slopes_of(outputs * 1 if again is None else again, targets)
    noise = ROUNDING * (rounded - plain).reshape(len(plain), -1).norm(dim=1)
    return noise, plain.reshape(len(plain), -1).norm(dim=1)


def slope_change(
    loss: Loss, outputs: Tensor, targets: Tensor, others: Sequence[Tensor]
) -> Tensor:
    """Return by how much each example's slope is another one at other outputs, (n,).

    others: any number of outputs; the root mean square of their changes counts.
    """
    total = outputs.new_zeros(len(outputs))
    slopes_of = _slopes_of(loss)
    for moved in others:
        change = slopes_of(moved, targets) - slopes_of(outputs, targets)
        total += change.reshape(len(change), -1).square().sum(dim=1) / len(others)
    return total.sqrt()


def _slopes_of(loss: Loss) -> Any:
    """Return the function d loss / d outputs of outputs and targets."""

    def loss_of_one(out: Tensor, y: Tensor) -> Tensor:
        return loss(out[None], y[None]).sum()

    return vmap(grad(loss_of_one))


def stored_type(values: Tensor) -> torch.dtype:
    """Return the type that parameters were stored in: their own, or single precision
    for doubles that all are single ones, as `model.double()` makes them.

    >>> stored_type(torch.tensor([0.1]).double())
    torch.float32
    """
    if values.dtype == torch.float64 and torch.equal(values.float().double(), values):
        return torch.float32
    return values.dtype


def moved_as_stored(
    parts: Sequence[Tensor], kinds: Sequence[torch.dtype]
) -> list[Tensor]:
    """Return parameters (p,), MOVES times, each number moved up or down by as much as
    storing it may have moved it: half an eps.

    parts: tensors (k,). kinds: the type that each was stored in.
    """
    generator = torch.Generator().manual_seed(0)
    halves = [torch.finfo(kind).eps / 2 for kind in kinds]
    found = []
    for _ in range(MOVES):
        moved = []
        for part, half in zip(parts, halves, strict=True):
            signs = torch.randint(0, 2, part.shape, generator=generator).to(part)
            moved.append(part * (1 + (2 * signs - 1) * half))
        found.append(torch.cat(moved))
    return found
