"""How many numbers must move? Counted while attention runs, and predicted without running it.

A processor computes in a small fast memory; inputs, outputs and whatever does not fit lie in a large slow one.
Dao et al. 2022, theorem 2: standard attention moves Theta(N d + N^2) elements between the two, FlashAttention
Theta(N^2 d^2 / M) with a fast memory of M elements.
"""

import math
from numbers import Integral

from torch import Tensor


class Traffic:
    """Counts the elements that code reads from slow memory, and writes to it."""

    elements = 0

    def read(self, x: Tensor) -> Tensor:
        """x, counted; code calls it where x comes from slow memory."""
        self.elements += x.numel()
        return x

    write = read  # it is the same road in both directions

    def watch(
        self, rows: slice, cols: slice, top: Tensor, total: Tensor, acc: Tensor
    ) -> None:
        """Called by `tiled.forward` after each tile of keys, for those who want to see what is in fast memory.

        top, total, acc: the running maximum (base 2), sum and output, (batch * kv heads, group * Br, 1 or d); they
        change later, so copy what you keep.
        """


def elements_moved(level: str, n: int, d: int, block: int, causal: bool = False) -> int:
    """The elements that one head's forward pass moves, n queries and n keys of length d, exactly as `Traffic` counts.

        naive:  4 n d + 4 n^2:  q, k, v and out once; scores and weights written and read, causal or not
        tiled:  2 n d + n + 2 d * (sum over query tiles of the keys it visits):  q, out and lse once

    Each of ceil(n / block) query tiles visits all n keys, 2 n d each; causal, only the tiles up to its own.
    level: naive or tiled. Raises ValueError for another one, and for n < 0, d < 1, block < 1.
    """
    for name, value, least in (("n", n, 0), ("d", d, 1), ("block", block, 1)):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise ValueError(
                f"{name} must be a whole number, at least {least}; got {value!r}"
            )
    if level == "naive":
        return int(4 * n * d + 4 * n * n)
    if level != "tiled":
        raise ValueError(
            f"level must be naive or tiled, whose code counts; got {level!r}"
        )
    visited = sum(min(i + block, n) if causal else n for i in range(0, n, block))
    return int(2 * n * d + n + 2 * d * visited)


def fast_memory(d: int, block: int) -> int:
    """The elements held at once in tiles of `block` rows of length d: q, out, k, v, scores, maximum and sum."""
    return 4 * block * d + block * block + 2 * block


def largest_block(d: int, memory: int) -> int:
    """The largest block that fits into `memory` elements, 0 where none does: b^2 + (4 d + 2) b <= memory."""
    half = 2 * d + 1
    return max(0, math.isqrt(half * half + memory) - half)
