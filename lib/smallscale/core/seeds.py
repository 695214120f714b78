"""Where does chance come from? Seeds that leave the global generators as they were."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator

from smallscale.core.validation import require, shown, whole_number


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


def generator_or_new(generator: Any) -> Generator:
    """Return the generator that was given; for None a private one seeded 0.

    Raises ValueError for what is no torch.Generator, a seed or numpy's among them.

    >>> generator_or_new(None).initial_seed()
    0
    """
    if generator is None:
        return Generator().manual_seed(0)
    require(
        isinstance(generator, Generator),
        "generator must be a torch.Generator, as torch.Generator().manual_seed(0), or "
        f"None; got {shown(generator)}",
    )
    own: Generator = generator
    return own


def replicate_seeds(seed: int, n: int) -> range:
    """Return the seeds of the n runs that one `seed` stands for.

    Two values of `seed` have no run in common, so that what holds at both was seen
    twice; range(seed, seed + n) would share n - 1 runs with the next one's.
    Raises ValueError where `n` is no whole number of at least 1.

    >>> replicate_seeds(0, 3), replicate_seeds(1, 3)
    (range(0, 3), range(3, 6))
    """
    n = whole_number("n", n)
    return range(seed * n, (seed + 1) * n)
