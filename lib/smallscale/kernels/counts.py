"""How many numbers must move? Counted while attention runs, and predicted beforehand.

A processor computes in a small fast memory; inputs, outputs and whatever does not fit
lie in a large slow one. Dao et al. 2022, theorem 2: standard attention moves Theta(N d
+ N^2) elements between the two, FlashAttention Theta(N^2 d^2 / M) with a fast memory of
M elements.
"""

import math

from torch import Tensor

from smallscale.core.validation import one_of, whole_number


class Traffic:
    """Counts the elements that code reads from slow memory, and writes to it.

    >>> import torch
    >>> traffic = Traffic()
    >>> tile = traffic.read(torch.zeros(3, 4))
    >>> traffic.elements
    12
    """

    elements = 0

    def read(self, x: Tensor) -> Tensor:
        """Count x and return it; code calls this where x comes from slow memory."""
        self.elements += x.numel()
        return x

    write = read  # it is the same road in both directions

    def watch(
        self, rows: slice, cols: slice, top: Tensor, total: Tensor, acc: Tensor
    ) -> None:
        """Look at what is in fast memory; `tiled.forward` calls this after each tile.

        rows, cols: the queries and keys of the tile.
        top, total, acc: the running maximum (base 2), sum and output,
            (batch * kv heads, group * Br, 1 or d); they change later, so copy what you
            keep.
        """


def elements_moved(level: str, n: int, d: int, block: int, causal: bool = False) -> int:
    """Return the elements that one head's forward pass moves, as `Traffic` counts them.

    For n queries and n keys of length d:

        naive:  4 n d + 4 n^2
                q, k, v and out once; scores and weights written and read, causal or not
        tiled:  2 n d + n + 2 d * (the sum over query tiles of the keys each visits)
                q, out and lse once

    Each of ceil(n / block) query tiles visits all n keys; causal, only the tiles up to
    its own. level: naive or tiled. Raises ValueError for another one, and for n < 0, d
    < 1, block < 1.

    >>> elements_moved("naive", 4096, 64, 128), elements_moved("tiled", 4096, 64, 128)
    (68157440, 17305600)
    """
    whole_number("n", n, least=0)
    whole_number("d", d)
    whole_number("block", block)
    one_of("level", level, ("naive", "tiled"))
    if level == "naive":
        return int(4 * n * d + 4 * n * n)
    visited = sum(min(i + block, n) if causal else n for i in range(0, n, block))
    return int(2 * n * d + n + 2 * d * visited)


def fast_memory(d: int, block: int) -> int:
    """Return the elements that tiles of `block` rows of length d hold at once.

    They are q, out, k and v (block d each), scores (block^2), maximum and sum (block
    each).

    >>> fast_memory(64, 128)
    49408
    """
    return 4 * block * d + block * block + 2 * block


def largest_block(d: int, memory: int) -> int:
    """Return the largest block whose tiles fit into `memory` elements; 0 if none does.

    It is the largest b with b^2 + (4 d + 2) b <= memory.

    >>> largest_block(64, 49408)
    128
    """
    half = 2 * d + 1
    return max(0, math.isqrt(half * half + memory) - half)
