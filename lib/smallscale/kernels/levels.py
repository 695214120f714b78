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
from numbers import Integral
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from smallscale.kernels.counts import Traffic
from smallscale.kernels.tiled import hidden

LEVELS = ("naive", "online", "tiled", "cpp", "triton")
ALIGNMENTS = ("top-left", "bottom-right")
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


class Engine(Protocol):
    """A module that computes one level. Query i sees the keys 0 .. i + offset.

    q, out: (batch, heads, n_q, d); k, v: (batch, kv heads, n_k, d); lse: (batch, heads, n_q), float32 or float64.
    """

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, scale: float, offset: int, block: int
    ) -> tuple[Tensor, Tensor]: ...

    def backward(
        self, dout: Tensor, dlse: Tensor, saved: tuple[Tensor, ...], scale: float, offset: int, block: int
    ) -> tuple[Tensor, Tensor, Tensor]: ...


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
    _check(q, k, v, causal, align, level, block)
    scale = 1 / math.sqrt(q.shape[3]) if scale is None else _finite(scale)
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
    *,
    return_lse: bool = True,
    traffic: Traffic | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The formula as it stands: every score is written to slow memory and read back. Gradients are autograd's."""
    traffic, work = traffic or Traffic(), torch.promote_types(q.dtype, torch.float32)
    group = q.shape[1] // k.shape[1]
    k, v = (x.repeat_interleave(group, dim=1).to(work) for x in (k, v))
    scores = traffic.write(scale * traffic.read(q).to(work) @ traffic.read(k).mT)  # (batch, heads, n_q, n_k)
    scores = traffic.read(scores)
    if offset < k.shape[2] - 1:
        scores = scores.masked_fill(hidden(q.shape[2], k.shape[2], offset, q.device), -math.inf)
    # The softmax of a row of -inf is NaN, and so is its gradient: it is taken of zeros there, and not used.
    blind = scores.detach().isneginf().all(-1, keepdim=True)
    some = bool(blind.any())
    scores = scores.masked_fill(blind, 0.0) if some else scores
    weights = scores.softmax(-1)
    weights = traffic.read(traffic.write(weights.masked_fill(blind, 0.0) if some else weights))
    out = traffic.write(weights @ traffic.read(v)).to(q.dtype)
    return out, scores.logsumexp(-1).masked_fill(blind.squeeze(-1), -math.inf) if return_lse else None


class _Flash(torch.autograd.Function):
    """Keeps q, k, v, out and lse: what the backward pass needs of the N x N scores, it computes again."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, engine: Engine, scale: float, offset: int, block: int
    ) -> tuple[Tensor, Tensor]:
        out, lse = engine.forward(q, k, v, scale, offset, block)
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.engine, ctx.settings = engine, (scale, offset, block)
        return out, lse

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor, dlse: Tensor) -> tuple[Tensor | None, ...]:
        return *ctx.engine.backward(dout, dlse, ctx.saved_tensors, *ctx.settings), None, None, None, None


def _check(q: Tensor, k: Tensor, v: Tensor, causal: Any, align: str, level: str, block: Any) -> None:
    if level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}; got {level!r}")
    if align not in ALIGNMENTS:
        raise ValueError(f"align must be 'top-left' or 'bottom-right'; got {align!r}")
    if not isinstance(causal, (bool, np.bool_)):
        raise ValueError(f"causal must be True or False; got {type(causal).__name__}")
    if isinstance(block, bool) or not isinstance(block, Integral) or block < 1:
        raise ValueError(f"block must be a whole number, at least 1; got {block!r}")
    if not q.dtype == k.dtype == v.dtype or q.dtype not in DTYPES:
        raise ValueError(
            "q, k and v must be of one type, float64, float32, float16 or bfloat16; "
            f"got {q.dtype}, {k.dtype}, {v.dtype}"
        )
    if not q.device == k.device == v.device:
        raise ValueError(f"q, k and v must be on one device; got {q.device}, {k.device}, {v.device}")
    shapes = f"got {tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}"
    if not q.dim() == k.dim() == v.dim() == 4 or q.shape[3] == 0:
        raise ValueError(f"q, k and v must be (batch, heads, n, d), d at least 1; {shapes}")
    if k.shape != v.shape:
        raise ValueError(f"k and v must have one shape, (batch, kv heads, n_k, d); {shapes}")
    if q.shape[0] != k.shape[0] or q.shape[3] != k.shape[3]:
        raise ValueError(f"q, k and v must agree in batch and d; {shapes}")
    if k.shape[1] == 0 or q.shape[1] % k.shape[1]:
        raise ValueError(f"k's heads must divide q's; got {k.shape[1]} and {q.shape[1]}")


def _finite(scale: Any) -> float:
    try:
        number = float(scale)
    except (TypeError, ValueError, RuntimeError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"scale must be a finite number, or None for 1 / sqrt(d); got {scale!r}")
    return number
