"""What would a transformer be without some of its authors? All coalitions' transformers, trained as one program.

Every parameter has a leading dimension, one entry for each model, and matrices are multiplied in batches
(`torch.bmm`). The models start alike and read the same windows wherever their coalitions allow it, so that chance
cancels in their differences.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from tqdm import tqdm

from smallscale.attribution.checks import require
from smallscale.attribution.markets.ngram_model import Documents

Parameters = dict[str, Tensor]

LAYERS, HEADS, WIDTH, CONTEXT = 2, 2, 32, 48  # the last: tokens in a window
BATCH, RATE = 8, 1e-2  # windows a step; Adam's learning rate
TOGETHER = 8  # models in one program: more of them no longer fit a core's cache, and are no faster


def new_stack(models: int, vocabulary: int, *, seed: int = 0) -> Parameters:
    """Untrained transformers, all with the same parameters; each tensor is (models, ...)."""
    # Standard deviations come last. The tokens' vectors are also what turns the last layer into logits.
    shapes = {"tokens": (vocabulary, WIDTH, 0.1), "places": (CONTEXT, WIDTH, 0.1)}
    for layer in range(LAYERS):
        shapes[f"{layer}.qkv"] = (WIDTH, 3 * WIDTH, WIDTH**-0.5)
        shapes[f"{layer}.out"] = (WIDTH, WIDTH, WIDTH**-0.5 / LAYERS)
        shapes[f"{layer}.up"] = (WIDTH, 4 * WIDTH, WIDTH**-0.5)
        shapes[f"{layer}.down"] = (4 * WIDTH, WIDTH, (4 * WIDTH) ** -0.5 / LAYERS)
    generator = Generator().manual_seed(seed)
    one = {
        name: torch.randn(n, m, generator=generator) * scale
        for name, (n, m, scale) in shapes.items()
    }
    return {
        name: p.expand(models, *p.shape).clone().requires_grad_()
        for name, p in one.items()
    }


def stack_logits(parameters: Parameters, tokens: Tensor) -> Tensor:
    """Next-token logits (models, batch, length, vocabulary) for tokens (models, batch, length)."""
    models, batch, length = tokens.shape
    each = torch.arange(models)[:, None, None]
    x = (
        parameters["tokens"][each, tokens] + parameters["places"][:, None, :length]
    )  # (M, B, L, d)
    x = x.flatten(1, 2)  # (M, B L, d)
    for layer in range(LAYERS):
        qkv = torch.bmm(F.rms_norm(x, (WIDTH,)), parameters[f"{layer}.qkv"])
        q, k, v = qkv.view(models * batch, length, 3, HEADS, -1).permute(
            2, 0, 3, 1, 4
        )  # each (M B, h, L, d / h)
        mixed = (
            F.scaled_dot_product_attention(q, k, v, is_causal=True)
            .transpose(1, 2)
            .reshape(x.shape)
        )
        x = x + torch.bmm(mixed, parameters[f"{layer}.out"])
        hidden = (
            torch.bmm(F.rms_norm(x, (WIDTH,)), parameters[f"{layer}.up"])
            .relu()
            .square()
        )
        x = x + torch.bmm(hidden, parameters[f"{layer}.down"])
    logits = torch.bmm(F.rms_norm(x, (WIDTH,)), parameters["tokens"].transpose(1, 2))
    return logits.view(models, batch, length, -1)


def token_losses(parameters: Parameters, windows: Tensor) -> Tensor:
    """-ln p (models, batch, length - 1) of every token but the first of windows (models, batch, length)."""
    logits = stack_logits(parameters, windows[..., :-1])
    losses = F.cross_entropy(
        logits.flatten(0, 2), windows[..., 1:].flatten(), reduction="none"
    )
    return losses.view(*windows.shape[:2], -1)


def train_stack(
    libraries: Sequence[Documents],
    members: Any,
    vocabulary: int,
    *,
    steps: int = 600,
    seed: int = 0,
    progress: str = "",
) -> Parameters:
    """One transformer for each coalition: members (models, authors), True for those whose text it reads.

    Authors are read in proportion to their length, in windows of CONTEXT tokens. Adam's lr falls to zero over the
    second half. Each model is the same whatever else is in the stack. Raises ValueError for a coalition of nobody,
    whose guess is uniform, and for an author with fewer tokens than a window.
    """
    inside, shortest = (
        torch.as_tensor(np.asarray(members, dtype=bool)),
        min(sum(map(len, d)) for d in libraries),
    )
    fit = inside.ndim == 2 and inside.shape[1] == len(libraries) and inside.any(1).all()
    wanted = f"members must be (models, {len(libraries)}), each with at least one"
    require(fit, f"{wanted}; got {tuple(inside.shape)}")
    require(
        shortest > CONTEXT,
        f"libraries must hold more than {CONTEXT} tokens each; got {shortest}",
    )
    texts = [torch.from_numpy(np.concatenate(documents)) for documents in libraries]
    total, parts = steps * len(inside), []
    with tqdm(
        total=total,
        desc=progress,
        unit="step",
        leave=False,
        disable=not progress,
        mininterval=2,
    ) as bar:
        for some in inside.split(TOGETHER):
            parameters = new_stack(len(some), vocabulary, seed=seed)
            optimizer = torch.optim.Adam(
                parameters.values(), betas=(0.9, 0.98), foreach=True
            )
            generator = Generator().manual_seed(seed + 1)
            for step in range(steps):
                windows = _batch(texts, some, generator)
                optimizer.param_groups[0]["lr"] = RATE * min(
                    (step + 1) / 20, 1.0, 2 * (1 - step / steps)
                )
                optimizer.zero_grad()
                token_losses(parameters, windows).mean((1, 2)).sum().backward()
                optimizer.step()
                bar.update(len(some))
            parts.append(parameters)
    return {
        name: torch.cat([part[name].detach() for part in parts]) for name in parts[0]
    }


def _batch(texts: Sequence[Tensor], inside: Tensor, generator: Generator) -> Tensor:
    """Windows (models, BATCH, CONTEXT), each from an author in the model's coalition, the same for all that can."""
    places = [
        (torch.rand(BATCH, generator=generator) * (len(text) - CONTEXT)).long()
        for text in texts
    ]
    drawn = torch.stack(
        [
            t[p[:, None] + torch.arange(CONTEXT)]
            for t, p in zip(texts, places, strict=True)
        ]
    )
    # The largest of log length + Gumbel noise falls on an author as often as its length says, in any coalition.
    gumbel = -torch.rand(len(texts), BATCH, generator=generator).log().neg().log()
    rank = (
        torch.tensor([math.log(len(text)) for text in texts])[:, None] + gumbel
    )  # (authors, BATCH)
    chosen = rank.where(inside[:, :, None], -math.inf).argmax(1)  # (models, BATCH)
    return drawn[chosen, torch.arange(BATCH)]


def stack_log_likelihood(
    parameters: Parameters, windows: np.ndarray, prompt: int
) -> np.ndarray:
    """ln p (models, T) of the tokens after the prompt of windows (n, length); T = n * (length - prompt)."""
    models, found = len(parameters["tokens"]), []
    with torch.no_grad():
        for part in torch.from_numpy(windows).split(16):
            losses = token_losses(parameters, part.expand(models, *part.shape))
            found.append(-losses[:, :, prompt - 1 :].double())
    return torch.cat(found, 1).flatten(1).numpy()


def stack_gradients(
    parameters: Parameters, windows: np.ndarray, prompt: int = 1
) -> Tensor:
    """The gradient (n, parameters) of each window's mean loss after the prompt, for a stack of one model."""
    leaves = {name: p.clone().requires_grad_() for name, p in parameters.items()}
    rows = []
    for window in torch.from_numpy(windows):
        loss = token_losses(leaves, window[None, None])[..., prompt - 1 :].mean()
        rows.append(
            torch.cat(
                [g.flatten() for g in torch.autograd.grad(loss, list(leaves.values()))]
            )
        )
    return torch.stack(rows)
