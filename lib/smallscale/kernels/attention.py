"""How is attention computed without ever storing its matrix? Five levels, plain to GPU.

    out = softmax(scale * q k^T) v,   lse = log sum exp(scale * q k^T) over the keys

FlashAttention (Dao et al. 2022; its second version, Dao 2023) reorders this sum. The
levels write that down:

    naive   the formula as it stands, N x N scores in memory
    online  one row at a time in numpy, keys in passing (`online.py`); forward only
    tiled   queries and keys in tiles, plain torch, forward and backward (`tiled.py`)
    cpp     the same tiles in C++, compiled when first asked for (`compiled.py`,
            `attention.cpp`)
    triton  the same tiles for a GPU; without one, in Triton's interpreter (`gpu.py`)
"""

import math
from functools import reduce
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from smallscale.core.validation import (
    as_float,
    as_tensor,
    flag,
    one_of,
    require,
    shown,
    whole_number,
)
from smallscale.kernels import (
    compiled,
    large_values,
    online,
    sight,
    tiled,
    whole_rows,
)
from smallscale.kernels.counts import Traffic
from smallscale.kernels.sight import causal_mask

LEVELS = ("naive", "online", "tiled", "cpp", "triton")
ALIGNMENTS = ("top-left", "bottom-right")
SMALLER = 2.0**-20  # what level naive multiplies values near the largest number with
LARGEST_BLOCK = 2**31  # more than any sequence has; a machine word holds its multiples
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
    """Return out = softmax(scale * q k^T) v, or (out, lse) with return_lse.

    lse is the natural logarithm of the sum over the keys of exp(scale * q k^T)
    (Dao et al. 2022, algorithm 1).

    q: (batch, heads, n_q, d). k, v: (batch, kv heads, n_k, d). The number of kv heads
        divides that of heads: head h reads kv head h // (heads / kv heads), as with
        repeat_interleave. All three have one type, float64, float32, float16 or
        bfloat16, and are on one device. Sums are taken in float32, in float64 for
        float64.
    causal: query i sees the keys j <= i with align "top-left" (as torch does), and j <=
        i + n_k - n_q with "bottom-right" (as FlashAttention does since 2.1). A query
        that sees no key gets out 0, lse -inf, gradients 0.
    scale: of the scores; 1 / sqrt(d) by default.
    level: one of LEVELS.
    block: queries and keys in a tile, for all levels but naive. Level triton rounds it
        to a power of two from 16 to 128.

    out is like q; lse is (batch, heads, n_q), in the type of the sums. Both have
    gradients, except at level online. The same arguments give the same bits. Raises
    ValueError, one line, for arguments that cannot be right; RuntimeError where this
    machine lacks what the level needs.

    NaN and infinity: what a query does not see changes nothing of its out and lse, nor
    of any gradient that flows through it, whatever it holds. (torch's own attention
    multiplies a value out of sight by a weight of 0, and 0 * NaN is NaN: there a broken
    value spoils the queries before it.) NaN comes out where a NaN was seen.
    Scores may be as large as the type holds: out, lse and gradients are still those of
    the softmax, of ties too. Beyond that they are infinite, as torch's are. So may
    values be, as out is their mean, and the gradients of both; but level triton on a
    GPU, which would have to wait, lets out overflow where values are above the largest
    number / n_k. (torch's own attention gives infinity or NaN for such values.)
    `torch.autocast` lowers nothing: out is like q and lse like the sums, inside as
    outside. There, where layers return various types, q, k and v may differ; the widest
    type counts.
    `torch.func`: vmap, grad, vjp and jvp work at every level but online, which has vmap
    alone. Only naive has second derivatives, of values that are not within 2^-7 / d of
    the largest number; else RuntimeError is raised for them.

    >>> q = k = torch.zeros(1, 1, 2, 4)
    >>> v = torch.tensor([[[[1.0, 2.0, 3.0, 4.0], [3.0, 4.0, 5.0, 6.0]]]])
    >>> attention(q, k, v, causal=True)
    tensor([[[[1., 2., 3., 4.],
              [2., 3., 4., 5.]]]])
    """
    q, k, v = _checked_arguments(q, k, v, causal, align, scale, level, block)
    scale = 1 / math.sqrt(q.shape[3]) if scale is None else float(scale)
    offset = _sight(q.shape[2], k.shape[2], causal, align)
    if level == "naive":
        out, lse = naive(q, k, v, scale, offset, return_lse=return_lse)
    else:
        out, lse = _flash(q, k, v, level, scale, offset, min(int(block), LARGEST_BLOCK))
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
    """Return (out, lse) by the formula as it stands; gradients are autograd's.

    Every score is written to slow memory and read back. The arguments are those of
    `tiled.forward`; without return_lse, lse is None.
    """
    traffic = traffic or Traffic()
    work = torch.promote_types(q.dtype, torch.float32)
    group = q.shape[1] // k.shape[1]
    k, v = (x.repeat_interleave(group, dim=1).to(work) for x in (k, v))
    hidden = None
    if offset < k.shape[2] - 1:
        hidden = causal_mask(q.shape[2], k.shape[2], offset, q.device)
    before, after = sight.split_scale(scale)
    q_scaled = before * traffic.read(q).to(work)
    scores = sight.scores(q_scaled, traffic.read(k), hidden)
    if after != 1:
        scores = after * scores
    scores = traffic.read(traffic.write(scores))  # (batch, heads, n_q, n_k)
    if hidden is not None:
        scores = scores.masked_fill(hidden, -math.inf)
    most_q, most_k, most_v = sight.largest(after * q_scaled, k, v)
    bound = torch.finfo(work).max / q.shape[3]
    blind = None
    if offset < 0 or k.shape[2] == 0 or not most_q * most_k <= bound:
        # The softmax of a row of -inf is NaN, and so is its gradient: it is taken of
        # zeros there, and not used.
        blind = scores.detach().isneginf().all(-1, keepdim=True)
        scores = torch.where(blind, 0.0, scores)
    factor, moving = 1.0, scores
    if not 4 * most_v <= bound:  # nor if it is NaN
        # Products with such values overflow: out comes from smaller ones, and so do the
        # gradients, which grow again where they reach the scores.
        factor = SMALLER
        v = sight.rescaled(v, factor, 1.0)
        moving = sight.rescaled(scores, 1.0, 1 / factor)
    weights = traffic.read(traffic.write(moving.softmax(-1)))
    out = traffic.write(sight.weighted_sum(weights, traffic.read(v), hidden))
    if factor != 1:
        out = sight.rescaled(out, 1 / factor, 1.0)
    lse = scores.logsumexp(-1) if return_lse else None
    if blind is not None:
        out = out.masked_fill(blind, 0.0)
        if lse is not None:
            lse = lse.masked_fill(blind.squeeze(-1), -math.inf)
    return out.to(q.dtype), lse


