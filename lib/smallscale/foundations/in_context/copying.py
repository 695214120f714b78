"""What is the smallest thing learnt from a prompt? To copy what came before.

A sequence of random tokens is shown again and again. Nothing but the first showing
tells what comes next. A transformer of two layers can do it with an *induction
head*: one layer marks each token with the one before it, the next looks for where the
present token stood and takes what followed (Olsson et al. 2022).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from smallscale.core.modes import eval_mode
from smallscale.core.validation import whole_number
from smallscale.training.loop import minimise
from smallscale.training.optimizers import late_decay, make_optimizer

SHORTEST, LONGEST = 6, 16  # tokens that are shown before they come again


def repeated_tokens(
    n: int, length: int, vocabulary: int, *, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Return n sequences that repeat themselves, and which tokens can be foreseen.

    Each begins with 6 to 16 random tokens and then shows them again and again, to
    `length` in all. How many they are differs from row to row, so that to look back by
    a fixed number of places does not help. Returns rows (n, length), and a mask of the
    same shape that is True from the second token of the second showing on.
    Raises ValueError for a length at which not every row repeats.

    >>> rows, foreseen = repeated_tokens(3, 40, 9, generator=Generator().manual_seed(0))
    >>> rows.shape, bool(foreseen[:, -1].all())
    (torch.Size([3, 40]), True)
    """
    n = whole_number("n", n)
    length = whole_number("length", length, least=LONGEST + 2)
    vocabulary = whole_number("vocabulary", vocabulary)
    period = torch.randint(SHORTEST, LONGEST + 1, (n, 1), generator=generator)
    first = torch.randint(vocabulary, (n, LONGEST), generator=generator)
    place = torch.arange(length)
    return first.gather(1, place % period), place > period


@torch.no_grad()
def copying_loss(model: nn.Module, rows: Tensor, foreseen: Tensor) -> float:
    """Return the loss of the tokens that can be foreseen, in nats.

    0: every one was copied. The log of the vocabulary: none was, and nothing else was
    believed either.
    """
    with eval_mode(model):
        return float(_loss(model, rows, foreseen))


@torch.no_grad()
def copying_gain(model: nn.Module, rows: Tensor, foreseen: Tensor) -> float:
    """Return how much less a token costs that can be foreseen than another, in nats.

    For a model that was trained on something else, whose loss on random tokens is its
    own affair. 0: nothing was gained from the first showing.
    """
    with eval_mode(model):
        new = ~foreseen
        new[:, 0] = False  # nothing predicts the first token
        return float(_loss(model, rows, new) - _loss(model, rows, foreseen))


def _loss(model: nn.Module, rows: Tensor, foreseen: Tensor) -> Tensor:
    logits = model(rows[:, :-1]).logits
    wanted = foreseen[:, 1:]
    return F.cross_entropy(logits[wanted], rows[:, 1:][wanted])


def train_copier(
    model: nn.Module,
    *,
    length: int,
    vocabulary: int,
    steps: int,
    batch: int = 32,
    every: int = 20,
    watch: Callable[[int, nn.Module], None],
    seed: int = 0,
    progress: str = "",
) -> nn.Module:
    """Train a language model on fresh repeated sequences, in place.

    The loss counts the tokens that can be foreseen: the others are noise. watch:
    called as watch(step, model) every so many steps, and at the end. Returns the model
    in eval mode.
    """
    optimizer = make_optimizer("adamw", model.parameters(), lr=3e-3)
    taken = 0

    def loss(generator: Generator) -> Tensor:
        nonlocal taken
        if taken % every == 0:
            watch(taken, model.eval())
            model.train()
        taken += 1
        drawn = repeated_tokens(batch, length, vocabulary, generator=generator)
        return _loss(model, *drawn)

    rate = late_decay(optimizer, steps)
    minimise(model, loss, rate, steps=steps, seed=seed, progress=progress)
    watch(steps, model)
    return model
