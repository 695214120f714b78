"""What if scores are so large that lse cannot tell the weights? Whole rows of scores.

The backward pass of the tiles takes a weight to be exp(score - lse). lse is rounded: at
scores near 1e9, in float32, it is only known to 64, and the sum of the row is lost in
that. Such rows are computed here by the formula, with all their scores at once: one
tile of queries after the other, so that memory still grows with N and not with its
square. Derivatives forward (`tangents`) are computed so for every row.

Names and shapes are those of `tiled.py`.
"""

from functools import partial

import torch
from torch import Tensor

from smallscale.kernels import sight
from smallscale.kernels.tiled import (
    empty_results,
    out_of_sight,
    put,
    tile_of,
    tiles,
)

LEAST_KNOWN = 1e-3  # lse must be known at least so well, which is the weights' error
ROOM = 2.0**-10  # what dS is multiplied with, so that no sum of huge terms overflows


def coarse(lse: Tensor) -> Tensor:
    """Return where lse is finite, and rounded by more than `LEAST_KNOWN`.

    >>> coarse(torch.tensor([5.0, 1e9, torch.inf, torch.nan]))
    tensor([False,  True, False, False])
    """
    rounding = lse.abs() * torch.finfo(lse.dtype).eps
    return (rounding > LEAST_KNOWN) & lse.isfinite()


def backward(
    dout: Tensor,
    dlse: Tensor,
    saved: tuple[Tensor, ...],
    wanted: Tensor,
    scale: float,
    offset: int,
    block: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the part of dq, dk and dv that flows through the wanted rows:
    dv = P^T dout, dS = P * (dP - the sum of P * dP + dlse), dP = dout v^T,
    dq = scale dS k, dk = scale dS^T q.

    wanted: (batch, heads, n_q), True for the rows that count. The rest is as in
    `tiled.backward`; out and lse are not used.
    """
    q, k, v, _, lse = saved
    whole = partial(tile_of, kv_heads=k.shape[1], work=lse.dtype)
    k_all, v_all = whole(k), whole(v)
    dk, dv = torch.zeros_like(k_all), torch.zeros_like(v_all)
    dq = torch.zeros_like(q)
    for rows in tiles(q.shape[2], block):
        if not wanted[:, :, rows].any():
            continue
        q_i, do_i = whole(q[:, :, rows]), whole(dout[:, :, rows])
        dlse_i, wanted_i = (whole(x[:, :, rows, None]) for x in (dlse, wanted))
        hidden = out_of_sight(rows, slice(0, k.shape[2]), offset, q_i)
        p = _weights(q_i, k_all, scale, hidden).masked_fill(wanted_i == 0, 0.0)
        dp = sight.scores(do_i, v_all, hidden)
        ds = p * (dp - (p * dp).sum(-1, keepdim=True) + dlse_i)
        ds = ROOM * ds
        dq_i = sight.weighted_sum(ds, k_all, hidden) * (scale / ROOM)
        put(dq, rows, dq_i.to(q.dtype))
        dk += sight.weighted_sum(ds.mT, q_i, sight.turned(hidden))
        dv += sight.weighted_sum(p.mT, do_i, sight.turned(hidden))
    dk *= scale / ROOM
    return dq, dk.view(k.shape).to(k.dtype), dv.view(v.shape).to(v.dtype)


def tangents(
    dq: Tensor,
    dk: Tensor,
    dv: Tensor,
    saved: tuple[Tensor, ...],
    scale: float,
    offset: int,
    block: int,
) -> tuple[Tensor, Tensor]:
    """Return how out and lse move when q, k and v move by dq, dk and dv: with
    dS = scale (dq k^T + q dk^T), dlse = the sum of P * dS over the keys, and
    dout = (P * dS) v - dlse out + P dv.

    It is the product of the Jacobian with a vector, forward. saved: q, k, v, out and
    lse. Shapes are those of the tensors that move.
    """
    q, k, v, out, lse = saved
    whole = partial(tile_of, kv_heads=k.shape[1], work=lse.dtype)
    k_all, v_all, dk_all, dv_all = (whole(x) for x in (k, v, dk, dv))
    dout, dlse = empty_results(q)
    for rows in tiles(q.shape[2], block):
        q_i, dq_i, out_i = (whole(x[:, :, rows]) for x in (q, dq, out))
        hidden = out_of_sight(rows, slice(0, k.shape[2]), offset, q_i)
        p = _weights(q_i, k_all, scale, hidden)
        ds = scale * (dq_i @ k_all.mT + q_i @ dk_all.mT)
        pds = sight.hide_(ds.mul_(p), hidden, 0)  # P * dS
        moved = pds.sum(-1, keepdim=True)
        acc = sight.product(pds, v_all, hidden) + sight.product(p, dv_all, hidden)
        put(dout, rows, acc - moved * out_i)
        put(dlse, rows, moved)
    return dout, dlse


def _weights(q_i: Tensor, k: Tensor, scale: float, hidden: Tensor | None) -> Tensor:
    """Return softmax(scale * q k^T) of the keys in sight, 0 for the others."""
    before, after = sight.split_scale(scale)
    s = sight.hide_(after * sight.scores(before * q_i, k, hidden), hidden)
    blind = s.isneginf().all(-1, keepdim=True)  # softmax would make NaN of such a row
    return s.softmax(-1).masked_fill(blind, 0.0)
