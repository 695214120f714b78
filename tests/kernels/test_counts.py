"""Is every element counted, and does the prediction agree at every shape?"""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smallscale.kernels import (
    Traffic,
    elements_moved,
    fast_memory,
    largest_block,
    tiled,
)
from smallscale.kernels.attention import naive


def counted(level: str, n: int, d: int, block: int, causal: bool) -> int:
    q, k, v = torch.randn(
        3, 1, 1, n, d, generator=torch.Generator().manual_seed(0)
    ).unbind()
    traffic, offset = Traffic(), 0 if causal else n
    if level == "naive":
        naive(q, k, v, 1.0, offset, traffic=traffic)
    else:
        tiled.forward(q, k, v, 1.0, offset, block, traffic)
    return traffic.elements


@pytest.mark.parametrize("level", ["naive", "tiled"])
@given(st.integers(0, 50), st.integers(1, 9), st.integers(1, 60), st.booleans())
def test_the_prediction_is_the_count(
    level: str, n: int, d: int, block: int, causal: bool
) -> None:
    assert elements_moved(level, n, d, block, causal) == counted(
        level, n, d, block, causal
    )


def test_by_hand() -> None:
    # naive, N = 4, d = 2: q, k, v, out of 8 each; scores and weights of 16, written and
    # read.
    assert elements_moved("naive", 4, 2, 1) == 4 * 8 + 4 * 16
    # tiled, blocks of 2: q, out and lse once, 8 + 8 + 4; two query tiles read all of k
    # and v, 16 each.
    assert elements_moved("tiled", 4, 2, 2) == 20 + 2 * 16
    # causal: the first query tile reads half of k and v.
    assert elements_moved("tiled", 4, 2, 2, causal=True) == 20 + 8 + 16
    # A block as long as the sequence reads everything once, causal or not.
    assert (
        elements_moved("tiled", 4, 2, 4)
        == elements_moved("tiled", 4, 2, 4, causal=True)
        == 20 + 16
    )


@given(st.integers(1, 20), st.integers(1, 9), st.integers(1, 30))
def test_the_formulas_of_the_papers(tiles: int, d: int, block: int) -> None:
    n = tiles * block
    assert elements_moved("tiled", n, d, block) == 2 * n * d + n + 2 * n * d * tiles
    visits = tiles * (tiles + 1) // 2
    assert (
        elements_moved("tiled", n, d, block, causal=True)
        == 2 * n * d + n + 2 * d * block * visits
    )


@given(st.integers(1, 100), st.integers(0, 10**6))
def test_the_largest_block_fits_and_the_next_does_not(d: int, memory: int) -> None:
    block = largest_block(d, memory)
    assert fast_memory(d, block) <= memory or block == 0
    assert fast_memory(d, block + 1) > memory


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cpp", 4, 2, 1), "level must be one of naive, tiled; got 'cpp'"),
        (("tiled", -1, 2, 1), "n must be a whole number, at least 0; got -1"),
        (("tiled", 4, 0, 1), "d must be a whole number, at least 1; got 0"),
        (("tiled", 4, 2, 0), "block must be a whole number, at least 1; got 0"),
        (("naive", 4, 2, 0.5), "block must be a whole number"),
    ],
)
def test_what_cannot_be_counted(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        elements_moved(*arguments)


@given(st.integers(0, 40), st.integers(1, 30), st.integers(1, 30), st.booleans())
def test_tiles_of_unequal_sides(n: int, block: int, keys: int, causal: bool) -> None:
    q, k, v = torch.randn(3, 1, 1, n, 4).unbind()
    traffic = Traffic()
    out, lse = tiled.forward(q, k, v, 0.5, 0 if causal else n, block, traffic, keys)
    assert traffic.elements == elements_moved("tiled", n, 4, block, causal, keys)
    exact, exact_lse = naive(q, k, v, 0.5, 0 if causal else n)
    torch.testing.assert_close(out, exact)
    torch.testing.assert_close(lse, exact_lse)


@given(st.integers(1, 100), st.integers(0, 10**6), st.integers(1, 300))
def test_the_most_queries_that_fit_beside_so_many_keys(
    d: int, memory: int, keys: int
) -> None:
    block = largest_block(d, memory, keys)
    assert block == 0 or fast_memory(d, block, keys) <= memory
    assert fast_memory(d, block + 1, keys) > memory


def test_whole_numbers_of_numpy_do_not_overflow() -> None:
    """2 n d + n + 2 d n (n / block), 512 tiles of 128 in 65,536: 4,303,421,440."""
    n = 65536
    assert elements_moved("tiled", np.int32(n), 64, 128) == 4_303_421_440
    assert elements_moved("tiled", n, 64, 128) == 4_303_421_440
    two_hundred = np.uint8(200)
    assert elements_moved("naive", two_hundred, two_hundred, 128) == 8 * 200**2
    assert fast_memory(64, np.int32(n)) == 4 * n * 64 + n**2 + 2 * n
    assert largest_block(np.uint8(64), np.int32(49408), np.uint8(16)) == 324


def test_what_no_tile_can_hold() -> None:
    wanted = "must be a whole number, at least"
    with pytest.raises(ValueError, match=f"d {wanted} 1; got 0"):
        fast_memory(0, 8)
    with pytest.raises(ValueError, match=f"block {wanted} 0; got -1"):
        fast_memory(64, -1)
    with pytest.raises(ValueError, match=f"memory {wanted} 0; got -1"):
        largest_block(64, -1)
