"""Where does chance come from? Seeds that leave the global generators as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Start torch's global generators from `seed` inside, and put them back after.

    For what takes no `generator` of its own: the initial weights of layers, and
    dropout.
    device: where it runs; on a GPU that GPU's generator is seeded too.

    >>> with seeded(0):
    ...     first = torch.rand(3)
    >>> with seeded(0):
    ...     torch.equal(torch.rand(3), first)
    True
    """
    devices = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        # torch.manual_seed would also reach the GPUs that fork_rng does not put back.
        torch.default_generator.manual_seed(seed)
        for each in devices:
            with torch.cuda.device(each):
                torch.cuda.manual_seed(seed)
        yield
