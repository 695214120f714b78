"""Is the answer right, and if not, why? The checks of flash-attention's exercises.

Each check returns a sentence.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from smallscale.kernels.counts import Traffic
from smallscale.notebook.exercises import NOT_YET


def check_merge(merge: Callable[..., Any]) -> str:
    """Check one step of the online softmax, for one row and a tile of several scores.

    It is called as merge(top, total, out, scores, values) and returns the new
    (top, total, out). top, total: numbers; out: (d,), not yet divided by total;
    scores: (n,); values: (n, d).
    """
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(6, generator=generator)
    values = torch.randn(6, 3, generator=generator)
    scores[4] = 5.0  # in the last tile, so that what was summed must shrink
    # The second row's scores are too large to be exponents, the third's too small.
    for shift in (0.0, 300.0, -300.0):
        said = _check_merged_row(merge, scores + shift, values)
        if said:
            return said
    if not _uses_its_state(merge):
        return (
            "Right from the first tile on, but wrong from another start, top 2, total "
            "3 and out (1, 2, 3): the step may use what it is given, and nothing kept "
            "aside."
        )
    return (
        "Right: three tiles, one pass, and the exact softmax, however large scores are."
    )


def _check_merged_row(merge: Callable[..., Any], scores: Tensor, values: Tensor) -> str:
    """Return what is wrong with the merge of one row's tiles; empty if nothing is."""
    state: Any = (torch.tensor(-math.inf), torch.tensor(0.0), torch.zeros(3))
    for tile in (slice(0, 2), slice(2, 4), slice(4, 6)):
        state = merge(*state, scores[tile], values[tile])
        if state is None:
            return NOT_YET
        if not isinstance(state, tuple) or len(state) != 3:
            return (
                "Return three things: the maximum, the sum and the output, in this "
                "order."
            )
    top, total, out = (torch.as_tensor(x) for x in state)
    if scores.abs().min() > 100 and not _is_finite(top, total, out):
        return (
            f"Right for small scores; with scores near {scores[0]:.0f} something is "
            "not finite. exp(score) alone is too large or too small a number: take "
            "every exponential relative to the new maximum."
        )
    if not _is_finite(top, total, out):
        return (
            "Something is not finite. At the first tile the maximum is -inf: what is "
            "exp(-inf - new maximum)?"
        )
    if not torch.isclose(top, scores.max()):
        return (
            f"The maximum should be {scores.max():.3f}, the largest score of all "
            f"tiles; yours is {top:.3f}."
        )
    weights = (scores - scores.max()).exp()
    if not torch.isclose(total, weights.sum(), rtol=1e-3):
        return (
            f"The sum should be {weights.sum():.3f}; yours is {total:.3f}. When the "
            "maximum rises, what was summed before is relative to the old one: "
            "multiply it by exp(old - new)."
        )
    if out.shape != (3,) or not torch.allclose(out, weights @ values, atol=1e-3):
        return (
            "The sum is right, the output is not: it shrinks by the sum's factor, then "
            "gains weights @ values, and is not divided by the sum yet."
        )
    return ""


def _uses_its_state(merge: Callable[..., Any]) -> bool:
    """Return whether one more score 2, with values 1, adds 1 to given sums."""
    state = (torch.tensor(2.0), torch.tensor(3.0), torch.tensor([1.0, 2.0, 3.0]))
    found = merge(*state, torch.tensor([2.0]), torch.ones(1, 3))
    expected = torch.tensor([2.0, 4.0, 2.0, 3.0, 4.0])
    numbers = torch.cat([torch.as_tensor(x).reshape(-1) for x in found])
    return numbers.shape == expected.shape and torch.allclose(numbers, expected)


def _is_finite(*numbers: Tensor) -> bool:
    return all(bool(x.isfinite().all()) for x in numbers)


class _Work(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the numbers that torch computes inside, views left out."""

    elements = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and not func.is_view:
            self.elements += result.numel()
        return result


def check_window(window_attention: Callable[..., Any]) -> str:
    """Check attention in tiles in which query i sees the keys i - window + 1 to i.

    It is called as window_attention(q, k, v, window, block, traffic) and returns out,
    (n, d) each. traffic.read must be called on every tile of k and v that is used;
    tiles out of sight must not be read. What is computed is watched too: a matrix of
    all scores is refused, whatever was passed through traffic.read.
    """
    n, d = 512, 4
    window, block = 10, 8
    q, k, v = torch.randn(3, n, d, generator=torch.Generator().manual_seed(0)).unbind()
    traffic = Traffic()
    watch: Any = _Work
    with watch() as work:
        out = window_attention(q, k, v, window, block, traffic)
    if out is None:
        return NOT_YET
    if not isinstance(out, Tensor) or out.shape != (n, d):
        return f"The result must be a tensor of shape {(n, d)}."
    wrong = (out - _plain_window(q, k, v, window)).abs().amax(1)  # (n,)
    if not wrong.max() <= 1e-4:
        if (out - _plain_window(q, k, v, n)).abs().max() <= 1e-4:
            return (
                "That is causal attention: keys further back than the window are still "
                "seen."
            )
        worst = int(wrong.argmax())
        first = max(0, worst - window + 1)
        return (
            f"The values differ, most at query {worst}, which sees the keys {first} to "
            f"{worst}."
        )
    if traffic.elements == 0:
        return (
            "The values are right. Now let traffic.read(...) count each tile of k and "
            "v as it is read."
        )
    least = _least_read(n, d, window, block)
    scores = least // (2 * d) * block  # in the tiles that must be seen
    if traffic.elements > least + 2 * n * d:
        return (
            f"The values are right, but {traffic.elements:,} elements were read, where "
            f"{least:,} of k and v suffice."
        )
    if work.elements > 20 * scores:
        return (
            f"The values are right, but {work.elements:,} numbers were computed, where "
            f"the tiles in sight have {scores:,} scores: that is work on all N x N "
            "pairs. Compute each tile from what traffic.read returned."
        )
    if traffic.elements < least:
        return (
            f"The values are right, but only {traffic.elements:,} elements went "
            f"through traffic.read, and no way needs fewer than {least:,}: pass every "
            "tile of both k and v through it."
        )
    return (
        f"Right: {traffic.elements:,} elements read, growing with N times the window, "
        "not with N squared."
    )


def _plain_window(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """Return the windowed attention of (n, d) each, with all scores at once."""
    n, d = q.shape
    behind = torch.arange(n)[:, None] - torch.arange(n)  # how far key j lies behind i
    unseen = (behind < 0) | (behind >= window)
    scores = (q @ k.T / math.sqrt(d)).masked_fill(unseen, -math.inf)
    return scores.softmax(-1) @ v


def _least_read(n: int, d: int, window: int, block: int) -> int:
    """Return the fewest elements of k and v that windowed attention in tiles reads.

    The queries of the tile that starts at i see keys from i - window + 1 on: the tiles
    from that key's to their own.
    """
    tiles = 0
    for i in range(0, n, block):
        first = max(0, i - window + 1) // block
        tiles += i // block - first + 1
    return 2 * tiles * block * d
