"""Which optimizer trains a language model best? One track, one budget, one knob each.

What a run may spend is counted in passes, each a forward and a backward pass over one
batch, since a step of one optimizer may take more of them than a step of another.
"""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from smallscale.core.devices import place
from smallscale.core.validation import one_of, vectors, whole_number
from smallscale.models.transformer import small_transformer
from smallscale.training.language import (
    held_out_loss,
    next_token_loss,
    random_windows,
)
from smallscale.training.loop import minimise
from smallscale.training.optimizers import make_optimizer, warmup_cosine
from smallscale.training.update_rules import SophiaG

DECAY = 0.1  # decoupled, as in the recipes of GPT-3 and Sophia
CURVATURE_EVERY = 10  # steps of SophiaG, as in its paper
DEFAULT_BS = 5120  # of SophiaG.step
LONGEST_GRADIENT = 1.0  # longer ones are shortened, as in both recipes

# What each optimizer is given besides its rate.
SETTINGS: Mapping[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.9},
    "adam": {"betas": (0.9, 0.95)},
    "adamw": {"betas": (0.9, 0.95), "weight_decay": DECAY},
    "amsgrad": {"betas": (0.9, 0.95)},
    "sophiag": {"weight_decay": DECAY},
    "muon": {"weight_decay": DECAY, "adjust_lr_fn": "match_rms_adamw"},
}


@dataclass(frozen=True)
class Track:
    """What every run of a race is given alike.

    train: (tokens,) to learn from. judged: (tokens,) that the loss is measured on.
    vocabulary: how many tokens there are. passes: the budget of a run. batch: windows
    in a pass. length: tokens that are predicted in a window. width, layers, heads:
    of the transformer.
    """

    train: np.ndarray
    judged: np.ndarray
    vocabulary: int
    passes: int
    batch: int = 8
    length: int = 32
    width: int = 32
    layers: int = 2
    heads: int = 2

    def new_model(self, seed: int) -> nn.Module:
        """Return the transformer before its first step."""
        model = small_transformer(
            self.vocabulary,
            length=self.length,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            seed=seed,
        )
        return place(model)


class _Diverged(ArithmeticError):
    """The loss of a batch is NaN or infinite."""


def run(
    track: Track, name: str, lr: float, *, seed: int, looks: int = 1, rho: float = 0.04
) -> dict[str, Any]:
    """Train one model with one optimizer at one peak rate, within the track's passes.

    name: one of SETTINGS. lr: the rate rises for a tenth of the steps, then falls along
    half a cosine. seed: of the first weights and of the batches; runs with the same
    seed start alike and read the same batches, whatever the optimizer.
    looks: how often the judged tokens are looked at, the last time at the end.
    rho: of SophiaG.
    Returns loss, in nats a token on the judged tokens at the end, infinite where the
    training diverged; passes, (looks,) spent when they were looked at, and losses
    there; steps; seconds, without the looks.
    Raises ValueError for a name that is not among SETTINGS, and a rate below 0.
    """
    steps = steps_within(track.passes, name)
    model = track.new_model(seed)
    tokens = track.batch * track.length
    optimizers = optimizers_for(model, name, lr, tokens=tokens, rho=rho)
    first = optimizers[0]
    first.register_step_pre_hook(partial(_clip, list(model.parameters())))
    train = torch.as_tensor(track.train)
    labels_chance = Generator(next(model.parameters()).device).manual_seed(seed)
    diary = _Diary(track, model, steps, whole_number("looks", looks))

    def loss(generator: Generator) -> Tensor:
        diary.look_if_due()
        windows = random_windows(train, track.batch, track.length + 1, generator)
        if isinstance(first, SophiaG) and diary.steps % CURVATURE_EVERY == 0:
            see_curvature(model, first, windows, labels_chance)
            diary.passes += 1
        value = next_token_loss(model, windows)
        if not value.isfinite():
            raise _Diverged
        diary.steps += 1
        diary.passes += 1
        return value

    rates = [warmup_cosine(optimizer, steps) for optimizer in optimizers]
    began = perf_counter()
    with suppress(_Diverged):
        minimise(model, loss, *rates, steps=steps, seed=seed)
        diary.look_if_due()
    return diary.record(perf_counter() - began)


