"""Where does chance come from? Seeds that leave the global generators as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Inside, torch's global generators start from `seed`; afterwards they stand where they stood before.

    For what offers no `generator` of its own: the initialisation of layers, dropout. device: the one whose
    generator is seeded beside the CPU's.
    """
    devices = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        # torch.manual_seed would also reach the GPUs that fork_rng does not put back.
        torch.default_generator.manual_seed(seed)
        for each in devices:
            with torch.cuda.device(each):
                torch.cuda.manual_seed(seed)
        yield
