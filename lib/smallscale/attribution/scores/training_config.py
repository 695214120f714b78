"""What happens in a training run? A deterministic one, so that it can be run again."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from smallscale.attribution.scores.model_checks import copied
from smallscale.core.progress import ProgressBar
from smallscale.core.seeds import seeded
from smallscale.core.validation import (
    as_float,
    finite_number,
    require,
    whole_number,
)

# The positions of a batch's examples, and the learning rate.
Step = tuple[Tensor, float]
Item = TypeVar("Item")


@dataclass(frozen=True)
class TrainingConfig:
    """A deterministic training run, by SGD with momentum over shuffled batches:

        v <- momentum * v + gradient of (batch mean loss + weight_decay/2 * ||theta||^2)
        theta <- theta - lr * v

    The learning rate falls from lr to 0 along half a cosine. seed: of the examples'
    order. stop: the epoch after which the run is left, as a checkpoint of it; the rate
    falls as in the whole run. None: the last one.

    >>> TrainingConfig(epochs=1, batch_size=2, lr=0.1).steps(2)[0][1]
    0.1
    """

    epochs: int = 20
    batch_size: int = 16
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-3
    seed: int = 0
    stop: int | None = None

    def __post_init__(self) -> None:
        """Make a number of any library Python's; `steps` refuses what is none."""
        for name in ("momentum", "weight_decay"):
            number = as_float(getattr(self, name))
            if not math.isnan(number):
                object.__setattr__(self, name, number)

    def steps(self, n: int) -> list[Step]:
        """Return the batches, as positions below n, each with its learning rate.

        Raises ValueError for settings out of range: epochs and batch_size are at least
        1, stop lies in 1..epochs, momentum in [0, 1), and the others are at least 0.
        """
        epochs = whole_number("epochs", self.epochs)
        stop = epochs
        if self.stop is not None:
            stop = whole_number("stop", self.stop, most=epochs)
        batch_size = whole_number("batch_size", self.batch_size)
        lr = finite_number("lr", self.lr, least=0)
        finite_number("momentum", self.momentum, least=0, below=1)
        finite_number("weight_decay", self.weight_decay, least=0)
        generator = Generator().manual_seed(whole_number("seed", self.seed, least=0))
        batches: list[Tensor] = []
        for _ in range(epochs):
            order = torch.randperm(n, generator=generator)
            batches.extend(torch.split(order, batch_size))
        steps = []
        for t, batch in enumerate(batches):
            share = 0.5 * (1 + math.cos(math.pi * t / len(batches)))
            steps.append((batch, lr * share))
        return steps[: stop * len(batches) // epochs]


def check_layers(model: nn.Module) -> None:
    """Refuse a model whose layers train and predict differently."""
    odd = {
        type(part).__name__
        for part in model.modules()
        if isinstance(part, (_BatchNorm, _DropoutNd, nn.RReLU))
        or getattr(part, "track_running_stats", False)
    }
    require(
        not odd,
        f"model must train as it predicts; leave {', '.join(sorted(odd))} out, or use "
        "LayerNorm",
    )


def check_modes(model: nn.Module, inputs: Tensor) -> None:
    """Refuse a model that answers these inputs otherwise in training than in eval.

    For what no layer's name tells, such as dropout inside of attention.
    """
    with torch.no_grad(), seeded(0):
        training = copied(model).train()(inputs)
        predicting = copied(model).eval()(inputs)
    require(
        torch.allclose(training, predicting, rtol=1e-3, atol=1e-5, equal_nan=True),
        "model must train as it predicts; in training mode it answers otherwise than "
        "in eval mode: set its dropout to 0",
    )


def with_bar(steps: Sequence[Item], progress: str) -> Iterable[Item]:
    """Return the steps, with a progress bar of this name where it has one."""
    bar: Iterable[Item] = ProgressBar(steps, desc=progress, unit="step")
    return bar
