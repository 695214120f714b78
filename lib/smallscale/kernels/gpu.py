"""Level triton: what does FlashAttention look like on a GPU? The tiles of `tiled.py` as Triton kernels.

A program holds one tile of queries (for dk and dv: of keys) and walks over the other side. Nothing else writes what it
writes, so no sum is atomic and the same arguments give the same bits. Tiles seen whole are walked without a mask, those
on the edge of sight with one, those out of sight not at all; the longest walks start first. Scores are in base 2, as in
`tiled.py`, and of the forward pass only the log-sum-exp is kept.

Without a GPU the same kernels run, slowly, in Triton's interpreter.
"""
# mypy: disallow-untyped-defs=False
# A kernel's arguments are pointers and registers: Python's types have no names for them.

import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

try:
    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is decorated, below
    import triton
    import triton.language as tl
except ImportError as error:
    raise RuntimeError(
        "level 'triton' needs the package triton, for Linux: pip install 'smallscale[gpu]'; or use 'tiled'"
    ) from error

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
LOG2E = 1.4426950408889634
TYPES = {torch.float64: tl.float64, torch.float32: tl.float32, torch.float16: tl.float16, torch.bfloat16: tl.bfloat16}


def _tuned(kernel: Any) -> Any:
    """On a GPU the tile sizes are those found fastest, for lengths rounded to powers of two (`size`), all keys in sight
    or not (`full`); the kernels themselves do not use the two. The interpreter takes the caller's block.
    """
    if INTERPRETED:
        return kernel
    configs = [
        triton.Config({"BM": m, "BN": n}, num_warps=warps, num_stages=stages)
        for m, n in ((64, 32), (64, 64), (128, 32), (128, 64), (128, 128))
        for warps in (4, 8)
        for stages in (2, 3, 4)
    ]
    return triton.autotune(configs, key=["size", "full", "d", "DOT"])(kernel)


@triton.jit
def _load(X, rows, n, d: tl.constexpr, D: tl.constexpr, DOT: tl.constexpr, MASK: tl.constexpr):
    """Rows of a head's (n, d) matrix as (len(rows), D), D a power of two; zeros beyond its edges."""
    cols = tl.arange(0, D)
    at = X + rows[:, None] * d + cols[None, :]
    if MASK or d < D:  # noqa: SIM108 - decided when the kernel is compiled
        x = tl.load(at, mask=(rows[:, None] < n) & (cols[None, :] < d), other=0.0)
    else:
        x = tl.load(at)
    return x.to(DOT)  # in the interpreter wider than bfloat16, whose arithmetic is wrong there


@triton.jit
def _walk_forward(
    top, total, acc, q, i, K, V, start, stop, n_k, offset, factor: tl.constexpr,
    d: tl.constexpr, D: tl.constexpr, BN: tl.constexpr, DOT: tl.constexpr, MASK: tl.constexpr,
):  # fmt: skip
    """The online softmax over the tiles of keys from start to stop."""
    for j0 in range(start, stop, BN):
        j = j0 + tl.arange(0, BN)
        k = _load(K, j, n_k, d, D, DOT, MASK)
        v = _load(V, j, n_k, d, D, DOT, MASK)
        s = tl.dot(q, tl.trans(k), input_precision="tf32x3") * factor  # (BM, BN)
        if MASK:
            s = tl.where((j[None, :] < n_k) & (j[None, :] <= i[:, None] + offset), s, float("-inf"))
        # tl.max and tl.sum by what they reduce with: they themselves cannot be interpreted if anything imported
        # triton before TRITON_INTERPRET was set.
        higher = tl.maximum(top, tl.reduce(s, 1, tl.standard._elementwise_max))
        p = tl.exp2(s - higher[:, None])
        shrink = tl.exp2(top - higher)
        total = total * shrink + tl.reduce(p, 1, tl.standard._sum_combine)
        acc = acc * shrink[:, None] + tl.dot(p.to(DOT), v, input_precision="tf32x3")
        top = higher
    return top, total, acc


