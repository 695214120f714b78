"""What if values are so large that sums of them overflow, though their mean does not?

out is a weighted mean of values, but FlashAttention sums first and divides at the end:
above the largest number / N it may overflow. Its gradients hold the products of dout
and v, which may overflow where their differences do not. Then all is computed again
with values made smaller by a power of two, which is exact, and made larger at the end.
What came out finite the first time stays as it is.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from smallscale.kernels import sight

Forward = Callable[[Tensor], tuple[Tensor, Tensor]]  # v -> out, lse
Backward = Callable[
    ..., tuple[Tensor, Tensor, Tensor]
]  # dout, dlse, saved -> dq, dk, dv
Tangents = Callable[..., tuple[Tensor, Tensor]]  # dv, saved -> dout, dlse


def forward(compute: Forward, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return compute(v), the pair (out, lse), where out is a mean of values v.

    What a mean of finite values overflows to in the last step, by rounding, is the
    largest number.
    """
    out, lse = compute(v)
    largest = torch.finfo(lse.dtype).max
    if sight.all_finite(out) or 4 * v.shape[2] * _most(v) <= largest:
        return out, lse
    factor = 2.0 ** -(2 + math.ceil(math.log2(v.shape[2])))
    small = compute(v * factor)[0].to(lse.dtype)
    mean = (small / factor).clamp(-largest, largest).where(small.isfinite(), small)
    return out.where(out.isfinite(), mean.to(out.dtype)), lse


def backward(
    compute: Backward,
    plain: tuple[Tensor, Tensor, Tensor],
    dout: Tensor,
    dlse: Tensor,
    saved: tuple[Tensor, ...],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return plain = compute(dout, dlse, saved), dq, dk and dv, with what is not finite
    in it computed again: products of dout and v may have overflowed.

    saved: q, k, v, out and lse. dq and dk have the factors of dout and of v in them, dv
    that of dout.
    """
    q, k, v, out, lse = saved
    a, b = _room(dout), _room(v)
    smaller = (q, k, v * b, out * b, lse)
    dq, dk, dv = compute(dout * a, dlse * a * b, smaller)
    whole = (dq / a / b, dk / a / b, dv / a)
    kept = [x.where(x.isfinite(), y) for x, y in zip(plain, whole, strict=True)]
    return kept[0], kept[1], kept[2]


def tangents(
    compute: Tangents, dv: Tensor, saved: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """Return compute(dv, saved), how out and lse move when values do by dv."""
    dout, dlse = compute(dv, saved)
    if sight.all_finite(dout):
        return dout, dlse
    q, k, v, out, lse = saved
    b = min(_room(v), _room(dv)) / (2 * v.shape[2])
    smaller = compute(dv * b, (q, k, v * b, out * b, lse))[0]
    return dout.where(dout.isfinite(), smaller / b), dlse


def _room(x: Tensor) -> float:
    """Return the power of two that brings all finite numbers to at most 1.

    >>> _room(torch.tensor([5.0, torch.inf])), _room(torch.tensor([0.1]))
    (0.125, 1.0)
    """
    return 2.0 ** -max(0, math.frexp(_most(x))[1])


def _most(x: Any) -> float:
    """Return the largest finite number in size; 0 where there is none."""
    finite = x.isfinite()
    return float(x.where(finite, 0.0).abs().amax()) if finite.any() else 0.0
