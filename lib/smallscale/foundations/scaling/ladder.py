"""How is a rung of the ladder made? A model of one size, trained on so many tokens."""

from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from transformers import LlamaForCausalLM

from smallscale.core.validation import (
    as_array,
    as_tensor,
    finite_number,
    require,
    whole_number,
)
from smallscale.models.transformer import small_transformer
from smallscale.training.language import held_out_loss, next_token_loss
from smallscale.training.loop import minimise
from smallscale.training.optimizers import make_optimizer, warmup_cosine

CONTEXT = 32  # tokens that a model sees
BATCH = 16  # windows a step
STEP = BATCH * CONTEXT  # tokens that a step predicts


def passes(text: Any, *, tokens: int, repeats: int = 1, seed: int = 0) -> Tensor:
    """Return the windows that a model reads, in order, (steps, BATCH, CONTEXT + 1).

    text: (all,) tokens. Windows share one token, so that each predicts CONTEXT others.
    tokens: how many are predicted in all, rounded down to whole steps.
    repeats: how often each window is read: tokens / repeats of the text are drawn, and
    all of them are read, in a new order each time, before one is read again.
    Raises ValueError for fewer tokens than a step for each pass, and where the text
    does not have so many.

    >>> passes(torch.arange(600), tokens=1024, repeats=2).shape
    torch.Size([2, 16, 33])
    """
    text = as_tensor("text", text)
    repeats = whole_number("repeats", repeats)
    tokens = whole_number("tokens", tokens, least=STEP * repeats)
    different = tokens // (STEP * repeats) * BATCH  # windows
    places = (len(text) - 1) // CONTEXT
    require(
        different <= places,
        f"text must hold {different * CONTEXT + 1:,} tokens to read {tokens:,} in "
        f"{repeats} passes; got {len(text):,}",
    )
    generator = Generator().manual_seed(seed)
    drawn = torch.randperm(places, generator=generator)[:different]
    order = torch.cat(
        [drawn[torch.randperm(different, generator=generator)] for _ in range(repeats)]
    )
    places_read = order.view(-1, BATCH, 1) * CONTEXT + torch.arange(CONTEXT + 1)
    windows: Tensor = text[places_read]
    return windows


def rung(
    text: Any,
    held_out: Any,
    *,
    vocabulary: int,
    width: int,
    tokens: int,
    rate: float,
    layers: int = 2,
    repeats: int = 1,
    seed: int = 0,
    progress: str = "",
) -> dict[str, float]:
    """Train a model on `tokens` tokens, and measure its loss on held-out text.

    text, held_out: (all,) tokens. width: of the hidden state, a multiple of 4.
    rate: Adam's learning rate at its highest; it rises over a tenth of the steps, then
    falls to zero along half a cosine that ends with the run (Hoffmann et al. 2022,
    appendix B). repeats: how often each token is read, see `passes`. seed: of the
    initial weights and of the windows. progress: the name of a progress bar.

    Returns width, tokens, repeats, rate, seed, the `inner` parameters (without the
    embedding, which is the last layer too), the `total`, and the loss in nats a token.
    Raises ValueError for numbers out of range and for a text that is too short.
    """
    rate = finite_number("rate", rate, above=0)
    width = whole_number("width", width)
    require(
        width % 4 == 0,
        f"width must be a multiple of 4, for two heads of even width; got {width}",
    )
    batches = passes(text, tokens=tokens, repeats=repeats, seed=seed)
    model = small_transformer(
        vocabulary,
        length=CONTEXT,
        width=width,
        layers=layers,
        heads=2,
        seed=seed,
        tie_word_embeddings=True,
        initializer_range=0.1,  # narrow models learn faster from it than from .02
    )
    optimizer = make_optimizer("adam", model.parameters(), lr=rate, betas=(0.9, 0.98))
    remaining = iter(batches)

    def loss(_: Generator) -> Tensor:
        return next_token_loss(model, next(remaining))

    steps = len(batches)
    minimise(
        model, loss, warmup_cosine(optimizer, steps), steps=steps, progress=progress
    )
    inner, total = sizes(model)
    return {
        "width": width,
        "tokens": steps * STEP,
        "repeats": repeats,
        "rate": rate,
        "seed": seed,
        "inner": inner,
        "total": total,
        "loss": held_out_loss(model, held_out, CONTEXT + 1),
    }


def sizes(model: LlamaForCausalLM) -> tuple[int, int]:
    """Return how many parameters a model has: without its embedding, and in all.

    >>> sizes(small_transformer(30, length=16, width=8, tie_word_embeddings=True))
    (1320, 1560)
    """
    total = sum(weights.numel() for weights in model.parameters())
    embedding = sum(
        weights.numel()
        for name, weights in model.named_parameters()
        if name.endswith("embed_tokens.weight")
    )
    return total - embedding, total


def best_rate(rates: Any, losses: Any) -> float:
    """Return the rate at the lowest point of a parabola through the loss by log rate.

    rates, losses: (n,), at least three; the parabola goes through the lowest measured
    and its two neighbours. Where the lowest is the first or the last, that rate is
    returned: the minimum may lie beyond.
    Raises ValueError for fewer than three, or rates that are not positive.

    >>> print(f"{best_rate([0.01, 0.1, 1], [3, 2, 3]):.2f}")
    0.10
    """
    x = as_array("rates", rates, dtype=float)
    y = as_array("losses", losses, dtype=float)
    require(
        x.shape == y.shape and x.ndim == 1 and len(x) >= 3,
        f"rates and losses must be (n,) with n at least 3; got {x.shape}, {y.shape}",
    )
    require((x > 0).all(), f"rates must be positive; got {x.min():g}")
    order = np.argsort(x)
    x, y = np.log(x[order]), y[order]
    lowest = int(y.argmin())
    if lowest in (0, len(x) - 1):
        return float(np.exp(x[lowest]))
    near = slice(lowest - 1, lowest + 2)
    curve = np.polyfit(x[near], y[near], 2)
    return float(np.exp(-curve[1] / (2 * curve[0])))
