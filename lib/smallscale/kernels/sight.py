"""What may a query learn of a key that it does not see? Nothing, NaN included.

A tile of scores on the edge of sight holds pairs of queries and keys that do not see
each other. Their weights are 0, but 0 times NaN is NaN, and 0 times infinity too: in a
product of matrices one broken value would spoil every row of its tile. The products
here leave such pairs out. Where all numbers are finite they are the plain products, bit
for bit.

    hidden   (rows, columns), True where a pair is out of sight; None where none is
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def split_scale(scale: float) -> tuple[float, float]:
    """Return (before, after) with before * after = scale, before at most 1 in size.

    before * q is no larger than q, and (before * q) k^T no larger than the scores
    after * (before * q) k^T: nothing on the way overflows where the scores do not.

    >>> split_scale(0.125), split_scale(-3.0)
    ((0.125, 1.0), (-1.0, 3.0))
    """
    after = max(1.0, abs(scale))
    return scale / after, after


def causal_mask(
    rows: int, cols: int, offset: int, device: torch.device | None = None
) -> Tensor:
    """Return (rows, cols), True where key j is out of query i's sight: j > i + offset.

    >>> causal_mask(2, 3, 0)
    tensor([[False,  True,  True],
            [False, False,  True]])
    """
    return torch.ones(rows, cols, dtype=torch.bool, device=device).triu(offset + 1)


def hide_(scores: Tensor, hidden: Tensor | None, value: float = -math.inf) -> Tensor:
    """Set scores (…, rows, columns) to this value where hidden, in place."""
    return scores if hidden is None else scores.masked_fill_(hidden, value)


def turned(hidden: Tensor | None) -> Tensor | None:
    """Return (columns, rows), the mask of the transpose."""
    return None if hidden is None else hidden.mT


def product(weights: Tensor, x: Tensor, hidden: Tensor | None) -> Tensor:
    """Return weights x of the pairs in sight alone, (…, rows, d).

    weights: (…, rows, columns), 0 or NaN where hidden; x: (…, columns, d).

    >>> weights, x = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[2.0], [math.nan]]])
    >>> weights @ x, product(weights, x, torch.tensor([[False, True]]))
    (tensor([[[nan]]]), tensor([[[2.]]]))
    """
    plain = weights @ x
    if hidden is None or all_finite(plain):
        return plain
    weights = weights.masked_fill(hidden, 0)
    finite = x.isfinite()
    total = weights @ x.masked_fill(~finite, 0)
    return total + _not_finite_part(weights, x, hidden, finite)


def add_product_(
    total: Tensor, weights: Tensor, x: Tensor, hidden: Tensor | None, alpha: float = 1
) -> Tensor:
    """Add alpha * weights x, of the pairs in sight alone, to `total` in place.

    It is `product` without room for the result. total: (…, rows, d), returned;
    weights and x are as there.
    """
    if hidden is None or all_finite(weights, x):
        return total.baddbmm_(weights, x, alpha=alpha)
    weights = weights.masked_fill(hidden, 0)
    finite = x.isfinite()
    total.baddbmm_(weights, x.masked_fill(~finite, 0), alpha=alpha)
    return total.add_(_not_finite_part(weights, x, hidden, finite), alpha=alpha)


def all_finite(*tensors: Tensor) -> bool:
    """Return whether none holds NaN or infinity; also False where a sum is too large.

    One number tells: a sum is finite only if all that was summed is.

    >>> all_finite(torch.ones(2), torch.tensor([0.0, math.nan]))
    False
    """
    return all(bool(x.sum().isfinite()) for x in tensors)


def bounded(a: Tensor, b: Tensor) -> bool:
    """Return whether every product a_i . b_j is surely finite, without computing any.

    a: (…, rows, d); b: (…, columns, d). d times the largest numbers of both is a bound.

    >>> bounded(torch.ones(2, 3), torch.ones(4, 3))
    True
    >>> bounded(torch.full((2, 3), 1e30), torch.full((4, 3), 1e30))
    False
    """
    most_a, most_b = largest(a, b)
    return most_a * most_b * a.shape[-1] <= torch.finfo(a.dtype).max


def largest(*tensors: Tensor) -> list[float]:
    """Return the largest number in size of each tensor, NaN where one is NaN.

    They are asked for together, for which a GPU waits once.

    >>> largest(torch.tensor([1.0, -3.0]), torch.tensor([2.0]))
    [3.0, 2.0]
    """
    ends = _ends(*[x.detach() for x in tensors]).tolist()
    return [max(-low, high) for low, high in ends]


def _not_finite_part(
    weights: Tensor, x: Tensor, hidden: Tensor, finite: Tensor
) -> Tensor:
    """Return weights x of those numbers of x that are not finite, for who sees them."""
    total = x.new_zeros(*weights.shape[:-1], x.shape[-1])
    broken = ~finite.all(-1).flatten(0, -2).all(0)  # (columns,), in any matrix
    for j in broken.nonzero().flatten().tolist():  # one by one, so that all fit
        terms = weights[..., j, None] * x[..., j, None, :]  # (…, rows, d)
        left_out = hidden[:, j, None] | finite[..., j, None, :]
        total += terms.masked_fill_(left_out, 0)
    return total


def full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which `torch.autocast` lowers no precision on this device."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def over_batches(
    apply: Callable[..., Any], info: Any, in_dims: Any, arguments: tuple[Any, ...]
) -> tuple[Any, Any]:
    """Return what torch asks of a function under `vmap`: (results, their dimensions).

    The dimension that vmap goes over is laid into the batch, the first dimension of
    every tensor that is not a mask; arguments that vmap does not go over are repeated.
    """
    size = info.batch_size
    folded = []
    for x, dim in zip(arguments, in_dims, strict=True):
        if isinstance(x, Tensor) and x.dtype != torch.bool:
            batched = x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)
            batch = batched.shape[1]
            x = batched.flatten(0, 1)
        folded.append(x)
    results = apply(*folded)
    if isinstance(results, Tensor):
        return results.reshape(size, batch, *results.shape[1:]), 0
    parted = [x.reshape(size, batch, *x.shape[1:]) for x in results]
    return tuple(parted), (0,) * len(parted)


class _Scores(torch.autograd.Function):
    """a b^T; where it is not finite, of the pairs in sight alone, and 0 elsewhere.

    Its derivatives are `weighted_sum`s, and the other way round.
    """

    @staticmethod
    def forward(a: Tensor, b: Tensor, hidden: Tensor | None) -> Tensor:
        with full_precision(a.device):
            result = a @ b.mT
            return result if bounded(a, b) else hide_(result, hidden, 0)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None]:
        a, b, hidden = ctx.saved_tensors
        return weighted_sum(g, b, hidden), weighted_sum(g.mT, a, turned(hidden)), None

    @staticmethod
    def jvp(ctx: Any, da: Tensor | None, db: Tensor | None, _: None) -> Tensor:
        a, b, hidden = ctx.saved_tensors
        return _sum_of(scores, (da, b, hidden), (a, db, hidden))

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> tuple[Any, Any]:
        return over_batches(scores, info, in_dims, arguments)


class _WeightedSum(torch.autograd.Function):
    """weights x of the pairs in sight; its derivatives are such products."""

    @staticmethod
    def forward(weights: Tensor, x: Tensor, hidden: Tensor | None) -> Tensor:
        with full_precision(x.device):
            return product(weights, x, hidden)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None]:
        weights, x, hidden = ctx.saved_tensors
        return scores(g, x, hidden), weighted_sum(weights.mT, g, turned(hidden)), None

    @staticmethod
    def jvp(ctx: Any, dweights: Tensor | None, dx: Tensor | None, _: None) -> Tensor:
        weights, x, hidden = ctx.saved_tensors
        return _sum_of(weighted_sum, (dweights, x, hidden), (weights, dx, hidden))

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> tuple[Any, Any]:
        return over_batches(weighted_sum, info, in_dims, arguments)


class _Ends(torch.autograd.Function):
    """The least and the largest number of each tensor, (tensors, 2).

    Under vmap they are of all that vmap goes over.
    """

    @staticmethod
    def forward(*tensors: Tensor) -> Tensor:
        kinds = [x.dtype for x in tensors]
        work = reduce(torch.promote_types, kinds)
        ends: list[Tensor] = []
        for x in tensors:
            both = x.aminmax() if x.numel() else (x.new_zeros(()), x.new_zeros(()))
            ends.extend(end.to(work) for end in both)
        return torch.stack(ends).view(-1, 2)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> None:
        return None

    @staticmethod
    def vmap(info: Any, in_dims: Any, *tensors: Tensor) -> tuple[Tensor, None]:
        return _ends(*tensors), None


class _Rescaled(torch.autograd.Function):
    """factor * x, whose gradient is `back` * g and not factor * g.

    What factors are left out on one way back is put in on another, so that nothing
    between overflows. A second derivative backwards would see that, and is refused.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, factor: float, back: float) -> Tensor:
        largest = torch.finfo(x.dtype).max  # beyond which rounding alone takes a mean
        return (x * factor).clamp(-largest, largest).where(x.isfinite(), x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.factor, ctx.back = inputs[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        return g * ctx.back, None, None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, *_: None) -> Tensor:
        moved: Tensor = dx * ctx.factor
        return moved


scores: Any = _Scores.apply
rescaled: Any = _Rescaled.apply
weighted_sum: Any = _WeightedSum.apply
_ends: Any = _Ends.apply


def _sum_of(multiply: Any, *pairs: tuple[Any, Any, Any]) -> Tensor:
    """Return the sum of these products, of those that have both factors."""
    terms = [multiply(*pair) for pair in pairs if all(x is not None for x in pair[:2])]
    total: Tensor = sum(terms[1:], terms[0])
    return total
