"""Are tiles cut, masked and put back as the plain loops say?"""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smallscale.kernels import attention, tiled
from smallscale.kernels.sight import causal_mask, hide_
from smallscale.kernels.tiled import out_of_sight, put, tile_of, tiles


@given(
    st.integers(0, 30), st.integers(1, 35), st.integers(-40, 40), st.integers(-40, 40)
)
def test_tiles_start_with_the_one_of_the_first_row_and_end_before_the_stop(
    n: int, block: int, first: int, stop: int
) -> None:
    plain = []
    for start in range(0, n, block):
        if start + block > first and start < stop:
            plain.append(slice(start, min(start + block, n)))
    assert list(tiles(n, block, first=first, stop=stop)) == plain
    whole = [i for rows in tiles(n, block) for i in range(n)[rows]]
    assert whole == list(range(n))


@given(st.integers(0, 6), st.integers(0, 6), st.integers(-8, 8))
def test_the_mask_hides_the_keys_beyond_the_offset(
    rows: int, cols: int, offset: int
) -> None:
    mask = causal_mask(rows, cols, offset)
    assert mask.shape == (rows, cols)
    for i in range(rows):
        for j in range(cols):
            assert mask[i, j] == (j > i + offset)


@given(st.integers(-3, 9), st.integers(0, 8), st.integers(0, 8))
def test_a_tile_of_scores_hides_what_its_own_rows_and_keys_do_not_see(
    offset: int, row: int, col: int
) -> None:
    rows, cols = slice(row, row + 3), slice(col, col + 2)
    scores = torch.zeros(4, 2 * 3, 2)  # two heads of queries below one another
    queries = torch.zeros(4, 2 * 3, 5)
    hidden = hide_(scores, out_of_sight(rows, cols, offset, queries))
    for group in range(2):
        for i in range(3):
            for j in range(2):
                seen = col + j <= row + i + offset
                expected = 0.0 if seen else -torch.inf
                assert (hidden[:, 3 * group + i, j] == expected).all()


def test_tiles_out_of_sight_are_visited_neither_forward_nor_backward(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    visited: list[tuple[int, int]] = []

    def watched(rows: slice, cols: slice, *others: Any) -> Any:
        visited.append((rows.start // 2, cols.start // 2))
        return out_of_sight(rows, cols, *others)

    monkeypatch.setattr(tiled, "out_of_sight", watched)
    x = torch.zeros(3, 1, 1, 8, 1).requires_grad_()
    out = attention(*x, causal=True, block=2)
    # Four tiles of two: the first sees one tile of keys, the last all four.
    below = [(i, j) for i in range(4) for j in range(i + 1)]
    assert visited == below
    visited.clear()
    out.sum().backward()
    assert sorted(visited) == below


@pytest.mark.parametrize(("heads", "kv_heads"), [(6, 2), (3, 3), (4, 1)])
def test_a_tile_holds_the_query_heads_that_share_a_kv_head(
    heads: int, kv_heads: int
) -> None:
    x = torch.randn(2, heads, 5, 3, generator=torch.Generator().manual_seed(0))
    tile = tile_of(x, kv_heads, torch.float64)
    assert tile.dtype == torch.float64
    group = heads // kv_heads
    assert tile.shape == (2 * kv_heads, group * 5, 3)
    for b in range(2):
        for h in range(heads):
            start = h % group * 5
            found = tile[b * kv_heads + h // group, start : start + 5]
            assert torch.equal(found, x[b, h].double())
    whole = torch.zeros(2, heads, 9, 3)
    put(whole, slice(2, 7), tile)
    assert torch.equal(whole[:, :, 2:7], x)
    assert (whole[:, :, :2] == 0).all()
    assert (whole[:, :, 7:] == 0).all()