class _Flash(torch.autograd.Function):
    """Keeps q, k, v, out and lse; the backward pass computes the scores again.

    Its derivatives are functions of their own, so that `torch.func` can batch them too.
    """

    @staticmethod
    def forward(
        q: Tensor, k: Tensor, v: Tensor, level: str, *settings: Any
    ) -> tuple[Tensor, Tensor]:
        def compute(v: Tensor) -> tuple[Tensor, Tensor]:
            found: tuple[Tensor, Tensor] = _engine(level).forward(q, k, v, *settings)
            return found

        with sight.full_precision(q.device):
            # Asking about out would make a GPU wait; level cpp asks by itself.
            asks = level != "cpp" and not (level == "triton" and q.is_cuda)
            return large_values.forward(compute, v) if asks else compute(v)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs[:3], *output)
        ctx.save_for_forward(*inputs[:3], *output)
        ctx.settings = inputs[3:]

    @staticmethod
    def backward(ctx: Any, dout: Tensor, dlse: Tensor) -> tuple[Any, ...]:
        gradients = _gradients(dout, dlse, *ctx.saved_tensors, *ctx.settings)
        return (*gradients, *[None for _ in ctx.settings])

    @staticmethod
    def jvp(
        ctx: Any, dq: Tensor | None, dk: Tensor | None, dv: Tensor | None, *_: None
    ) -> Any:
        given = zip((dq, dk, dv), ctx.saved_tensors, strict=False)
        moves = [torch.zeros_like(x) if dx is None else dx for dx, x in given]
        return _tangents(*moves, *ctx.saved_tensors, *ctx.settings)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> tuple[Any, Any]:
        return sight.over_batches(_flash, info, in_dims, arguments)


class _FirstDerivative(torch.autograd.Function):
    """What the derivatives of `_Flash` share: they can be batched, not derived."""

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.level = next(x for x in inputs if isinstance(x, str))

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise RuntimeError(
            f"level '{ctx.level}' has no second derivatives; use level 'naive'"
        )

    jvp = backward