class _Diary:
    """What a run has spent, and what was seen when it was looked at."""

    def __init__(self, track: Track, model: nn.Module, steps: int, looks: int) -> None:
        self.track = track
        self.model = model
        self.due = np.linspace(0, steps, looks + 1)[1:].round().astype(int).tolist()
        self.steps = 0
        self.passes = 0
        self.seen: list[tuple[int, float]] = []
        self.looking = 0.0  # seconds

    def look_if_due(self) -> None:
        """Measure the loss on the judged tokens, if as many steps were taken."""
        if self.steps not in self.due:
            return
        began = perf_counter()
        loss = held_out_loss(self.model, self.track.judged, self.track.length + 1)
        self.seen.append((self.passes, loss if math.isfinite(loss) else math.inf))
        self.looking += perf_counter() - began

    def record(self, seconds: float) -> dict[str, Any]:
        """Return what `run` returns."""
        finished = self.steps == self.due[-1] and len(self.seen) > 0
        return {
            "loss": self.seen[-1][1] if finished else math.inf,
            "passes": [passes for passes, _ in self.seen],
            "losses": [loss for _, loss in self.seen],
            "steps": self.steps,
            "seconds": seconds - self.looking,
        }


def _clip(parameters: list[Tensor], *_: Any) -> None:
    """Shorten the gradient of all parameters together to LONGEST_GRADIENT."""
    nn.utils.clip_grad_norm_(parameters, LONGEST_GRADIENT)


def steps_within(passes: int, name: str) -> int:
    """Return how many steps fit into so many passes.

    A step takes one pass, and SophiaG another one every CURVATURE_EVERY steps, from the
    first on.

    >>> steps_within(110, "adamw"), steps_within(110, "sophiag")
    (110, 100)
    """
    passes = whole_number("passes", passes, least=2)
    if one_of("name", name, SETTINGS) != "sophiag":
        return passes
    rounds, left = divmod(passes, CURVATURE_EVERY + 1)
    return CURVATURE_EVERY * rounds + max(0, left - 1)


def optimizers_for(
    model: nn.Module, name: str, lr: float, *, tokens: int, rho: float = 0.04
) -> list[Optimizer]:
    """Return what trains a transformer under this name, at one rate.

    Muon takes the matrices inside the blocks, and AdamW the embeddings, the head and
    the vectors. tokens: predicted in a batch, and rho, both for SophiaG.
    """
    settings = dict(SETTINGS[one_of("name", name, SETTINGS)])
    parameters = dict(model.named_parameters())
    if name == "sophiag":
        # The rule knows only the product of rho and bs, and bs is left at its default.
        settings["rho"] = rho * tokens / DEFAULT_BS
    if name != "muon":
        return [make_optimizer(name, parameters.values(), lr=lr, **settings)]
    matrices = [
        each for key, each in parameters.items() if each.ndim == 2 and "layers" in key
    ]
    inside = {id(each) for each in matrices}
    rest = [each for each in parameters.values() if id(each) not in inside]
    return [
        make_optimizer("muon", matrices, lr=lr, **settings),
        make_optimizer("adamw", rest, lr=lr, **SETTINGS["adamw"]),
    ]


def see_curvature(
    model: nn.Module, sophia: SophiaG, windows: Tensor, generator: Generator
) -> None:
    """Show SophiaG the curvature at one batch (Liu et al. 2024, algorithm 2).

    The labels are drawn from the model's own distribution, not taken from the text:
    then bs g^2 estimates the diagonal of the Gauss-Newton matrix. It costs a pass.
    windows: (batch, length + 1) tokens. The gradients are clear afterwards.
    """
    logits = model(windows[:, :-1]).logits.flatten(0, 1)  # (tokens, vocabulary)
    drawn = torch.multinomial(logits.detach().softmax(1), 1, generator=generator)
    torch.autograd.backward(F.cross_entropy(logits, drawn.flatten()))
    sophia.update_hessian()
    model.zero_grad()


def passes_needed(passes: Any, losses: Any, goal: float) -> float:
    """Return the budget at which training would reach a loss.

    passes: (n,) budgets from small to large, of at least two runs. losses: (n,) at
    their ends. Between two budgets the loss is taken as a line over the logarithm of
    the budget. Infinite where no budget reached the goal; the smallest budget where it
    did. Raises ValueError for lengths that differ, and what is not (n,).

    >>> round(passes_needed([100, 200, 400], [5.0, 4.0, 3.5], 4.5))
    141
    >>> passes_needed([100, 200], [5.0, 4.0], 3.9)
    inf
    """
    spent, ended = vectors(passes=passes, losses=losses)
    budgets = np.log(spent)
    reached = np.minimum.accumulate(ended)
    if not reached[-1] <= goal:
        return math.inf
    # np.interp takes rising values.
    return float(np.exp(np.interp(-goal, -reached, budgets)))
