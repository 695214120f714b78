"""Where does the work run, and on how many threads?"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)
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


def default_device() -> torch.device:
    """Return the device that large models run on: a GPU if there is one, else the CPU.

    The environment variable SMALLSCALE_DEVICE overrides the choice, for example "cpu"
    or "cuda:1". Raises ValueError for a device that torch does not know.
    """
    named = os.environ.get("SMALLSCALE_DEVICE", "")
    if not named:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(named)
    except RuntimeError as error:
        raise ValueError(
            f"SMALLSCALE_DEVICE must name a torch device (cpu, cuda:0); got {named!r}"
        ) from error


def place(model: Module) -> Module:
    """Move a model in place to the device that suits it, and return it.

    A model of fewer than SMALL_MODEL parameters stays where it is, unless
    SMALLSCALE_DEVICE names a device: moving its batches would cost more than a GPU
    saves. Every training loop and every sampler moves its batches to its model, so this
    is the one place where a device is decided.
    """
    small = sum(p.numel() for p in model.parameters()) < SMALL_MODEL
    if small and not os.environ.get("SMALLSCALE_DEVICE"):
        return model
    return model.to(default_device())
