"""Which optimizer, and how does its rate move? Optimizers by name, and schedules."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from smallscale.core.validation import one_of
from smallscale.training.update_rules import Adam, AdamW, AMSGrad, Muon, SophiaG

OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": Adam,
    "adamw": AdamW,
    "amsgrad": AMSGrad,
    "sophiag": SophiaG,
    "muon": Muon,
}


def make_optimizer(
    name: str,
    parameters: Iterable[Tensor],
    *,
    lr: float,
    weight_decay: float = 0.0,
    **options: Any,
) -> Optimizer:
    """Return the optimizer of this name for these parameters.

    name: one of OPTIMIZERS. lr: the learning rate. weight_decay: as the optimizer means
    it (Adam adds it to the gradient, AdamW shrinks the weights). options: as torch
    names them. All but SGD are the rules of `update_rules`, which where torch has them
    too give torch's numbers bit for bit. Raises ValueError for an unknown name.

    >>> make_optimizer("sgd", [torch.zeros(2)], lr=0.1).defaults["lr"]
    0.1
    """
    kind = OPTIMIZERS[one_of("optimizer", name, OPTIMIZERS)]
    return kind(list(parameters), lr=lr, weight_decay=weight_decay, **options)


def linear_decay(optimizer: Optimizer, steps: int) -> LambdaLR:
    """Let the rate fall along a line, from its start to zero after `steps`."""
    return LambdaLR(optimizer, lambda step: 1 - step / steps)


def late_decay(optimizer: Optimizer, steps: int) -> LambdaLR:
    """Keep the rate for half of the steps, then let it fall along a line to zero."""
    return LambdaLR(optimizer, lambda step: min(1.0, 2 - 2 * step / steps))


def warmup_cosine(optimizer: Optimizer, steps: int, *, warmup: float = 0.1) -> LambdaLR:
    """Let the rate rise over the share `warmup`, then fall along half a cosine."""

    def factor(step: int) -> float:
        rise = min(1.0, (step + 1) / (warmup * steps))
        return rise * (0.5 + 0.5 * math.cos(math.pi * step / steps))

    return LambdaLR(optimizer, factor)
