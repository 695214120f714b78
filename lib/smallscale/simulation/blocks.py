"""How does one machine work for a million people? In blocks, on all of its cores."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import joblib

CORES = joblib.cpu_count()  # that this process may use
BLOCK = 1 << 12  # people worked on at a time: their memories fit into a core's cache


def in_blocks(work: Callable[[slice], None], n: int) -> None:
    """Call work(part) for n people, a block at a time, on every core of this process.

    The plain line is `work(slice(0, n))`. Parts must not touch each other's results.
    """
    parts = [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]
    if min(len(parts), CORES) < 2:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(CORES) as pool:  # numpy frees the interpreter as it works
        list(pool.map(work, parts))