@_tuned
@triton.jit
def _forward(
    Q, K, V, Out, Lse, n_q, n_k, offset, group, size, full, factor: tl.constexpr,
    d: tl.constexpr, D: tl.constexpr, DOT: tl.constexpr, WORK: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    tiles = (n_q + BM - 1) // BM
    i0 = (tiles - 1 - tl.program_id(0) % tiles) * BM
    head = (tl.program_id(0) // tiles).to(tl.int64)  # one dimension holds any number of heads; 64 bits any offset
    K += head // group * n_k * d
    V += head // group * n_k * d
    i = i0 + tl.arange(0, BM)
    q = _load(Q + head * n_q * d, i, n_q, d, D, DOT, True)
    top = tl.full([BM], -3.0e38, WORK)  # not -inf: as long as a row has seen no key, top - top is 0, not NaN
    total = tl.full([BM], 0.0, WORK)
    acc = tl.full([BM, D], 0.0, WORK)
    stop = tl.minimum(n_k, i0 + BM + offset)
    whole = tl.maximum(tl.minimum(n_k, i0 + offset + 1), 0) // BN * BN
    top, total, acc = _walk_forward(
        top, total, acc, q, i, K, V, 0, whole, n_k, offset, factor, d, D, BN, DOT, False
    )  # fmt: skip
    top, total, acc = _walk_forward(
        top, total, acc, q, i, K, V, whole, stop, n_k, offset, factor, d, D, BN, DOT, True
    )  # fmt: skip
    acc = acc / tl.where(total == 0, 1.0, total)[:, None]
    c = tl.arange(0, D)
    at = Out + head * n_q * d + i[:, None] * d + c[None, :]
    tl.store(at, acc, mask=(i[:, None] < n_q) & (c[None, :] < d))
    tl.store(Lse + head * n_q + i, (top + tl.log2(total)) * 0.6931471805599453, mask=i < n_q)


@triton.jit
def _delta(Out, DOut, DLse, Delta, n, d: tl.constexpr, D: tl.constexpr, WORK: tl.constexpr, BM: tl.constexpr):
    """The sum of out * dout over d, less the gradient of lse, for all heads' rows at once."""
    rows = tl.program_id(0).to(tl.int64) * BM + tl.arange(0, BM)
    product = _load(Out, rows, n, d, D, WORK, True) * _load(DOut, rows, n, d, D, WORK, True)
    delta = tl.reduce(product, 1, tl.standard._sum_combine) - tl.load(DLse + rows, mask=rows < n)
    tl.store(Delta + rows, delta, mask=rows < n)


@triton.jit
def _weights(s, lse, seen, MASK: tl.constexpr):
    """exp(scores) / their sum, again, from lse; 0 where not seen, and where a row saw no key."""
    if MASK:
        s = tl.where(seen, s, float("-inf"))
    return tl.exp2(s - tl.where(lse == float("-inf"), float("inf"), lse * 1.4426950408889634))


@triton.jit
def _walk_keys(
    dq, q, do, lse, delta, i, K, V, start, stop, n_k, offset, factor: tl.constexpr,
    d: tl.constexpr, D: tl.constexpr, BN: tl.constexpr, DOT: tl.constexpr, MASK: tl.constexpr,
):  # fmt: skip
    for j0 in range(start, stop, BN):
        j = j0 + tl.arange(0, BN)
        k = _load(K, j, n_k, d, D, DOT, MASK)
        v = _load(V, j, n_k, d, D, DOT, MASK)
        s = tl.dot(q, tl.trans(k), input_precision="tf32x3") * factor  # (BM, BN)
        p = _weights(s, lse[:, None], (j[None, :] < n_k) & (j[None, :] <= i[:, None] + offset), MASK)
        ds = p * (tl.dot(do, tl.trans(v), input_precision="tf32x3") - delta[:, None])
        dq += tl.dot(ds.to(DOT), k, input_precision="tf32x3")
    return dq


@_tuned
@triton.jit
def _dq(
    Q, K, V, DOut, Lse, Delta, DQ, n_q, n_k, offset, group, size, full, scale: tl.constexpr, factor: tl.constexpr,
    d: tl.constexpr, D: tl.constexpr, DOT: tl.constexpr, WORK: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    tiles = (n_q + BM - 1) // BM
    i0 = (tiles - 1 - tl.program_id(0) % tiles) * BM
    head = (tl.program_id(0) // tiles).to(tl.int64)
    K += head // group * n_k * d
    V += head // group * n_k * d
    i = i0 + tl.arange(0, BM)
    q = _load(Q + head * n_q * d, i, n_q, d, D, DOT, True)
    do = _load(DOut + head * n_q * d, i, n_q, d, D, DOT, True)
    lse = tl.load(Lse + head * n_q + i, mask=i < n_q, other=float("inf"))
    delta = tl.load(Delta + head * n_q + i, mask=i < n_q, other=0.0)
    stop = tl.minimum(n_k, i0 + BM + offset)
    whole = tl.maximum(tl.minimum(n_k, i0 + offset + 1), 0) // BN * BN
    dq = tl.full([BM, D], 0.0, WORK)
    dq = _walk_keys(dq, q, do, lse, delta, i, K, V, 0, whole, n_k, offset, factor, d, D, BN, DOT, False)
    dq = _walk_keys(dq, q, do, lse, delta, i, K, V, whole, stop, n_k, offset, factor, d, D, BN, DOT, True)
    c = tl.arange(0, D)
    tl.store(DQ + head * n_q * d + i[:, None] * d + c[None, :], dq * scale, mask=(i[:, None] < n_q) & (c[None, :] < d))


@triton.jit
def _walk_queries(
    dk, dv, k, v, j, Q, DOut, Lse, Delta, start, stop, n_q, offset, factor: tl.constexpr,
    d: tl.constexpr, D: tl.constexpr, BM: tl.constexpr, DOT: tl.constexpr, MASK: tl.constexpr,
):  # fmt: skip
    for i0 in range(start, stop, BM):
        i = i0 + tl.arange(0, BM)
        q = _load(Q, i, n_q, d, D, DOT, True)
        do = _load(DOut, i, n_q, d, D, DOT, True)
        lse = tl.load(Lse + i, mask=i < n_q, other=float("inf"))  # beyond the last query: weights 0
        delta = tl.load(Delta + i, mask=i < n_q, other=0.0)
        s = tl.dot(k, tl.trans(q), input_precision="tf32x3") * factor  # (BN, BM): transposed, as dk and dv want it
        p = _weights(s, lse[None, :], j[:, None] <= i[None, :] + offset, MASK)
        dv += tl.dot(p.to(DOT), do, input_precision="tf32x3")
        ds = p * (tl.dot(v, tl.trans(do), input_precision="tf32x3") - delta[None, :])
        dk += tl.dot(ds.to(DOT), q, input_precision="tf32x3")
    return dk, dv


@_tuned
@triton.jit
def _dkdv(
    Q, K, V, DOut, Lse, Delta, DK, DV, n_q, n_k, offset, group, size, full, scale: tl.constexpr, factor: tl.constexpr,
    d: tl.constexpr, D: tl.constexpr, DOT: tl.constexpr, WORK: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    tiles = (n_k + BN - 1) // BN
    j0 = tl.program_id(0) % tiles * BN
    kv_head = (tl.program_id(0) // tiles).to(tl.int64)
    j = j0 + tl.arange(0, BN)
    k = _load(K + kv_head * n_k * d, j, n_k, d, D, DOT, True)
    v = _load(V + kv_head * n_k * d, j, n_k, d, D, DOT, True)
    dk = tl.full([BN, D], 0.0, WORK)
    dv = tl.full([BN, D], 0.0, WORK)
    first = tl.maximum(j0 - offset, 0) // BM * BM  # the first tile of queries that sees one of these keys
    whole = tl.maximum(j0 + BN - 1 - offset, 0)
    whole = tl.minimum(tl.maximum((whole + BM - 1) // BM * BM, first), (n_q + BM - 1) // BM * BM)
    for g in range(0, group):  # one after the other, so that the sum has one order
        head = kv_head * group + g
        q, do = Q + head * n_q * d, DOut + head * n_q * d
        lse, delta = Lse + head * n_q, Delta + head * n_q
        dk, dv = _walk_queries(
            dk, dv, k, v, j, q, do, lse, delta, first, whole, n_q, offset, factor, d, D, BM, DOT, True
        )  # fmt: skip
        dk, dv = _walk_queries(
            dk, dv, k, v, j, q, do, lse, delta, whole, n_q, n_q, offset, factor, d, D, BM, DOT, False
        )  # fmt: skip
    c = tl.arange(0, D)
    at, inside = kv_head * n_k * d + j[:, None] * d + c[None, :], (j[:, None] < n_k) & (c[None, :] < d)
    tl.store(DK + at, dk * scale, mask=inside)
    tl.store(DV + at, dv, mask=inside)


def forward(q: Tensor, k: Tensor, v: Tensor, scale: float, offset: int, block: int) -> tuple[Tensor, Tensor]:
    """(out, lse), as `tiled.forward`; on a GPU the autotuner chooses the tiles, and block is not used."""
    _runnable(q)
    q, k, v = (x.contiguous() for x in (q, k, v))
    heads, n_q, work = q.shape[0] * q.shape[1], q.shape[2], _work(q)
    out = torch.empty(q.shape, dtype=_stored(q), device=q.device)
    lse = torch.empty(q.shape[:3], dtype=work, device=q.device)
    sizes = _sizes(q, block)
    arguments = (q, k, v, out, lse, *_numbers(q, k, offset), scale * LOG2E)
    _launch(_forward, heads, n_q, "BM", arguments, sizes)
    return out.to(q.dtype), lse


def backward(
    dout: Tensor, dlse: Tensor, saved: tuple[Tensor, ...], scale: float, offset: int, block: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(dq, dk, dv), as `tiled.backward`: delta first, then the queries' kernel and the keys'."""
    q, k, v, out, lse = (x.contiguous() for x in saved)
    dout, dlse = dout.contiguous(), dlse.contiguous()
    heads, kv_heads = q.shape[0] * q.shape[1], k.shape[0] * k.shape[1]
    dq, dk, dv = (torch.empty(x.shape, dtype=_stored(x), device=x.device) for x in (q, k, v))
    delta, sizes = torch.empty_like(lse), _sizes(q, block)
    fixed = {"d": sizes["d"], "D": sizes["D"], "WORK": sizes["WORK"], "BM": 64}
    _launch(_delta, 1, lse.numel(), "BM", (out, dout, dlse, delta, lse.numel()), fixed)
    numbers = (*_numbers(q, k, offset), scale, scale * LOG2E)
    _launch(_dq, heads, q.shape[2], "BM", (q, k, v, dout, lse, delta, dq, *numbers), sizes)
    _launch(_dkdv, kv_heads, k.shape[2], "BN", (q, k, v, dout, lse, delta, dk, dv, *numbers), sizes)
    return dq.to(q.dtype), dk.to(k.dtype), dv.to(v.dtype)


def _launch(kernel: Any, heads: int, rows: int, tile: str, arguments: tuple[Any, ...], sizes: dict[str, Any]) -> None:
    """A program for each tile of each head, in one dimension: the others end at 65,535."""
    if heads * rows == 0:
        return
    grid: Callable[..., tuple[int]] = lambda chosen: (-(-rows // chosen[tile]) * heads,)  # noqa: E731
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        if INTERPRETED:
            warnings.simplefilter("ignore", RuntimeWarning)  # numpy's, of NaN and log of 0, where a GPU says nothing
        kernel[grid](*arguments, **sizes)


def _numbers(q: Tensor, k: Tensor, offset: int) -> tuple[int, ...]:
    """n_q, n_k, offset, group, and what the autotuner goes by: size and full."""
    n_q, n_k = q.shape[2], k.shape[2]
    return n_q, n_k, offset, q.shape[1] // k.shape[1], triton.next_power_of_2(max(n_q, n_k, 1)), int(offset >= n_k - 1)


def _sizes(q: Tensor, block: int) -> dict[str, Any]:
    d, work = q.shape[3], _work(q)
    sizes = {"d": d, "D": max(16, triton.next_power_of_2(d)), "WORK": TYPES[work]}
    sizes["DOT"] = TYPES[work if INTERPRETED else q.dtype]
    if INTERPRETED:
        sizes["BM"] = sizes["BN"] = min(128, max(16, triton.next_power_of_2(block)))
    return sizes


def _work(q: Tensor) -> torch.dtype:
    return torch.promote_types(q.dtype, torch.float32)


def _stored(x: Tensor) -> torch.dtype:
    """What a kernel writes: the interpreter's rounding to bfloat16 is not to be relied on; torch's is."""
    return _work(x) if INTERPRETED else x.dtype


def _runnable(q: Tensor) -> None:
    if not INTERPRETED and q.device.type != "cuda":
        raise ValueError(
            f"level 'triton' compiles for the GPU here; got tensors on {q.device}: move them to 'cuda', or set "
            "TRITON_INTERPRET=1 before Python starts"
        )
