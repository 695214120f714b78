"""Level triton: what does FlashAttention look like on a GPU? Tiles as Triton kernels.

The tiles are those of `tiled.py`. A program holds one tile of queries (for dk and dv:
of keys) and walks over the other side. No two programs write the same numbers, so no
sum is atomic and the same arguments give the same bits. Tiles that are seen whole are
walked without a mask, those on the edge of sight with one, those out of sight not at
all; the longest walks start first. Exponentials are in base 2, as in `tiled.py`, and of
the forward pass only the log-sum-exp is kept.

Without a GPU the same kernels run, slowly, in Triton's interpreter.

Names: BM and BN are the queries and keys in a tile; D is d rounded up to a power of
two. The scores are after * (before * q) k^T, where before is a power of two, so that
before * q is exact.
"""
# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# A kernel's arguments are pointers and registers, for which Python has no types.

import math
import os
import warnings
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smallscale.kernels import tiled

try:
    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is decorated, below
    import triton
    import triton.language as tl
except ImportError as error:
    raise RuntimeError(
        "level 'triton' needs the package triton, for Linux: "
        "pip install 'smallscale[gpu]'; or use 'tiled'"
    ) from error

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
LOG2E, LN2 = tl.constexpr(tiled.LOG2E), tl.constexpr(math.log(2))


def _tuned(kernel: Any) -> Any:
    """Let the GPU find the fastest tile sizes; the interpreter takes the caller's.

    They are found anew for each type, d, lengths rounded to powers of two (`size`), and
    whether all keys are in sight (`full`); the kernels do not use the last two
    otherwise.
    """
    if INTERPRETED:
        return kernel
    sizes = [(64, 32), (64, 64), (128, 32), (128, 64), (128, 128)]
    configs = [
        triton.Config({"BM": m, "BN": n}, num_warps=warps, num_stages=stages)
        for (m, n), warps, stages in product(sizes, (4, 8), (2, 3, 4))
    ]
    return triton.autotune(configs, key=["size", "full", "d"])(kernel)


@triton.jit
def _load(X, rows, n, d: tl.constexpr, D: tl.constexpr, MASK: tl.constexpr):
    """Return rows of a head's (n, d) matrix as (len(rows), D); zeros past its edges."""
    cols = tl.arange(0, D)
    at = X + rows[:, None] * d + cols[None, :]
    if MASK or d < D:
        x = tl.load(at, mask=(rows[:, None] < n) & (cols[None, :] < d), other=0.0)
    else:
        x = tl.load(at)
    return x


@triton.jit
def _load_queries(Q, rows, n, before: tl.constexpr, d: tl.constexpr, D: tl.constexpr):
    """Return before * q, (len(rows), D), in the type of q."""
    q = _load(Q, rows, n, d, D, True)
    return (q * before).to(q.dtype)


@triton.jit
def _store(X, x, rows, n, d: tl.constexpr, D: tl.constexpr):
    """Write the same rows, but for what lies beyond the edges."""
    cols = tl.arange(0, D)
    tl.store(
        X + rows[:, None] * d + cols[None, :],
        x,
        mask=(rows[:, None] < n) & (cols[None, :] < d),
    )


# tl.max and tl.sum by what they reduce with: they themselves cannot be interpreted if
# anything imported triton before TRITON_INTERPRET was set.
@triton.jit
def _most(x, axis: tl.constexpr):
    """Return the largest number along an axis."""
    return tl.reduce(x, axis, tl.standard._elementwise_max)


@triton.jit
def _sum(x, axis: tl.constexpr):
    """Return the sum along an axis."""
    return tl.reduce(x, axis, tl.standard._sum_combine)


@triton.jit
def _add_product(total, w, x, seen, N: tl.constexpr, EDGE: tl.constexpr):
    """Return total + w x, of the pairs in sight alone: (M, D) + (M, N) (N, D).

    0 times NaN is NaN: on the edge of sight, what is not finite in x is added row by
    row, to those that see it.
    """
    if EDGE:
        w = tl.where(seen, w, 0.0)
        wide = x.to(total.dtype)
        finite = tl.abs(wide) < float("inf")  # NaN is not less than anything
        clean = tl.where(finite, wide, 0.0).to(x.dtype)
        total = total + tl.dot(w.to(x.dtype), clean, input_precision="tf32x3")
        rest = tl.where(finite, 0.0, wide)
        if _most(_most(tl.where(finite, 0, 1), 1), 0) > 0:
            at = tl.arange(0, N)
            for c in range(N):
                w_c = _sum(tl.where(at[None, :] == c, w, 0.0), 1)  # (M,)
                x_c = _sum(tl.where(at[:, None] == c, rest, 0.0), 0)  # (D,)
                sees = _most(tl.where((at[None, :] == c) & seen, 1, 0), 1)  # (M,)
                counts = (sees[:, None] > 0) & (x_c[None, :] != 0.0)
                total = total + tl.where(counts, w_c[:, None] * x_c[None, :], 0.0)
    else:
        total = total + tl.dot(w.to(x.dtype), x, input_precision="tf32x3")
    return total


