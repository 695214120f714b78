"""Is the answer right, and if not, why? Checks for the exercises of flash-attention; each returns a sentence."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from smallscale.kernels.counts import Traffic

NOT_YET = "Not answered yet."


def check_merge(merge: Callable[..., Any]) -> str:
    """Check merge(top, total, out, scores, values) -> (top, total, out), one tile more of one row's online softmax.

    top, total: numbers; out: (d,), not yet divided by total; scores: (n,); values: (n, d).
    """
    generator = torch.Generator().manual_seed(0)
    scores, values = (
        torch.randn(6, generator=generator),
        torch.randn(6, 3, generator=generator),
    )
    scores[4] = 5.0  # in the last tile, so that what was summed must shrink
    state: Any = (torch.tensor(-math.inf), torch.tensor(0.0), torch.zeros(3))
    for tile in (slice(0, 2), slice(2, 4), slice(4, 6)):
        state = merge(*state, scores[tile], values[tile])
        if state is None:
            return NOT_YET
        if not isinstance(state, tuple) or len(state) != 3:
            return "Return three things: the maximum, the sum and the output, in this order."
    top, total, out = (torch.as_tensor(x) for x in state)
    if not all(torch.isfinite(x).all() for x in (top, total, out)):
        return "Something is not finite. At the first tile the maximum is -inf: what is exp(-inf - new maximum)?"
    if not torch.isclose(top, scores.max()):
        return f"The maximum should be {scores.max():.3f}, the largest score of all tiles; yours is {top:.3f}."
    weights = (scores - scores.max()).exp()
    if not torch.isclose(total, weights.sum(), rtol=1e-4):
        return (
            f"The sum should be {weights.sum():.3f}; yours is {total:.3f}. When the maximum rises, what was summed "
            "before is relative to the old one: multiply it by exp(old - new)."
        )
    if out.shape != (3,) or not torch.allclose(out, weights @ values, atol=1e-4):
        return "The sum is right, the output is not: it shrinks by the sum's factor, then gains weights @ values."
    return "Right: three tiles, one pass, and the exact softmax."


def check_window(window_attention: Callable[..., Any]) -> str:
    """Check window_attention(q, k, v, window, block, traffic) -> out, (n, d) each: query i sees i-window+1 .. i.

    traffic.read must be called on every tile of k and v that is used; tiles out of sight must not be read.
    """
    n, d, window, block = 64, 4, 10, 8
    q, k, v = torch.randn(3, n, d, generator=torch.Generator().manual_seed(0)).unbind()
    traffic = Traffic()
    out = window_attention(q, k, v, window, block, traffic)
    if out is None:
        return NOT_YET
    if not isinstance(out, Tensor) or out.shape != (n, d):
        return f"The result must be a tensor of shape {(n, d)}."
    behind = torch.arange(n)[:, None] - torch.arange(n)
    wrong = {}  # how far each query's output is from that of the window, and from that of a window as long as all
    for reach in (window, n):
        scores = (q @ k.T / math.sqrt(d)).masked_fill(
            (behind < 0) | (behind >= reach), -math.inf
        )
        wrong[reach] = (out - scores.softmax(-1) @ v).abs().amax(1)
    if not wrong[window].max() <= 1e-4:
        if wrong[n].max() <= 1e-4:
            return "That is causal attention: keys further back than the window are still seen."
        first = int(wrong[window].argmax())
        return f"The values differ, most at query {first}, which sees the keys {max(0, first - window + 1)} to {first}."
    if traffic.elements == 0:
        return "The values are right. Now let traffic.read(...) count each tile of k and v as it is read."
    # Queries i0 .. i0+block-1 see from i0-window+1 on: the tiles from that key's to their own.
    tiles = sum(
        i // block - max(0, i - window + 1) // block + 1 for i in range(0, n, block)
    )
    least = 2 * tiles * block * d
    if traffic.elements > least + 2 * n * d:
        return f"The values are right, but {traffic.elements:,} elements were read, where {least:,} of k and v suffice."
    return f"Right: {traffic.elements:,} elements read, growing with N times the window, not with N squared."
