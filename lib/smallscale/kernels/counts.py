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
        top, total, acc: the running maximum, sum and output,
            (batch * kv heads, group * Br, 1 or d); they change later, so copy what you
            keep.
        """


def elements_moved(
    level: str,
    n: int,
    d: int,
    block: int,
    causal: bool = False,
    block_k: int | None = None,
) -> int:
    """Return the elements that one head's forward pass moves, as `Traffic` counts them.

    For n queries and n keys of length d:

        naive:  4 n d + 4 n^2
                each of three steps reads its inputs once and writes its result once:
                scores 2 n d + n^2, softmax 2 n^2, output n^2 + 2 n d; causal or not
        tiled:  2 n d + n + 2 d * (the sum over query tiles of the keys each visits)
                q, out and lse once

    Each of ceil(n / block) query tiles visits all n keys; causal, only the tiles up to
    its own. block: queries in a tile; block_k: keys in a tile, by default as many.
    level: naive or tiled. Raises ValueError for another one, and for n < 0, d < 1,
    block < 1, block_k < 1.

    >>> elements_moved("naive", 4096, 64, 128), elements_moved("tiled", 4096, 64, 128)
    (68157440, 17305600)
    """
    n = whole_number("n", n, least=0)
    d = whole_number("d", d)
    block, block_k = _checked_tile(block, block_k)
    one_of("level", level, ("naive", "tiled"))
    if level == "naive":
        return int(4 * n * d + 4 * n * n)
    visited = 0
    for i in range(0, n, block):
        sees = min(i + block, n) if causal else n  # the tile's last query sees so many
        visited += min(n, -(-sees // block_k) * block_k)  # in whole tiles of keys
    return int(2 * n * d + n + 2 * d * visited)


def fast_memory(d: int, block: int, block_k: int | None = None) -> int:
    """Return the elements that a tile of `block` queries and `block_k` keys holds.

    They are q and out (block d each), k and v (block_k d each), scores (block block_k),
    maximum and sum (block each). block_k is block by default. Raises ValueError for
    d < 1, and for block < 0 and block_k < 0.

    >>> fast_memory(64, 128), fast_memory(64, 128, 16)
    (49408, 20736)
    """
    d = whole_number("d", d)
    block = whole_number("block", block, least=0)
    block_k = block if block_k is None else whole_number("block_k", block_k, least=0)
    return 2 * (block + block_k) * d + block * block_k + 2 * block


def largest_block(d: int, memory: int, block_k: int | None = None) -> int:
    """Return the most queries whose tile fits into `memory` elements; 0 if none does.

    With block_k keys in a tile; by default as many keys as queries. It is the largest b
    with fast_memory(d, b, block_k) <= memory. Raises ValueError for d < 1, memory < 0,
    and block_k < 1.

    >>> largest_block(64, 49408), largest_block(64, 49408, 16)
    (128, 324)
    """
    d = whole_number("d", d)
    memory = whole_number("memory", memory, least=0)
    if block_k is not None:
        _, block_k = _checked_tile(1, block_k)
        return max(0, (memory - 2 * block_k * d) // (2 * d + block_k + 2))
    half = 2 * d + 1
    return max(0, math.isqrt(half * half + memory) - half)


def _checked_tile(block: int, block_k: int | None) -> tuple[int, int]:
    """Return the queries and keys in a tile; raise ValueError for less than one."""
    block = whole_number("block", block)
    if block_k is None:
        return block, block
    block_k = whole_number("block_k", block_k)
    return block, block_k
