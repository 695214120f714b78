"""Can a transformer learn to learn? It reads examples of a function, and goes on.

Garg, Tsipras, Liang and Valiant 2022, at a small scale: trained on prompts of fresh
functions, its weights hold no function, only a way of finding one.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn

from smallscale.core.seeds import seeded
from smallscale.core.validation import one_of, require
from smallscale.foundations.in_context.functions import draw_prompts
from smallscale.models.transformer import small_transformer
from smallscale.training.loop import minimise
from smallscale.training.optimizers import late_decay, make_optimizer

TOKENS = ("pairs", "alternating")
INNER_RATE, OUTER_RATE = (
    0.02,
    0.003,
)  # of Muon, for matrices, and of AdamW, for the rest
# (step, model) -> ()
Watch = Callable[[int, nn.Module], None]


class InContextRegressor(nn.Module):
    """Predicts y_i from x_1, y_1, …, x_{i-1}, y_{i-1} and x_i, for every i at once.

    tokens: "alternating" makes x_i and y_i tokens of their own, as the paper does;
    "pairs" makes one token of x_i and the example before it, which halves the length.
    The transformer is causal, so what it says of x_i cannot depend on y_i or on
    anything later.
    """

    def __init__(
        self,
        dimensions: int,
        points: int,
        *,
        width: int = 64,
        layers: int = 3,
        heads: int = 4,
        tokens: str = "pairs",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.dimensions = dimensions
        self.points = points
        self.tokens = one_of("tokens", tokens, TOKENS)
        pairs = tokens == "pairs"
        language_model = small_transformer(
            1,
            length=points if pairs else 2 * points,
            width=width,
            layers=layers,
            heads=heads,
            seed=seed,
            bos_token_id=0,
            eos_token_id=0,
            use_cache=False,
        )
        self.transformer = language_model.model
        with seeded(seed):
            size = 2 * dimensions + 1 if pairs else dimensions + 1
            self.read_in = nn.Linear(size, width)
            self.read_out = nn.Linear(width, 1)
        # It reads numbers: there are no words to look up.
        self.transformer.embed_tokens = None

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return predictions (n, points) for x (n, points, dimensions), y (n, points).

        Raises ValueError for other shapes and for more points than it was made for.
        """
        n, points, _ = self._checked_shape(x, y)
        if self.tokens == "pairs":  # x_i beside x_{i-1} and y_{i-1}
            example = torch.cat([x, y[..., None]], 2)[:, :-1]
            before = torch.cat([torch.zeros_like(example[:, :1]), example], 1)
            if points == 1:
                before = torch.zeros(n, 1, self.dimensions + 1).to(x)
            sequence = torch.cat([x, before], 2)
        else:  # (x_i, 0), then (0, y_i)
            inputs = torch.cat([x, torch.zeros_like(y)[..., None]], 2)
            answers = torch.cat([torch.zeros_like(x), y[..., None]], 2)
            sequence = torch.stack([inputs, answers], 2).flatten(1, 2)
        states = self.transformer(inputs_embeds=self.read_in(sequence))
        hidden = states.last_hidden_state
        if self.tokens == "alternating":
            hidden = hidden[:, ::2]  # where an input was read
        predictions: Tensor = self.read_out(hidden)[..., 0]
        return predictions

    def _checked_shape(self, x: Tensor, y: Tensor) -> tuple[int, int, int]:
        good = x.ndim == 3 and x.shape[2] == self.dimensions
        require(
            good and y.shape == x.shape[:2] and 1 <= x.shape[1] <= self.points,
            f"x must be (n, points, {self.dimensions}) with at most {self.points} "
            f"points, and y (n, points); got {tuple(x.shape)} and {tuple(y.shape)}",
        )
        n, points, dimensions = x.shape
        return n, points, dimensions


def train_regressor(
    model: InContextRegressor,
    *,
    steps: int,
    batch: int = 64,
    curriculum: bool = True,
    watch: Watch | None = None,
    every: int = 50,
    seed: int = 0,
    progress: str = "",
    **prompts: Any,
) -> InContextRegressor:
    """Minimise the mean squared error at every place of fresh prompts, in place.

    curriculum: begin with functions of one dimension and add one after each equal part
    of the first half, as the paper adds one every 2,000 steps.
    watch: called as watch(step, model) every so many steps, and at the end.
    prompts: what `draw_prompts` takes besides, such as kind="sparse".
    Muon trains the transformer's matrices and AdamW the rest. Returns the model in eval
    mode; the same seed gives the same model.
    """
    matrices, rest = _parameters(model)
    inner = make_optimizer("muon", matrices, lr=INNER_RATE)
    outer = make_optimizer("adamw", rest, lr=OUTER_RATE)
    rates = (late_decay(inner, steps), late_decay(outer, steps))
    taken = 0

    def loss(generator: Generator) -> Tensor:
        nonlocal taken
        if watch is not None and taken % every == 0:
            watch(taken, model.eval())
            model.train()
        drawn = draw_prompts(
            batch, model.points, model.dimensions, generator=generator, **prompts
        )
        x, y = drawn.x, drawn.shown
        if curriculum:
            # With the inputs beyond the first few 0, f is a function of those few.
            use = min(model.dimensions, 1 + 2 * model.dimensions * taken // steps)
            gone = x[..., use:]
            x = torch.cat([x[..., :use], torch.zeros_like(gone)], 2)
            w = drawn.w
            y = torch.einsum("npd,nd->np", x, w)
        taken += 1
        error: Tensor = (model(x, y) - y).square().mean()
        return error

    minimise(model, loss, *rates, steps=steps, seed=seed, progress=progress)
    if watch is not None:
        watch(steps, model)
    return model


def _parameters(model: InContextRegressor) -> tuple[list[Tensor], list[Tensor]]:
    """Return the matrices inside the transformer, and all other parameters."""
    matrices = [p for p in model.transformer.layers.parameters() if p.ndim == 2]
    inner = {id(p) for p in matrices}
    return matrices, [p for p in model.parameters() if id(p) not in inner]
