"""Where does the work run, and on how many threads?"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

SMALL_IMAGE = 256  # values in one image
SMALL_MODEL = 1_000_000  # parameters


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Let torch use n threads inside; afterwards it uses as many as before.

    >>> with threads(1):
    ...     torch.get_num_threads()
    1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fitting_threads(images: Tensor) -> AbstractContextManager[None]:
    """Let torch use one thread inside if images (n, ...) are small, else all it has.

    On 8 x 8 pixels a second thread gains nothing, and where the cores are busy it costs
    tenfold, since each thread waits for the other. One thread also sums in one order,
    so results do not depend on how many cores a machine has.
    """
    small = images[:1].numel() <= SMALL_IMAGE
    return threads(1 if small else torch.get_num_threads())


def few_threads(model: nn.Module) -> AbstractContextManager[None]:
    """Let torch use one thread inside if the model is small, else all it has.

    A small model gains nothing from a second thread, and loses where the cores are
    busy.
    """
    small = sum(p.numel() for p in model.parameters()) < SMALL_MODEL
    return threads(1 if small else torch.get_num_threads())
