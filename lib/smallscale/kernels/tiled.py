"""What does FlashAttention do, in plain torch? It never holds the N x N matrix.

FlashAttention-2 (Dao 2023): algorithm 1 forward, algorithm 2 backward; the numbers in
the comments are their lines. A tile holds `block` queries or keys of every head at
once. Heads that share keys lie below one another in a tile, so keys are read once for
all of them:

    Br, Bc   queries and keys in a tile
    group    query heads that share one head of keys and values (kv head)
    "…"      batch * kv heads, the first dimension of every tile

Exponentials are taken in base 2, e^x = 2^(x log2(e)): exp2 takes less than half the
time of exp. Scores themselves stay in base e, so that they are finite where the
formula's are. Methods with an underscore work in place.
"""

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from smallscale.kernels.counts import Traffic
from smallscale.kernels.sight import (
    add_product_,
    all_finite,
    bounded,
    causal_mask,
    hide_,
    product,
    split_scale,
    turned,
)

LOG2E = math.log2(math.e)


def forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float,
    offset: int,
    block: int,
    traffic: Traffic | None = None,
    block_k: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Return out = softmax(s) v, lse = log sum exp(s) of the scores s = scale * q k^T:
    one tile of Br queries after the other walks over the keys in tiles of Bc. Numbers
    are the lines of Dao 2023, algorithm 1; in shapes … stands for batch * kv heads.

    q, out: (batch, heads, n_q, d); k, v: (batch, kv heads, n_k, d);
    lse: (batch, heads, n_q), float32, or float64 for float64.
    offset: query i sees the keys 0 .. i + offset.
    traffic: counts what is read and written, and watches each tile.
    """
    traffic, block_k = traffic or Traffic(), block_k or block  # Br is block, Bc block_k
    out, lse = empty_results(q)
    tile = partial(tile_of, kv_heads=k.shape[1], work=lse.dtype)
    before, after = split_scale(scale)  # after is 1 for scales up to 1
    safe = all_finite(v)  # if so, a weight of 0 takes nothing: 0 * NaN would be NaN
    for rows in tiles(q.shape[2], block):  # 3
        q_i = traffic.read(tile(q[:, :, rows]))  # 4: (…, group * Br, d)
        q_i = q_i * before
        top, total, acc = _nothing_seen(q_i)  # 5: m, l and O
        for cols in tiles(k.shape[2], block_k, stop=rows.stop + offset):  # 6
            k_j = traffic.read(tile(k[:, :, cols]))  # 7: (…, Bc, d)
            v_j = traffic.read(tile(v[:, :, cols]))
            hidden = out_of_sight(rows, cols, offset, q_i)  # (group * Br, Bc)
            s = hide_(q_i.bmm(k_j.mT), hidden)  # 8: S = Q K^T, (…, group * Br, Bc)
            higher = torch.maximum(top, s.amax(-1, keepdim=True))  # 9: m' = max(m, S)
            p = s.sub_(higher).mul_(after * LOG2E).exp2_()  # 9: P = exp(S - m')
            shrink = top.sub_(higher).mul_(after * LOG2E).exp2_()  # exp(m - m')
            total = total.mul_(shrink).add_(p.sum(-1, keepdim=True))  # 9: l
            acc.mul_(shrink)
            edge = None if safe else hidden
            add_product_(acc, p, v_j, edge)  # 10: O = exp(m - m') O + P V
            top = higher
            traffic.watch(rows, cols, top, total, acc)
        # 12 to 15: O / l and m + log l.
        put(out, rows, traffic.write(acc / total.where(total != 0, 1)))
        put(lse, rows, traffic.write(after * top + total.log()))
    return out, lse


def backward(
    dout: Tensor,
    dlse: Tensor,
    saved: tuple[Tensor, ...],
    scale: float,
    offset: int,
    block: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients dq, dk and dv; tiles of P = exp(S - lse) are computed again:
    dv = P^T dout, dS = P * (dout v^T - delta), dq = scale dS k, dk = scale dS^T q,
    where delta is the sum of dout * out over d, less the gradient of lse. Numbers are
    the lines of Dao 2023, algorithm 2; in shapes … stands for batch * kv heads.

    dout, dlse: the gradients of out and lse. saved: q, k, v, out and lse.
    """
    q, k, v, out, lse = saved
    tile = partial(tile_of, kv_heads=k.shape[1], work=lse.dtype)
    dq = torch.zeros(q.shape, dtype=lse.dtype, device=q.device)  # 3
    dk, dv = _empty_like(k), _empty_like(v)
    delta = torch.linalg.vecdot(dout.to(lse.dtype), out.to(lse.dtype)) - dlse  # 4
    safe = all_finite(q, k, delta) and bounded(dout, v)  # delta is NaN where lse is
    before, after = split_scale(scale)
    # A row that saw no key has lse -inf; with +inf its weights are exp(-inf) = 0.
    lse = lse.masked_fill(lse == -torch.inf, torch.inf) / after
    for cols in tiles(k.shape[2], block):  # 5
        k_j, v_j = tile(k[:, :, cols]), tile(v[:, :, cols])  # 6: (…, Bc, d)
        dk_j, dv_j = torch.zeros_like(k_j), torch.zeros_like(v_j)  # 7
        for rows in tiles(q.shape[2], block, first=cols.start - offset):  # 8
            q_i, do_i = tile(q[:, :, rows]), tile(dout[:, :, rows])  # 9
            lse_i, delta_i = tile(lse[:, :, rows, None]), tile(delta[:, :, rows, None])
            hidden = out_of_sight(rows, cols, offset, q_i)  # (group * Br, Bc)
            s = hide_((q_i * before) @ k_j.mT, hidden)  # 10: S = Q K^T
            p = s.sub_(lse_i).mul_(after * LOG2E).exp2_()  # 11: P = exp(S - L)
            edge = None if safe else hidden
            add_product_(dv_j, p.mT, do_i, turned(edge))  # 12: dV = dV + P^T dO
            dp = do_i @ v_j.mT  # 13: dP = dO V^T
            ds = dp.sub_(delta_i).mul_(p)  # 14: dS = P * (dP - D)
            dq_i = product(ds, k_j, edge).view(dq[:, :, rows].shape)
            dq[:, :, rows].add_(dq_i, alpha=scale)  # 15: dQ = dQ + dS K
            add_product_(dk_j, ds.mT, q_i, turned(edge), scale)  # 16: dK += dS^T Q
        put(dk, cols, dk_j)  # 18
        put(dv, cols, dv_j)
    return dq.to(q.dtype), dk, dv