class _Gradients(_FirstDerivative):
    """The gradients of q, k and v: (dout, dlse, q, k, v, out, lse, …) -> dq, dk, dv."""

    @staticmethod
    def forward(
        dout: Tensor, dlse: Tensor, *arguments: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        saved, level, settings = arguments[:5], arguments[5], arguments[6:]
        coarse = whole_rows.coarse(saved[4])

        def plain(
            dout: Tensor, dlse: Tensor, saved: tuple[Tensor, ...]
        ) -> tuple[Tensor, Tensor, Tensor]:
            return _engine_gradients(level, dout, dlse, saved, *settings)

        def by_rows(
            dout: Tensor, dlse: Tensor, saved: tuple[Tensor, ...]
        ) -> tuple[Tensor, Tensor, Tensor]:
            # With lse +inf a row's weights are 0: it is left to `whole_rows`.
            fine = (*saved[:4], saved[4].masked_fill(coarse, math.inf))
            some = plain(dout, dlse, fine)
            rest = whole_rows.backward(dout, dlse, saved, coarse, *settings)
            dq, dk, dv = (a + b for a, b in zip(some, rest, strict=True))
            return dq, dk, dv

        with sight.full_precision(dout.device):
            compute = by_rows if coarse.any() else plain
            gradients = compute(dout, dlse, saved)
            if sight.all_finite(gradients[0]):  # or else dS is not
                return gradients
            return large_values.backward(compute, gradients, dout, dlse, saved)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> tuple[Any, Any]:
        return sight.over_batches(_gradients, info, in_dims, arguments)


class _Tangents(_FirstDerivative):
    """How out and lse move: (dq, dk, dv, q, k, v, out, lse, …) -> dout, dlse.

    It is computed in plain torch at every level.
    """

    @staticmethod
    def forward(
        dq: Tensor, dk: Tensor, dv: Tensor, *arguments: Any
    ) -> tuple[Tensor, Tensor]:
        saved, settings = arguments[:5], arguments[6:]

        def compute(dv: Tensor, saved: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
            return whole_rows.tangents(dq, dk, dv, saved, *settings)

        with sight.full_precision(dq.device):
            return large_values.tangents(compute, dv, saved)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> tuple[Any, Any]:
        return sight.over_batches(_tangents, info, in_dims, arguments)


_flash: Any = _Flash.apply
_gradients: Any = _Gradients.apply
_tangents: Any = _Tangents.apply


def _engine(level: str) -> ModuleType:
    """Return the module whose `forward` and `backward` compute this level."""
    if level == "triton":
        from smallscale.kernels import gpu  # only here: not every machine has triton

        return gpu
    engines = {"online": online, "tiled": tiled, "cpp": compiled}
    return engines[level]


def _engine_gradients(
    level: str, dout: Tensor, dlse: Tensor, saved: tuple[Tensor, ...], *settings: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Return dq, dk and dv as this level computes them."""
    gradients: tuple[Tensor, Tensor, Tensor]
    gradients = _engine(level).backward(dout, dlse, saved, *settings)
    return gradients


def _sight(n_q: int, n_k: int, causal: bool, align: str) -> int:
    """Return the offset with which query i sees the keys 0 .. i + offset."""
    if not causal:
        return n_k  # no query looks beyond the last key
    return 0 if align == "top-left" else n_k - n_q


def _checked_arguments(
    q: Any,
    k: Any,
    v: Any,
    causal: Any,
    align: Any,
    scale: Any,
    level: Any,
    block: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return q, k and v as tensors; raise ValueError for what cannot be right."""
    one_of("level", level, LEVELS)
    one_of("align", align, ALIGNMENTS)
    flag("causal", causal)
    whole_number("block", block)
    wanted = "scale must be a finite number, or None for 1 / sqrt(d)"
    finite = scale is None or math.isfinite(as_float(scale))
    require(finite, f"{wanted}; got {shown(scale)}")
    learnt = isinstance(scale, Tensor) and scale.requires_grad
    require(not learnt, "scale must take no gradient; multiply q by it instead")
    q, k, v = (_dense(name, x) for name, x in (("q", q), ("k", k), ("v", v)))
    types = (q.dtype, k.dtype, v.dtype)
    if _autocasts(q.device) and set(types) <= set(DTYPES):
        widest = reduce(torch.promote_types, types)
        q, k, v = (x.to(widest) for x in (q, k, v))
    wanted = "q, k and v must be of one type, float64, float32, float16 or bfloat16"
    one_type = q.dtype == k.dtype == v.dtype and q.dtype in DTYPES
    require(one_type, f"{wanted}; got {q.dtype}, {k.dtype}, {v.dtype}")
    one_device = q.device == k.device == v.device
    devices = f"{q.device}, {k.device}, {v.device}"
    require(one_device, f"q, k and v must be on one device; got {devices}")
    _check_shapes(q, k, v)
    return q, k, v


def _dense(name: str, values: Any) -> Tensor:
    """Return numbers as a dense tensor; raise ValueError for a nested or sparse one."""
    x = as_tensor(name, values)
    dense = x.layout == torch.strided and not x.is_nested
    kind = "a nested tensor" if x.is_nested else x.layout
    require(dense, f"{name} must be a dense tensor, as x.to_dense(); got {kind}")
    return x


def _autocasts(device: torch.device) -> bool:
    """Return whether `torch.autocast` is on for this device."""
    available = torch.amp.is_autocast_available(device.type)
    return available and torch.is_autocast_enabled(device.type)


def _check_shapes(q: Tensor, k: Tensor, v: Tensor) -> None:
    """Raise ValueError unless the shapes of q, k and v belong together."""
    given = f"got {tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}"
    four = q.dim() == k.dim() == v.dim() == 4 and q.shape[3] > 0
    require(four, f"q, k and v must be (batch, heads, n, d), d at least 1; {given}")
    wanted = "k and v must have one shape, (batch, kv heads, n_k, d)"
    require(k.shape == v.shape, f"{wanted}; {given}")
    agree = q.shape[0] == k.shape[0] and q.shape[3] == k.shape[3]
    require(agree, f"q, k and v must agree in batch and d; {given}")
    heads, kv_heads = q.shape[1], k.shape[1]
    divides = kv_heads > 0 and heads % kv_heads == 0
    require(divides, f"k's heads must divide q's; got {kv_heads} and {heads}")
