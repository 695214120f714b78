"""How is a language model trained on tokens, and how well does it predict new ones?"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from smallscale.core.devices import few_threads
from smallscale.core.modes import eval_mode
from smallscale.core.validation import as_tensor, require, whole_number

SCORED_AT_ONCE = 4096  # tokens in one batch when a loss is measured


def random_windows(tokens: Any, n: int, length: int, generator: Generator) -> Tensor:
    """Return n stretches of `length` tokens at random places, (n, length).

    Raises ValueError where `tokens` (all,) has fewer than `length`.

    >>> random_windows([5, 6, 7], 2, 3, Generator()).tolist()
    [[5, 6, 7], [5, 6, 7]]
    """
    tokens = as_tensor("tokens", tokens)
    length = whole_number("length", length)
    places = len(tokens) - length + 1
    require(
        places > 0,
        f"tokens must hold at least length = {length} of them; got {len(tokens)}",
    )
    starts = torch.randint(places, (n, 1), generator=generator)
    windows: Tensor = tokens[starts + torch.arange(length)]
    return windows


def next_token_loss(model: nn.Module, windows: Tensor) -> Tensor:
    """Return the mean cross-entropy of the next token, in nats, as a scalar.

    windows: (batch, length) token ids; each token but the first is predicted from those
    before it, so the mean is over batch * (length - 1) predictions.
    """
    windows = windows.to(next(model.parameters()).device)
    logits = model(windows[:, :-1])
    logits = getattr(logits, "logits", logits)  # (batch, length - 1, vocabulary)
    return F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())


@torch.no_grad()
def held_out_loss(model: nn.Module, tokens: Any, length: int) -> float:
    """Return the mean loss of the next token over a text, in nats.

    The text (tokens,) is cut into stretches that share one token, so that each token
    but the first is predicted exactly once, with at most length - 1 before it. What is
    left over at the end and does not fill a stretch is not used.
    Raises ValueError for a text shorter than `length`, and for a length below 2.
    """
    tokens = as_tensor("tokens", tokens)
    length = whole_number("length", length, least=2)
    require(
        len(tokens) >= length,
        f"tokens must hold at least length = {length} of them; got {len(tokens)}",
    )
    windows = tokens.unfold(0, length, length - 1)
    total = 0.0
    with eval_mode(model), few_threads(model):
        for batch in windows.split(max(1, SCORED_AT_ONCE // length)):
            total += float(next_token_loss(model, batch)) * len(batch)
    return total / len(windows)


def bits_per_byte(loss: float, bytes_per_token: float) -> float:
    """Return a loss in nats per token as bits per byte of the text.

    Tokenizers cut text differently; bytes do not change, so this can be compared.

    >>> bits_per_byte(math.log(2), 1.0)
    1.0
    """
    return loss / math.log(2) / bytes_per_token
