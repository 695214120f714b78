"""How is attention computed without ever storing its matrix? One function, five levels, from plain to GPU.

    out = softmax(scale * q k^T) v,   lse = log of the sum of exp(scale * q k^T) over the keys

FlashAttention (Dao et al. 2022; its second version, Dao 2023) reorders this sum. The levels write that down:

    naive   the formula as it stands, N x N scores in memory
    online  one row at a time in numpy, keys in passing (`online.py`); forward only
    tiled   queries and keys in tiles, plain torch, forward and backward (`tiled.py`)
    cpp     the same tiles in C++, compiled when first asked for (`compiled.py`, `attention.cpp`)
    triton  the same tiles for a GPU; without one, in Triton's interpreter (`gpu.py`)
"""

import math
from importlib import import_module
from numbers import Integral, Real
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from smallscale.kernels.counts import Traffic
from smallscale.kernels.tiled import hidden

LEVELS = ("naive", "online", "tiled", "cpp", "triton")
ALIGNMENTS = ("top-left", "bottom-right")
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def attention(
    q: Any,
    k: Any,
    v: Any,
    *,
    causal: bool = False,
    align: str = "top-left",
    scale: float | None = None,
    level: str = "tiled",
    block: int = 128,
    return_lse: bool = False,
) -> Any:
    """Attention (Dao et al. 2022, algorithm 1): out, or (out, lse) with return_lse, natural logarithm.

    q: (batch, heads, n_q, d); k, v: (batch, kv heads, n_k, d), kv heads a divisor of heads: head h reads kv head
        h // (heads / kv heads), as with repeat_interleave. All of one type, float64, float32, float16 or bfloat16,
        and on one device. Sums are taken in float32, in float64 for float64.
    causal: query i sees the keys j <= i with align "top-left" (as torch does), j <= i + n_k - n_q with
        "bottom-right" (as FlashAttention does since 2.1). A query that sees no key gets out 0, lse -inf, gradients 0.
    scale: of the scores, 1 / sqrt(d) by default. level: one of `LEVELS`.
    block: queries and keys in a tile, for all levels but naive; triton rounds it to a power of two from 16 to 128.
    Returns out like q, and lse (batch, heads, n_q) in the type of the sums. Both have gradients, except at level
    online. The same arguments give the same bits. NaN comes out where a NaN was seen.
    Raises ValueError, one line, for arguments that cannot be right; RuntimeError where this machine lacks what the
    level needs.
    """
    q, k, v = (torch.as_tensor(x) for x in (q, k, v))
    _check(q, k, v, causal, align, scale, level, block)
    scale = 1 / math.sqrt(q.shape[3]) if scale is None else float(scale)
    n_q, n_k = q.shape[2], k.shape[2]
    # Without causal every key is seen: so far ahead does no query look.
    offset = n_k if not causal else 0 if align == "top-left" else n_k - n_q
    if level == "naive":
        out, lse = naive(q, k, v, scale, offset, return_lse=return_lse)
    else:
        home = {"cpp": "compiled", "triton": "gpu"}.get(level, level)
        engine = import_module(f"smallscale.kernels.{home}")
        out, lse = _Flash.apply(q, k, v, engine, scale, offset, int(block))
    return (out, lse) if return_lse else out


def naive(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float,
    offset: int,
    return_lse: bool = True,
    traffic: Traffic | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The formula as it stands: every score is written to slow memory and read back. Gradients are autograd's."""
    traffic, work = traffic or Traffic(), torch.promote_types(q.dtype, torch.float32)
    group = q.shape[1] // k.shape[1]
    k, v = (x.repeat_interleave(group, dim=1).to(work) for x in (k, v))
    scores = traffic.write(
        scale * traffic.read(q).to(work) @ traffic.read(k).mT
    )  # (batch, heads, n_q, n_k)
    scores = traffic.read(scores)
    if offset < k.shape[2] - 1:
        scores = scores.masked_fill(
            hidden(q.shape[2], k.shape[2], offset, q.device), -math.inf
        )
    # The softmax of a row of -inf is NaN, and so is its gradient: it is taken of zeros there, and not used.
    blind = scores.detach().isneginf().all(-1, keepdim=True)
    if blind.any():
        scores = scores.masked_fill(blind, 0.0)
    weights = traffic.read(traffic.write(scores.softmax(-1)))
    out = traffic.write(weights @ traffic.read(v)).masked_fill(blind, 0.0).to(q.dtype)
    return out, scores.logsumexp(-1).masked_fill(
        blind.squeeze(-1), -math.inf
    ) if return_lse else None


class _Flash(torch.autograd.Function):
    """Keeps q, k, v, out and lse: what the backward pass needs of the N x N scores, it computes again."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, engine: ModuleType, *settings: Any
    ) -> tuple[Tensor, Tensor]:
        out, lse = engine.forward(q, k, v, *settings)
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.engine, ctx.settings = engine, settings
        return out, lse

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor, dlse: Tensor) -> tuple[Tensor | None, ...]:
        return (
            *ctx.engine.backward(dout, dlse, ctx.saved_tensors, *ctx.settings),
            None,
            *(None for _ in ctx.settings),
        )


def _check(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    causal: Any,
    align: Any,
    scale: Any,
    level: Any,
    block: Any,
) -> None:
    _need(level in LEVELS, f"level must be one of {', '.join(LEVELS)}; got {level!r}")
    _need(
        align in ALIGNMENTS,
        f"align must be 'top-left' or 'bottom-right'; got {align!r}",
    )
    _need(
        isinstance(causal, (bool, np.bool_)),
        f"causal must be True or False; got {type(causal).__name__}",
    )
    finite = scale is None or (isinstance(scale, Real) and math.isfinite(scale))
    _need(
        finite, f"scale must be a finite number, or None for 1 / sqrt(d); got {scale!r}"
    )
    whole = (
        isinstance(block, Integral) and not isinstance(block, bool) and int(block) >= 1
    )
    _need(whole, f"block must be a whole number, at least 1; got {block!r}")
    types, devices, shapes = (
        f"got {a}, {b}, {c}"
        for a, b, c in zip(
            *((x.dtype, x.device, tuple(x.shape)) for x in (q, k, v)), strict=True
        )
    )
    one_type = q.dtype == k.dtype == v.dtype and q.dtype in DTYPES
    _need(
        one_type,
        f"q, k and v must be of one type, float64, float32, float16 or bfloat16; {types}",
    )
    _need(
        q.device == k.device == v.device, f"q, k and v must be on one device; {devices}"
    )
    four = q.dim() == k.dim() == v.dim() == 4 and q.shape[3] > 0
    _need(four, f"q, k and v must be (batch, heads, n, d), d at least 1; {shapes}")
    _need(
        k.shape == v.shape,
        f"k and v must have one shape, (batch, kv heads, n_k, d); {shapes}",
    )
    _need(
        q.shape[::3] == k.shape[::3], f"q, k and v must agree in batch and d; {shapes}"
    )
    divides = k.shape[1] > 0 and q.shape[1] % k.shape[1] == 0
    _need(divides, f"k's heads must divide q's; got {k.shape[1]} and {q.shape[1]}")


def _need(holds: bool, words: str) -> None:
    if not holds:
        raise ValueError(words)
