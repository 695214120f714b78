"""Can a softmax be taken before all its numbers are known? One row of attention, its keys in passing.

Milakov and Gimelshein 2018: keep the largest score so far and the sum of exponentials relative to it; when a larger
score comes, shrink what was summed. FlashAttention adds that the output can be kept and shrunk in the same way.
"""

import numpy as np
import torch
from torch import Tensor


def online_row(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float, block: int = 1
) -> tuple[np.ndarray, float]:
    """One query's (output, lse), reading the keys once, `block` at a time. q: (d,); k, v: (n, d)."""
    top, total, out = q.dtype.type(-np.inf), q.dtype.type(0), np.zeros_like(q)
    for j in range(0, len(k), block):
        scores = scale * (k[j : j + block] @ q)
        higher = np.maximum(top, scores.max())  # lets NaN through, which max does not
        if higher == -np.inf:
            continue  # nothing seen yet: -inf - (-inf) would be NaN
        shrink = np.exp(top - higher)  # what was summed is relative to the old maximum
        weights = np.exp(scores - higher)
        total = shrink * total + weights.sum()
        out = shrink * out + weights @ v[j : j + block]
        top = higher
    return (out / total, top + np.log(total)) if total != 0 else (out, -np.inf)


def forward(
    q: Tensor, k: Tensor, v: Tensor, scale: float, offset: int, block: int
) -> tuple[Tensor, Tensor]:
    """All rows, one after the other; a row's keys end where its sight does."""
    work = torch.promote_types(q.dtype, torch.float32)
    rows, keys, values = (x.detach().cpu().to(work).numpy() for x in (q, k, v))
    out, lse = np.zeros_like(rows), np.full(rows.shape[:3], -np.inf, rows.dtype)
    with np.errstate(
        all="ignore"
    ):  # inf - inf is NaN here as in torch, which does not warn of it
        for b, h, i in np.ndindex(lse.shape):
            kv, seen = h // (q.shape[1] // k.shape[1]), max(0, i + offset + 1)
            k_i, v_i = keys[b, kv, :seen], values[b, kv, :seen]
            out[b, h, i], lse[b, h, i] = online_row(
                rows[b, h, i], k_i, v_i, scale, block
            )
    return torch.from_numpy(out).to(q), torch.from_numpy(lse).to(q.device)


def backward(*_: object) -> tuple[Tensor, Tensor, Tensor]:
    """There is none: this level shows the idea."""
    raise RuntimeError("level 'online' has no backward pass; use 'tiled'")
