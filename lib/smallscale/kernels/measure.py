"""How long, how much memory, and how much could this machine do?

What the notebook and the benchmarks measure with.
"""

import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from timeit import repeat, timeit
from typing import Any

import numpy as np
import torch
from torch.autograd.profiler import profile

from smallscale.core.validation import whole_number


def seconds(ways: Sequence[Callable[[], Any]], rounds: int = 5) -> list[float]:
    """Return each function's median time in seconds; a first call warms it up.

    The functions are called in turns, so that a busy moment hits all alike.
    """
    return [float(median) for median in np.median(rounds_of(ways, rounds), axis=0)]


def rounds_of(
    ways: Sequence[Callable[[], Any]],
    rounds: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> np.ndarray[Any, Any]:
    """Return every function's time in every round, (rounds, functions), in seconds.

    A first round, which warms up, is left out. clock: `time.process_time` counts what
    the processor did for us alone, whatever else runs on the machine.
    """
    times = [[timeit(way, number=1, timer=clock) for way in ways]]
    for _ in range(rounds):
        times.append([timeit(way, number=1, timer=clock) for way in ways])
    return np.array(times[1:])


def ratio(above: Any, below: Any) -> tuple[float, float, float]:
    """Return the median, lowest and highest ratio of two ways' times, round by round.

    >>> ratio([2.0, 3.0, 8.0], [1.0, 1.0, 2.0])
    (3.0, 2.0, 4.0)
    """
    each = np.asarray(above) / np.asarray(below)
    return float(np.median(each)), float(each.min()), float(each.max())


def range_confidence(rounds: int) -> float:
    """Return how surely the range of so many independent times holds their median.

        1 - 2 * (1/2)^rounds: not all on one side of the median (David and Nagaraja
        2003, section 7.1)

    It is 0 for a single round.

    >>> range_confidence(1), range_confidence(6)
    (0.0, 0.96875)
    """
    return 1 - 2 * 0.5 ** whole_number("rounds", rounds)


@contextmanager
def memory_kept() -> Iterator[bool]:
    """Let the process keep, inside, what it frees; yield whether this machine can.

    glibc gives large pieces of memory back to the system when they are freed, and the
    system then clears each page anew when it is first touched: a page fault. Inside,
    freed memory stays with the process and is used again. Only glibc has this switch.
    """
    try:
        yield _tune_memory(kept=True)
    finally:
        _tune_memory(kept=False)


@contextmanager
def memory_given_back() -> Iterator[bool]:
    """Let the process give back, inside, every large piece of memory that it frees.

    glibc starts so, and keeps ever larger pieces once it has seen them freed: without
    this, what a function costs depends on what ran before it. Yields as `memory_kept`.
    """
    yield _tune_memory(kept=False)


def _tune_memory(kept: bool) -> bool:
    """Tell glibc to keep or give back what is freed; return whether it was told."""
    libc: Any = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(libc, "mallopt"):
        return False
    trim_threshold, mmap_threshold, mmap_max = -1, -3, -4  # names of malloc.h
    if kept:
        settings = {mmap_max: 0, trim_threshold: 2**31 - 1}
    else:  # glibc's own first values
        large = 128 * 1024
        settings = {mmap_max: 65_536, trim_threshold: large, mmap_threshold: large}
    done = [libc.mallopt(name, value) for name, value in settings.items()]
    if not kept:
        libc.malloc_trim(0)
    return all(done)


def page_faults(function: Callable[[], Any]) -> int:
    """Return how many pages of memory the system had to provide during a call."""
    import resource  # only here: Windows has none

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    function()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


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


def machine(clock: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """Return what this machine can do in a second, on torch's threads, in billions.

    Each is the best of several tries, in float32, by this clock:

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
        tries = repeat(function, number=calls, repeat=8, timer=clock)
        return amount * calls / min(tries) / 1e9

    return {
        "gflops": best(2 * 1024**3, lambda: torch.mm(a, a, out=product)),
        "gexps": best(scores.numel(), lambda: torch.exp(scores, out=near), 100),
        "gexp2s": best(scores.numel(), lambda: torch.exp2(scores, out=near), 100),
        "gbytes": best(2 * source.nbytes, lambda: target.copy_(source)),
    }
