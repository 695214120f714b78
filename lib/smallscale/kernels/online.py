"""Can a softmax be taken before all its numbers are known? A row, its keys in passing.

Milakov and Gimelshein 2018 keep the largest score so far, and the sum of exponentials
relative to it; when a larger score comes, they shrink what was summed. FlashAttention
adds that the output can be kept and shrunk in the same way.
"""

import numpy as np
import torch
from torch import Tensor

from smallscale.kernels.sight import split_scale


def online_row(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float, block: int = 1
) -> tuple[np.ndarray, float]:
    """Return one query's (softmax(s) v, log sum exp(s)) of its scores s = scale * k q.

    The keys are read once, `block` at a time (Milakov and Gimelshein 2018, algorithm 3;
    the output as in Dao et al. 2022, algorithm 1). A query without keys gets (0, -inf).

    q: (d,); k, v: (n, d); the output: (d,), in the type of q.
    """
    before, after = split_scale(scale)  # after is 1 for scales up to 1
    q = q.dtype.type(before) * q
    top = q.dtype.type(-np.inf)  # m, the largest score so far
    total = q.dtype.type(0)  # l, the sum of exp(score - m)
    out = np.zeros_like(q)  # o, the same sum with each term times its value
    for j in range(0, len(k), block):
        scores = after * (k[j : j + block] @ q)  # (block,)
        higher = np.maximum(top, scores.max())  # m' = max(m, s); NaN stays NaN
        if higher == -np.inf:
            continue  # nothing was seen yet, and -inf - (-inf) would be NaN
        shrink = np.exp(top - higher)  # exp(m - m') puts the sums right
        weights = np.exp(scores - higher)  # exp(s - m')
        total = shrink * total + weights.sum()  # l' = exp(m - m') l + sum exp(s - m')
        out = shrink * out + weights @ v[j : j + block]  # o' likewise
        top = higher
    if total == 0:
        return out, -np.inf
    return out / total, top + np.log(total)


def forward(
    q: Tensor, k: Tensor, v: Tensor, scale: float, offset: int, block: int
) -> tuple[Tensor, Tensor]:
    """Return (out, lse), as `tiled.forward`, one row after the other.

    A row's keys end where its sight does.
    """
    work = torch.promote_types(q.dtype, torch.float32)
    queries, keys, values = (x.detach().cpu().to(work).numpy() for x in (q, k, v))
    out = np.zeros_like(queries)
    lse = np.full(queries.shape[:3], -np.inf, queries.dtype)
    group = q.shape[1] // k.shape[1]  # query heads that share a head of keys
    # inf - inf is NaN here as in torch, which does not warn of it.
    with np.errstate(all="ignore"):
        for b, h, i in np.ndindex(lse.shape):
            seen = max(0, i + offset + 1)
            k_i = keys[b, h // group, :seen]
            v_i = values[b, h // group, :seen]
            row = online_row(queries[b, h, i], k_i, v_i, scale, block)
            out[b, h, i], lse[b, h, i] = row
    return torch.from_numpy(out).to(q), torch.from_numpy(lse).to(q.device)


def backward(*_: object) -> tuple[Tensor, Tensor, Tensor]:
    """Raise RuntimeError: this level shows the idea, and has no backward pass."""
    raise RuntimeError("level 'online' has no backward pass; use 'tiled'")
