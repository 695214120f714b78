"""Which examples are given? Inputs and targets, one of each, finite and of one type.

What is not so is refused with the argument's name, and where it is one example's fault,
with its position.
"""

from typing import Any

import torch
from torch import Tensor

from smallscale.core.validation import as_array, as_tensor, require, same_length

Examples = tuple[Tensor, Tensor]  # inputs and targets, of the same length


def as_examples(name: str, examples: Any, like: Tensor | None = None) -> Examples:
    """Return a pair (inputs, targets) as tensors of the same length; see `as_type_of`.

    Raises ValueError, naming `name`, for what is no such pair, or not finite.
    """
    pair = isinstance(examples, (tuple, list)) and len(examples) == 2
    kind = type(examples).__name__
    require(pair, f"{name} must be a pair (inputs, targets); got {kind}")
    parts = {f"{name} inputs": examples[0], f"{name} targets": examples[1]}
    # A list becomes single precision in torch, whatever the model computes in.
    keep = like is not None
    tensors = [_as_tensor(part, values, keep) for part, values in parts.items()]
    inputs, targets = tensors
    same_length(**{f"{name} inputs": inputs, f"{name} targets": targets})
    for part, tensor in zip(parts, tensors, strict=True):
        finite_points(part, tensor)
    pair_of_type = as_type_of(inputs, like), as_type_of(targets, like)
    for part, tensor in zip(parts, pair_of_type, strict=True):
        finite_points(part, tensor)  # what is finite in double may not be in single
    return pair_of_type


def _as_tensor(name: str, values: Any, keep: bool) -> Tensor:
    """Return the numbers of a list, array, table or tensor as a dense tensor.

    keep: whether numbers in a list keep their double precision.
    """
    if not isinstance(values, (Tensor, list, tuple)) or (
        keep and not isinstance(values, Tensor)
    ):
        values = as_array(name, values)
        # torch warns of arrays that cannot be written.
        values = values if values.flags.writeable else values.copy()
    tensor = as_tensor(name, values).detach()
    require(
        tensor.layout == torch.strided and not tensor.is_meta,
        f"{name} must be a dense tensor; got {tensor.layout} on {tensor.device}",
    )
    require(tensor.dim(), f"{name} must be a list; got a single value")
    return tensor.clone() if tensor.is_inference() else tensor


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
