"""What would a transformer be without some of its authors? All coalitions at once.

Each coalition of authors has its own small transformer, trained on its members' text.
The models' parameters are stacked, with one entry for each model along a leading
dimension, and `torch.func.vmap` runs the one transformer on all of them. They start
alike, and read the same windows wherever their coalitions allow it, so that chance
cancels in their differences.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.func import functional_call, grad, vmap
from transformers import LlamaForCausalLM

from smallscale.attribution.markets.ngram_model import Documents
from smallscale.core.progress import ProgressBar
from smallscale.core.validation import require, whole_number
from smallscale.models.transformer import small_transformer
from smallscale.training.optimizers import make_optimizer

Stack = dict[str, Tensor]  # parameters by name, each (models, ...)

CONTEXT = 48  # tokens in a window
BATCH = 8  # windows a step, for each model
LEARNING_RATE = 1e-2  # Adam's, at its highest
WARMUP_STEPS = 20
# Models in one program. More of them need more memory, and are no faster.
MODELS_AT_ONCE = 8
WINDOWS_AT_ONCE = 16  # that all models read together

EMBEDDING = "model.embed_tokens.weight"


def train_coalitions(
    libraries: Sequence[Documents],
    members: Any,
    vocabulary: int,
    *,
    steps: int = 600,
    seed: int = 0,
    progress: str = "",
) -> Stack:
    """Train one transformer for each coalition on its members' text.

    libraries: each author's documents, as tokens. members: (models, authors), True for
    the authors that a model reads. Authors are read in proportion to their length, in
    windows of CONTEXT tokens. Adam's learning rate falls to zero over the second half.
    Each model is the same whatever else is in the stack. Raises ValueError for a
    coalition of nobody, whose guess is uniform, and for an author with no more tokens
    than a window.
    """
    inside, texts = _checked_coalitions(libraries, members)
    steps = whole_number("steps", steps)
    bar = ProgressBar(
        total=steps * len(inside), desc=progress, unit="step", mininterval=2
    )
    parts = []
    with bar:
        for some in torch.split(inside, MODELS_AT_ONCE):
            stack = new_transformers(len(some), vocabulary, seed=seed)
            optimizer = make_optimizer(
                "adam", stack.values(), lr=LEARNING_RATE, betas=(0.9, 0.98)
            )
            generator = Generator().manual_seed(seed + 1)
            for step in range(steps):
                windows = draw_batch(texts, some, generator)
                optimizer.param_groups[0]["lr"] = _learning_rate(step, steps)
                optimizer.zero_grad()
                loss_of_each = token_losses(stack, windows).mean((1, 2))
                torch.autograd.backward(loss_of_each.sum())
                optimizer.step()
                bar.update(len(some))
            parts.append(stack)
    return {
        name: torch.cat([part[name].detach() for part in parts]) for name in parts[0]
    }


def new_transformers(models: int, vocabulary: int, *, seed: int = 0) -> Stack:
    """Return untrained transformers, all with the same parameters (models, ...)."""
    one = _transformer(vocabulary, seed).named_parameters()
    return {
        name: value.detach().expand(models, *value.shape).clone().requires_grad_()
        for name, value in one
    }


def token_losses(stack: Stack, windows: Tensor) -> Tensor:
    """Return -ln p of every token but the first, (models, batch, length - 1).

    windows: (models, batch, length), a batch for each model.
    """
    model = _transformer(stack[EMBEDDING].shape[1])

    def losses_of_one(parameters: Stack, windows: Tensor) -> Tensor:
        return _token_losses(model, parameters, windows)

    losses: Tensor = vmap(losses_of_one)(stack, windows)
    return losses


def coalition_log_likelihood(
    stack: Stack, windows: np.ndarray, prompt: int
) -> np.ndarray:
    """Return ln p of the tokens after the prompts by each model, (models, T).

    windows: (n, length), the first `prompt` tokens given; T = n * (length - prompt).
    """
    models = len(stack[EMBEDDING])
    found = []
    with torch.no_grad():
        for part in torch.split(torch.from_numpy(windows), WINDOWS_AT_ONCE):
            losses = token_losses(stack, part.expand(models, *part.shape))
            found.append(-losses[:, :, prompt - 1 :].double())
    return torch.cat(found, 1).flatten(1).numpy()


def window_gradients(stack: Stack, windows: np.ndarray, prompt: int = 1) -> Tensor:
    """Return the gradient of each window's mean loss after the prompt, (n, parameters).

    stack: of one model. windows: (n, length).
    """
    model = _transformer(stack[EMBEDDING].shape[1])
    one = {name: values[0] for name, values in stack.items()}

    def loss(parameters: Stack, window: Tensor) -> Tensor:
        return _token_losses(model, parameters, window[None])[:, prompt - 1 :].mean()

    each = vmap(grad(loss), in_dims=(None, 0), chunk_size=WINDOWS_AT_ONCE)
    gradients = each(one, torch.from_numpy(windows))
    return torch.cat([part.flatten(1) for part in gradients.values()], 1)


def draw_batch(texts: Sequence[Tensor], inside: Tensor, generator: Generator) -> Tensor:
    """Return windows (models, BATCH, CONTEXT), each from an author in the coalition.

    All models that can read the same window. texts: each author's tokens. inside:
    (models, authors), True for the coalition's members.
    """
    drawn = []  # of each author, BATCH windows
    for text in texts:
        starts = torch.rand(BATCH, generator=generator) * (len(text) - CONTEXT)
        places = starts.long()[:, None] + torch.arange(CONTEXT)
        drawn.append(text[places])
    windows = torch.stack(drawn)  # (authors, BATCH, CONTEXT)
    # The largest of log length + Gumbel noise falls on an author as often as its length
    # says, in any coalition (the Gumbel-max trick).
    lengths = torch.tensor([math.log(len(text)) for text in texts])
    gumbel = -torch.rand(len(texts), BATCH, generator=generator).log().neg().log()
    rank = lengths[:, None] + gumbel  # (authors, BATCH)
    allowed = rank.where(inside[:, :, None], -math.inf)  # (models, authors, BATCH)
    chosen = allowed.argmax(1)  # (models, BATCH)
    return windows[chosen, torch.arange(BATCH)]


@lru_cache(8)
def _transformer(vocabulary: int, seed: int = 0) -> LlamaForCausalLM:
    """Return the transformer that all models are built like, untrained."""
    # Eager attention, because vmap has no rule for the fused one and would loop. The
    # weights start larger than usual (0.02): a model this narrow then learns faster.
    return small_transformer(
        vocabulary,
        length=CONTEXT,
        width=32,
        heads=2,
        layers=2,
        seed=seed,
        tie_word_embeddings=True,
        initializer_range=0.1,
        attn_implementation="eager",
    )


def _token_losses(
    model: LlamaForCausalLM, parameters: Stack, windows: Tensor
) -> Tensor:
    """Return one model's -ln p of every token but the first, (batch, length - 1)."""
    inputs, targets = windows[:, :-1], windows[:, 1:]
    settings = {"use_cache": False}
    logits = functional_call(model, parameters, (inputs,), settings).logits
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return losses.view(targets.shape)


def _learning_rate(step: int, steps: int) -> float:
    """Rise over the first steps, and fall to zero over the second half."""
    rise, fall = (step + 1) / WARMUP_STEPS, 2 * (1 - step / steps)
    return LEARNING_RATE * min(rise, 1.0, fall)


def _checked_coalitions(
    libraries: Sequence[Documents], members: Any
) -> tuple[Tensor, list[Tensor]]:
    """Return the coalitions (models, authors), and each author's tokens in one row."""
    inside = torch.as_tensor(np.asarray(members, dtype=bool))
    authors = len(libraries)
    require(
        inside.ndim == 2 and inside.shape[1] == authors and inside.any(1).all(),
        f"members must be (models, {authors}), each with at least one; "
        f"got {tuple(inside.shape)}",
    )
    lengths = [sum(len(tokens) for tokens in documents) for documents in libraries]
    require(
        min(lengths) > CONTEXT,
        f"libraries must hold more than {CONTEXT} tokens each; got {min(lengths)}",
    )
    return inside, [torch.from_numpy(np.concatenate(each)) for each in libraries]