@triton.jit
def _queries(n_q, n_k, offset, BM: tl.constexpr, BN: tl.constexpr):
    """Return this program's head and queries, and how far they see.

    whole: where the tiles of keys end that all of these queries see whole. stop: where
    those end that any of them sees.
    """
    tiles = (n_q + BM - 1) // BM
    i0 = (tiles - 1 - tl.program_id(0) % tiles) * BM
    # One dimension of programs holds any number of heads, 64 bits hold any position.
    head = (tl.program_id(0) // tiles).to(tl.int64)
    whole = tl.maximum(tl.minimum(n_k, i0 + offset + 1), 0) // BN * BN
    stop = tl.minimum(n_k, i0 + BM + offset)
    return head, i0 + tl.arange(0, BM), whole, stop


@triton.jit
def _tile_scores(q, k, i, j, n_k, offset, EDGE: tl.constexpr):
    """Return (before q) k^T, -inf out of sight, and which pairs are seen: (BM, BN)."""
    seen = (j[None, :] < n_k) & (j[None, :] <= i[:, None] + offset)
    s = tl.dot(q, tl.trans(k), input_precision="tf32x3")
    if EDGE:
        s = tl.where(seen, s, float("-inf"))
    return s, seen


@_tuned
@triton.jit
def _forward(
    Q, K, V, Out, Lse, n_q, n_k, offset, group, size, full, least: tl.constexpr,
    before: tl.constexpr, after: tl.constexpr, d: tl.constexpr, D: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """Compute a tile of out and lse (Dao 2023, algorithm 1)."""
    head, i, whole, stop = _queries(n_q, n_k, offset, BM, BN)
    K += head // group * n_k * d
    V += head // group * n_k * d
    q = _load_queries(Q + head * n_q * d, i, n_q, before, d, D)
    # Not -inf: as long as a row has seen no key, top - top is 0, not NaN.
    top = tl.full([BM], least, Lse.dtype.element_ty)  # m
    total = tl.full([BM], 0.0, Lse.dtype.element_ty)  # l
    acc = tl.full([BM, D], 0.0, Lse.dtype.element_ty)  # O
    for edge in tl.static_range(2):
        for j0 in range(whole * edge, stop if edge else whole, BN):
            j = j0 + tl.arange(0, BN)
            k = _load(K, j, n_k, d, D, edge)
            v = _load(V, j, n_k, d, D, edge)
            s, seen = _tile_scores(q, k, i, j, n_k, offset, edge)
            higher = tl.maximum(top, _most(s, 1))
            p = tl.exp2((s - higher[:, None]) * (after * LOG2E))
            shrink = tl.exp2((top - higher) * (after * LOG2E))
            total = total * shrink + _sum(p, 1)
            acc = _add_product(acc * shrink[:, None], p, v, seen, BN, edge)
            top = higher
    out = acc / tl.where(total == 0, 1.0, total)[:, None]
    _store(Out + head * n_q * d, out, i, n_q, d, D)
    tl.store(Lse + head * n_q + i, after * top + tl.log2(total) * LN2, mask=i < n_q)


@_tuned
@triton.jit
def _dq(
    Q, K, V, Out, DOut, Lse, DLse, Delta, DQ, n_q, n_k, offset, group, size, full,
    before: tl.constexpr, after: tl.constexpr, d: tl.constexpr, D: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """Compute a tile of dq (Dao 2023, algorithm 2), and delta, which `_dkdv` reads.

    delta is the sum of out * dout over d, less the gradient of lse.
    """
    head, i, whole, stop = _queries(n_q, n_k, offset, BM, BN)
    K += head // group * n_k * d
    V += head // group * n_k * d
    q = _load_queries(Q + head * n_q * d, i, n_q, before, d, D)
    do = _load(DOut + head * n_q * d, i, n_q, d, D, True)
    out = _load(Out + head * n_q * d, i, n_q, d, D, True)
    row = head * n_q + i
    lse = tl.load(Lse + row, mask=i < n_q, other=float("inf"))
    delta = _sum(out.to(lse.dtype) * do.to(lse.dtype), 1)
    delta -= tl.load(DLse + row, mask=i < n_q, other=0.0)
    tl.store(Delta + row, delta, mask=i < n_q)
    dq = tl.full([BM, D], 0.0, lse.dtype)
    for edge in tl.static_range(2):
        for j0 in range(whole * edge, stop if edge else whole, BN):
            j = j0 + tl.arange(0, BN)
            k = _load(K, j, n_k, d, D, edge)
            v = _load(V, j, n_k, d, D, edge)
            s, seen = _tile_scores(q, k, i, j, n_k, offset, edge)
            p = tl.exp2((s - lse[:, None]) * (after * LOG2E))
            dp = tl.dot(do, tl.trans(v), input_precision="tf32x3")
            ds = p * (dp - delta[:, None])
            dq = _add_product(dq, ds, k, seen, BN, edge)
    _store(DQ + head * n_q * d, dq * (before * after), i, n_q, d, D)


@_tuned
@triton.jit
def _dkdv(
    Q, K, V, DOut, Lse, Delta, DK, DV, n_q, n_k, offset, group, size, full,
    before: tl.constexpr, after: tl.constexpr, d: tl.constexpr, D: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """Compute a tile of dk and dv (Dao 2023, algorithm 2)."""
    tiles = (n_k + BN - 1) // BN
    j0 = tl.program_id(0) % tiles * BN
    kv_head = (tl.program_id(0) // tiles).to(tl.int64)
    j = j0 + tl.arange(0, BN)
    k = _load(K + kv_head * n_k * d, j, n_k, d, D, True)
    v = _load(V + kv_head * n_k * d, j, n_k, d, D, True)
    dk = tl.full([BN, D], 0.0, Lse.dtype.element_ty)
    dv = tl.full([BN, D], 0.0, Lse.dtype.element_ty)
    # The first tile of queries that sees one of these keys, and that sees all of them.
    first = tl.maximum(j0 - offset, 0) // BM * BM
    whole = (tl.maximum(j0 + BN - 1 - offset, 0) + BM - 1) // BM * BM
    whole = tl.minimum(tl.maximum(whole, first), (n_q + BM - 1) // BM * BM)
    for g in range(0, group):  # one after the other, so that the sum has one order
        head = kv_head * group + g
        for inside in tl.static_range(2):
            for i0 in range(whole if inside else first, n_q if inside else whole, BM):
                i = i0 + tl.arange(0, BM)
                q = _load_queries(Q + head * n_q * d, i, n_q, before, d, D)
                do = _load(DOut + head * n_q * d, i, n_q, d, D, True)
                row = head * n_q + i
                # A query that does not exist has lse inf, so its weights are 0.
                lse = tl.load(Lse + row, mask=i < n_q, other=float("inf"))
                delta = tl.load(Delta + row, mask=i < n_q, other=0.0)
                # (BN, BM): transposed, as dk and dv want it
                s = tl.dot(k, tl.trans(q), input_precision="tf32x3")
                seen = (i[None, :] < n_q) & (j[:, None] <= i[None, :] + offset)
                if not inside:
                    s = tl.where(seen, s, float("-inf"))
                p = tl.exp2((s - lse[None, :]) * (after * LOG2E))
                dv = _add_product(dv, p, do, seen, BM, not inside)
                dp = tl.dot(v, tl.trans(do), input_precision="tf32x3")
                ds = p * (dp - delta[None, :])
                dk = _add_product(dk, ds, q, seen, BM, not inside)
    # q came times before.
    _store(DK + kv_head * n_k * d, dk * after, j, n_k, d, D)
    _store(DV + kv_head * n_k * d, dv, j, n_k, d, D)


@torch.compiler.disable  # these kernels are compiled already
def forward(
    q: Tensor, k: Tensor, v: Tensor, scale: float, offset: int, block: int
) -> tuple[Tensor, Tensor]:
    """Return (out, lse), as `tiled.forward`.

    On a GPU the tiles are those that proved fastest, and block is not used.
    """
    if not INTERPRETED and q.device.type != "cuda":
        raise ValueError(
            f"level 'triton' compiles for the GPU here; got tensors on {q.device}: "
            "move them to 'cuda', or set TRITON_INTERPRET=1 before Python starts"
        )
    lse = q.new_empty(q.shape[:3], dtype=torch.promote_types(q.dtype, torch.float32))
    inputs = _ready(lse.dtype, q, k, v)
    out = torch.empty_like(inputs[0])
    factors = _split_scale(scale, q.dtype)
    factors["least"] = torch.finfo(lse.dtype).min
    _launch(_forward, "BM", q, (*inputs, out, lse), factors, offset, block)
    return out.to(q.dtype), lse


@torch.compiler.disable
def backward(
    dout: Tensor,
    dlse: Tensor,
    saved: tuple[Tensor, ...],
    scale: float,
    offset: int,
    block: int,
) -> tuple[Tensor, ...]:
    """Return (dq, dk, dv), as `tiled.backward`.

    The queries' kernel computes delta and dq; then the keys' kernel computes dk and dv.
    """
    dtype, lse = saved[0].dtype, saved[4]
    q, k, v, out, dout, dlse = _ready(lse.dtype, *saved[:4], dout, dlse)
    factors = _split_scale(scale, dtype)
    # As the kernels want it; a row that saw no key gets the weights exp(-inf).
    lse = lse.masked_fill(lse == -torch.inf, torch.inf) / factors["after"]
    delta, dq = torch.empty_like(lse), torch.empty_like(q)
    dk, dv = torch.empty_like(k), torch.empty_like(v)
    for_dq = (q, k, v, out, dout, lse, dlse, delta, dq)
    for_dkdv = (q, k, v, dout, lse, delta, dk, dv)
    _launch(_dq, "BM", q, for_dq, factors, offset, block)
    _launch(_dkdv, "BN", k, for_dkdv, factors, offset, block)
    return dq.to(dtype), dk.to(dtype), dv.to(dtype)


def _ready(work: torch.dtype, *tensors: Tensor) -> list[Tensor]:
    """Return tensors in one piece of memory each.

    In the interpreter, whose bfloat16 arithmetic is wrong, they get the type of the
    sums.
    """
    return [(x.to(work) if INTERPRETED else x).contiguous() for x in tensors]


def _split_scale(scale: float, dtype: torch.dtype) -> dict[str, float]:
    """Return before and after, whose product is scale; before is 0 or a power of two.

    before is at most 1 in size and at most scale: what overflows in (before * q) k^T
    overflows in the scores too. In float16, whose products float32 always holds, it is
    1: smaller numbers might not be exact.
    """
    if scale == 0:
        return {"before": 0.0, "after": 1.0}
    power = min(0, math.frexp(scale)[1] - 1)  # 2^power <= |scale|
    if dtype == torch.float16:
        power = 0
    before = math.copysign(2.0**power, scale)
    return {"before": before, "after": scale / before}


def _launch(
    kernel: Any,
    tile: str,
    of: Tensor,
    tensors: Any,
    factors: dict[str, float],
    offset: int,
    block: int,
) -> None:
    """Start one program for each tile of each head of the tensor `of`.

    The programs lie in one dimension, since the others end at 65,535.
    """
    if of.shape[:3].numel() == 0:
        return
    (_, heads, n_q, d), (_, kv_heads, n_k, _) = tensors[0].shape, tensors[1].shape
    numbers = {
        "n_q": n_q,
        "n_k": n_k,
        "offset": offset,
        "group": heads // kv_heads,
        "size": triton.next_power_of_2(max(n_q, n_k, 1)),
        "full": int(offset >= n_k - 1),
    }
    sizes = {**factors, "d": d, "D": max(16, triton.next_power_of_2(d))}
    if INTERPRETED:
        sizes["BM"] = sizes["BN"] = min(128, max(16, triton.next_power_of_2(block)))

    def grid(chosen: dict[str, int]) -> tuple[int]:
        return (-(-of.shape[2] // chosen[tile]) * of.shape[0] * of.shape[1],)

    # The interpreter would warn of NaN and the log of 0, of which a GPU says nothing.
    quiet = warnings.catch_warnings(action="ignore", category=RuntimeWarning)
    with quiet, np.errstate(all="ignore"):
        kernel[grid](*tensors, **numbers, **sizes)
