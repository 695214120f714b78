"""How are two cores used where one reader keeps only one of them busy?"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

AT_A_TIME = 2  # threads, each of which lets torch use one


def side_by_side(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield function(item) for each item in order; two are worked on at a time.

    >>> list(side_by_side(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    one_thread = partial(torch.set_num_threads, 1)
    with ThreadPoolExecutor(AT_A_TIME, initializer=one_thread) as pool:
        yield from pool.map(function, items)
