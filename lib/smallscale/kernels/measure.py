"""How long, how much memory, and how much could this machine do? What the notebook and the benchmarks measure with."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from timeit import repeat, timeit
from typing import Any

import numpy as np
import torch
from torch.autograd.profiler import profile


def seconds(ways: Sequence[Callable[[], Any]], rounds: int = 5) -> list[float]:
    """Each function's median time, all called in turns, so that a busy moment hits all alike; a first call warms up."""
    times = [[timeit(way, number=1) for way in ways] for _ in range(rounds + 1)]
    return np.median(times[1:], axis=0).tolist()


def peak_bytes(function: Callable[[], Any]) -> int:
    """The most memory that torch's CPU allocator held at once for this call, beyond what it held before."""
    profiler: Any = profile(profile_memory=True)
    with _silence(), profiler:
        function()
    steps = [
        event
        for event in profiler.kineto_results.events()
        if event.name() == "[memory]"
    ]
    steps.sort(key=lambda event: event.start_ns())
    return max(accumulate((event.nbytes() for event in steps), initial=0))


@contextmanager
def _silence() -> Iterator[None]:
    """The profiler announces itself on standard error, from C++, where Python cannot catch it."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def flops(n: int, d: int, causal: bool = False) -> int:
    """Multiplications and additions in the two products of one head's forward pass, of the pairs in sight only."""
    return 4 * d * (n * (n + 1) // 2 if causal else n * n)


def machine() -> dict[str, float]:
    """What this machine can do in a second, on torch's threads, in billions: gflops, gexps, gexp2s and gbytes.

    Each is the best of several tries, float32. gflops: of a matrix product; gbytes: of a large array that is copied,
    its reading and its writing counted.
    """
    a, scores, far = torch.randn(1024, 1024), torch.randn(128, 128), torch.empty(2**26)
    out, near, half = torch.empty_like(a), torch.empty_like(scores), far[: 2**25]

    def best(amount: int, function: Callable[[], Any], calls: int = 1) -> float:
        return amount * calls / min(repeat(function, number=calls, repeat=8)) / 1e9

    return {
        "gflops": best(2 * 1024**3, lambda: torch.mm(a, a, out=out)),
        "gexps": best(scores.numel(), lambda: torch.exp(scores, out=near), 100),
        "gexp2s": best(scores.numel(), lambda: torch.exp2(scores, out=near), 100),
        "gbytes": best(2 * half.nbytes, lambda: far[2**25 :].copy_(half)),
    }
