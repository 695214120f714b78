"""What does FlashAttention do, in plain torch? Queries and keys in tiles; no N x N matrix, forward or backward.

FlashAttention-2 (Dao 2023): algorithm 1 forward, algorithm 2 backward. A tile holds `block` queries or keys of every
head at once. Heads that share keys lie below one another in a tile, so keys are read once for all of them.

Scores are kept in base 2, times log2(e): exp2 takes less than half the time of exp, and the factor rides on the scale.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from smallscale.kernels.counts import Traffic

LOG2E = math.log2(math.e)


def forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float,
    offset: int,
    block: int,
    traffic: Traffic | None = None,
) -> tuple[Tensor, Tensor]:
    """(out, lse), one tile of queries after the other.

    q, out: (batch, heads, n_q, d); k, v: (batch, kv heads, n_k, d); lse: (batch, heads, n_q), float32 or float64.
    offset: query i sees the keys 0 .. i + offset. traffic: counts what is read and written, and watches each tile.
    """
    traffic, work = traffic or Traffic(), torch.promote_types(q.dtype, torch.float32)
    out, lse = (
        torch.empty_like(q, memory_format=torch.contiguous_format),
        q.new_empty(q.shape[:3], dtype=work),
    )
    keys, values = k.split(block, dim=2), v.split(block, dim=2)
    for rows in tiles(q.shape[2], block):
        q_i = _tile(traffic.read(q[:, :, rows]), k.shape[1], work) * (
            scale * LOG2E
        )  # (…, group * Br, d)
        # Not -inf: as long as a row has seen no key, the difference of two such maxima is 0, not NaN.
        top = q_i.new_full((*q_i.shape[:2], 1), torch.finfo(work).min)
        total, acc = torch.zeros_like(top), torch.zeros_like(q_i)
        for cols, k_j, v_j in zip(
            tiles(k.shape[2], block, stop=rows.stop + offset),
            keys,
            values,
            strict=False,
        ):
            k_j, v_j = (
                traffic.read(k_j).to(work).flatten(0, 1),
                traffic.read(v_j).to(work).flatten(0, 1),
            )  # (…, Bc, d)
            s = _hide(torch.bmm(q_i, k_j.mT), rows, cols, offset)  # (…, group * Br, Bc)
            higher = torch.maximum(top, s.amax(-1, keepdim=True))
            p = s.sub_(higher).exp2_()
            shrink = top.sub_(
                higher
            ).exp2_()  # what was summed is relative to the old maximum
            total = total.mul_(shrink).add_(p.sum(-1, keepdim=True))
            acc.mul_(shrink).baddbmm_(p, v_j)
            top = higher
            traffic.watch(rows, cols, top, total, acc)
        out[:, :, rows] = traffic.write(acc / total.where(total != 0, 1)).view(
            q[:, :, rows].shape
        )
        lse[:, :, rows] = traffic.write((top + total.log2()) / LOG2E).view(
            lse[:, :, rows].shape
        )
    return out, lse


def backward(
    dout: Tensor,
    dlse: Tensor,
    saved: tuple[Tensor, ...],
    scale: float,
    offset: int,
    block: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """(dq, dk, dv) from the gradients of out and lse: each tile of weights is computed again, from lse.

    With P = exp(S - lse), dP = dout v^T and delta = sum of dout * out over d (Dao 2023, algorithm 2):

        dv = P^T dout,   dS = P * (dP - delta + dlse),   dq = scale dS k,   dk = scale dS^T q
    """
    q, k, v, out, lse = saved
    heads, work = k.shape[1], lse.dtype
    dq = torch.zeros(q.shape, dtype=work, device=q.device)
    dk, dv = (
        torch.empty_like(x, memory_format=torch.contiguous_format) for x in (k, v)
    )
    delta = torch.linalg.vecdot(dout.to(work), out.to(work)) - dlse
    lse = LOG2E * lse.masked_fill(
        lse == -torch.inf, torch.inf
    )  # a row that saw no key gets the weights exp(-inf)
    for cols in tiles(k.shape[2], block):
        k_j, v_j = (
            _tile(x[:, :, cols], heads, work) for x in (k, v)
        )  # (batch * kv heads, Bc, d)
        dk_j, dv_j = torch.zeros_like(k_j), torch.zeros_like(v_j)
        for rows in tiles(q.shape[2], block, first=cols.start - offset):
            q_i, do_i = (
                _tile(x[:, :, rows], heads, work) for x in (q, dout)
            )  # (…, group * Br, d)
            lse_i, delta_i = (
                _tile(x[:, :, rows, None], heads, work) for x in (lse, delta)
            )  # (…, group * Br, 1)
            p = (
                _hide((q_i * (scale * LOG2E)) @ k_j.mT, rows, cols, offset)
                .sub_(lse_i)
                .exp2_()
            )  # (…, group * Br, Bc)
            dv_j.baddbmm_(p.mT, do_i)
            ds = (do_i @ v_j.mT).sub_(delta_i).mul_(p)
            dk_j.baddbmm_(ds.mT, q_i, alpha=scale)
            dq[:, :, rows].add_((ds @ k_j).view(dq[:, :, rows].shape), alpha=scale)
        for whole, part in ((dk, dk_j), (dv, dv_j)):
            whole[:, :, cols] = part.view(whole[:, :, cols].shape)
    return dq.to(q.dtype), dk, dv


def tiles(
    n: int, block: int, *, first: int = 0, stop: int | None = None
) -> Iterator[slice]:
    """The tiles of n rows that hold a row from `first` on and before `stop`; the last one may be short."""
    for start in range(
        max(0, first) // block * block, n if stop is None else min(n, stop), block
    ):
        yield slice(start, min(start + block, n))


def _tile(x: Tensor, heads: int, work: torch.dtype) -> Tensor:
    """(batch, heads, rows, d) -> (batch * kv heads, group * rows, d): what one kv head serves, in one matrix."""
    return x.to(work).reshape(
        x.shape[0] * heads, x.shape[1] // heads * x.shape[2], x.shape[3]
    )


def hidden(
    rows: int, cols: int, offset: int, device: torch.device | None = None
) -> Tensor:
    """(rows, cols), True where key j is out of query i's sight: j > i + offset."""
    return torch.ones(rows, cols, dtype=torch.bool, device=device).triu(offset + 1)


def _hide(s: Tensor, rows: slice, cols: slice, offset: int) -> Tensor:
    """Scores with -inf where a key is out of sight; most tiles are seen whole, and left as they are."""
    if cols.stop - 1 > rows.start + offset:
        unseen = hidden(
            rows.stop - rows.start,
            cols.stop - cols.start,
            offset + rows.start - cols.start,
            s.device,
        )
        s.unflatten(1, (-1, unseen.shape[0])).masked_fill_(unseen, -torch.inf)
    return s
