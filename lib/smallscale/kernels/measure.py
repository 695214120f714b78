"""How long, how much memory, and how much could this machine do? What the notebook and the benchmarks measure with."""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


def seconds(ways: Sequence[Callable[[], Any]], rounds: int = 5) -> list[float]:
    """Each function's median time, all called in turns, so that a busy moment hits all alike; a first call warms up."""
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds + 1):
        for each, way in zip(times, ways, strict=True):
            begin = time.perf_counter()
            way()
            each.append(time.perf_counter() - begin)
    return [statistics.median(each[1:]) for each in times]


def peak_bytes(function: Callable[[], Any]) -> int:
    """The most memory that torch's CPU allocator held at once for this call, beyond what it held before."""
    with _silence(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        function()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    steps = [(event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]"]
    held = most = 0
    for _, step in sorted(steps, key=lambda pair: pair[0]):
        held += step
        most = max(most, held)
    return most


@contextmanager
def _silence() -> Iterator[None]:
    """The profiler announces itself on standard error, from C++, where Python cannot catch it."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
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
    out, near = torch.empty_like(a), torch.empty_like(scores)
    half = far[: 2**25]

    def best(function: Callable[[], Any], calls: int = 1) -> float:
        tries = []
        for _ in range(8):
            begin = time.perf_counter()
            for _ in range(calls):
                function()
            tries.append((time.perf_counter() - begin) / calls)
        return min(tries)

    return {
        "gflops": 2 * 1024**3 / best(lambda: torch.mm(a, a, out=out)) / 1e9,
        "gexps": scores.numel() / best(lambda: torch.exp(scores, out=near), 100) / 1e9,
        "gexp2s": scores.numel() / best(lambda: torch.exp2(scores, out=near), 100) / 1e9,
        "gbytes": 2 * half.nbytes / best(lambda: far[2**25 :].copy_(half)) / 1e9,
    }
