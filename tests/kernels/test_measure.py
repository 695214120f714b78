"""Are times, memory and operations those of what was called?"""

import torch

from smallscale.kernels.measure import flops, machine, peak_bytes, seconds


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
