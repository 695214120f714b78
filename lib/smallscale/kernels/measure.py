"""How long, how much memory, and how much could this machine do?

What the notebook and the benchmarks measure with.
"""

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
    """Return each function's median time in seconds; a first call warms it up.

    The functions are called in turns, so that a busy moment hits all alike.
    """
    times = [[timeit(way, number=1) for way in ways] for _ in range(rounds + 1)]
    medians = np.median(times[1:], axis=0)
    return [float(median) for median in medians]


def peak_bytes(function: Callable[[], Any]) -> int:
    """Return the most memory that this call held at once, beyond what was held before.

    Only what torch's CPU allocator gives out is counted.

    >>> peak_bytes(lambda: torch.zeros(1000))
    4000
    """
    profiler: Any = profile(profile_memory=True)
    with _silence(), profiler:
        function()
    events = profiler.kineto_results.events()
    steps = [event for event in events if event.name() == "[memory]"]
    steps.sort(key=lambda event: event.start_ns())
    held = accumulate((int(event.nbytes()) for event in steps), initial=0)
    return max(held)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep standard error quiet inside.

    The profiler announces itself there from C++, where Python cannot catch it.
    """
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def flops(n: int, d: int, causal: bool = False) -> int:
    """Return the floating-point operations in one head's forward products.

    Each query and key that see each other take d multiplications and d additions in
    each of the two products, 4 d in all.

    >>> flops(4, 8), flops(4, 8, causal=True)
    (512, 320)
    """
    pairs = n * (n + 1) // 2 if causal else n * n
    return 4 * d * pairs


def machine() -> dict[str, float]:
    """Return what this machine can do in a second, on torch's threads, in billions.

    Each is the best of several tries, in float32:

        gflops   floating-point operations of a matrix product
        gexps    exponentials, exp
        gexp2s   exponentials in base 2, exp2
        gbytes   bytes of a large array that is copied, read and written ones
    """
    a = torch.randn(1024, 1024)
    scores = torch.randn(128, 128)
    far = torch.empty(2**26)  # too large for any cache
    product = torch.empty_like(a)
    near = torch.empty_like(scores)
    source, target = far[: 2**25], far[2**25 :]

    def best(amount: int, function: Callable[[], Any], calls: int = 1) -> float:
        return amount * calls / min(repeat(function, number=calls, repeat=8)) / 1e9

    return {
        "gflops": best(2 * 1024**3, lambda: torch.mm(a, a, out=product)),
        "gexps": best(scores.numel(), lambda: torch.exp(scores, out=near), 100),
        "gexp2s": best(scores.numel(), lambda: torch.exp2(scores, out=near), 100),
        "gbytes": best(2 * source.nbytes, lambda: target.copy_(source)),
    }