def tiles(
    n: int, block: int, *, first: int = 0, stop: int | None = None
) -> Iterator[slice]:
    """Yield the tiles of n rows, from the one with row `first`, before row `stop`.

    The last tile may be short.

    >>> list(tiles(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    start = max(0, first) // block * block
    end = n if stop is None else min(n, stop)
    for i in range(start, end, block):
        yield slice(i, min(i + block, n))


def tile_of(x: Tensor, kv_heads: int, work: torch.dtype) -> Tensor:
    """Return what each kv head serves as one matrix, in the type of the sums.

    (batch, heads, rows, d) -> (batch * kv heads, group * rows, d)
    """
    batch, heads, rows, d = x.shape
    return x.to(work).reshape(batch * kv_heads, heads // kv_heads * rows, d)


def put(whole: Tensor, rows: slice, part: Tensor) -> None:
    """Write a tile back to its rows: the way back of `tile_of`."""
    whole[:, :, rows] = part.view(whole[:, :, rows].shape)


def _nothing_seen(q_i: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the maximum, the sum and the output of queries that have seen no key.

    The maximum is the least number, not -inf: as long as a row sees no key, the
    difference of two such maxima is 0, not NaN.
    """
    least = torch.finfo(q_i.dtype).min
    top = q_i.new_full((*q_i.shape[:2], 1), least)
    return top, torch.zeros_like(top), torch.zeros_like(q_i)


def out_of_sight(rows: slice, cols: slice, offset: int, q_i: Tensor) -> Tensor | None:
    """Return (group * Br, Bc), True where a key is out of sight; None for no pair.

    Most tiles are seen whole. q_i: (…, group * Br, d), the tile of queries.
    """
    if cols.stop - 1 <= rows.start + offset:
        return None
    n_rows, n_cols = rows.stop - rows.start, cols.stop - cols.start
    mask = causal_mask(n_rows, n_cols, offset + rows.start - cols.start, q_i.device)
    group = q_i.shape[1] // n_rows
    return mask if group == 1 else mask.repeat(group, 1)


def empty_results(q: Tensor) -> tuple[Tensor, Tensor]:
    """Return room for out, like q, and lse, in the type of the sums."""
    work = torch.promote_types(q.dtype, torch.float32)
    return _empty_like(q), q.new_empty(q.shape[:3], dtype=work)


def _empty_like(x: Tensor) -> Tensor:
    """Return room for a tensor like x, in one piece of memory."""
    return torch.empty_like(x, memory_format=torch.contiguous_format)
