"""Are times, memory and operations those of what was called?"""

import sys
from itertools import product

import pytest
import torch

from smallscale.kernels.measure import (
    flops,
    machine,
    memory_given_back,
    memory_kept,
    page_faults,
    peak_bytes,
    range_confidence,
    seconds,
)


def test_measuring() -> None:
    assert (
        4 * 1000 * 1000
        <= peak_bytes(lambda: torch.zeros(1000, 1000).sum())
        < 4 * 1000 * 1000 + 10_000
    )
    held = torch.zeros(1000)
    assert peak_bytes(lambda: held.mul_(2)) < 4000  # nothing new
    assert (
        8_000_000 <= peak_bytes(lambda: (torch.zeros(1000, 1000) + 1).sum()) < 8_010_000
    )
    calls: list[int] = []
    first, second = seconds(
        [lambda: calls.append(0), lambda: sum(range(200_000))], rounds=3
    )
    assert len(calls) == 4
    assert 0 <= first < second
    assert flops(4, 8) == 2 * 2 * 4 * 4 * 8
    assert flops(4, 8, causal=True) == 2 * 2 * 10 * 8
    assert all(value > 0 for value in machine().values())


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's switches")
def test_memory_is_given_back_whatever_ran_before_and_kept_where_asked() -> None:
    def fill() -> None:
        torch.zeros(2**22)  # 16 MiB, 4,096 pages of 4 KiB

    for _ in range(2):
        with memory_kept() as can:
            if not can:
                pytest.skip("no glibc")
            kept = min(page_faults(fill) for _ in range(5))
        for _ in range(3):
            fill()  # after these glibc by itself would keep such pieces
        with memory_given_back() as can:
            assert can
            back = page_faults(fill)
        assert kept < 100
        assert back > 7 * kept
        assert back >= 8  # huge pages of 2 MiB at the least


@pytest.mark.parametrize("rounds", [1, 2, 5, 6])
def test_a_range_misses_the_median_where_all_lie_on_one_side(rounds: int) -> None:
    """Each time is above or below the median with the same chance: count the cases."""
    cases = list(product((True, False), repeat=rounds))
    holds = sum(any(case) and not all(case) for case in cases)
    assert range_confidence(rounds) == holds / len(cases)


def test_a_range_of_no_round_is_refused() -> None:
    with pytest.raises(ValueError, match="rounds must be a whole number"):
        range_confidence(0)
