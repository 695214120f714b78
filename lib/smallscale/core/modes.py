"""In which mode does a model compute? Eval mode: no dropout, no batch statistics."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def eval_mode(model: Any) -> Iterator[None]:
    """Put every part of the model into eval mode inside, and back afterwards.

    What is no torch module is left as it is.
    """
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    modes = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
