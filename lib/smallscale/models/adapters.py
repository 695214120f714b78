"""How is a large model trained where only a small change fits? Low-rank adapters.

Hu et al. 2021 (LoRA). The model's own weights stay as they are; beside some of its
linear layers stands a product of two thin matrices, and only these are trained. Without
them the model is what it was, so one model serves as policy and as reference.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from smallscale.core.seeds import seeded
from smallscale.core.validation import finite_number, require, whole_number

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


class LowRank(nn.Module):
    """A linear layer with an adapter (Hu et al. 2021, equation 3):
        h = W x + b + (alpha / r) B A x
    W: (out, in), frozen. A: (r, in), random at first. B: (out, r), zero at first, so
    that the layer begins as it was.
    """

    def __init__(self, linear: nn.Linear, *, rank: int, alpha: float) -> None:
        super().__init__()
        self.linear = linear
        # In float32 also beside weights of 16 bits, which small steps would not move.
        like = linear.weight.new_zeros(0, dtype=torch.float32)
        self.A = nn.Parameter(like.new_empty(rank, linear.in_features))
        self.B = nn.Parameter(like.new_zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.A, a=5**0.5)  # as nn.Linear begins
        self.scale = alpha / rank
        self.active = True

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.linear(x)
        if not self.active:
            return h
        change = (x.to(self.A.dtype) @ self.A.T) @ self.B.T  # B A x
        return h + (self.scale * change).to(h.dtype)

    def change(self) -> Tensor:
        """Return what the adapter adds to W, (out, in)."""
        return self.scale * self.B @ self.A


def add_adapters(
    model: nn.Module,
    *,
    rank: int = 8,
    alpha: float = 16.0,
    targets: Sequence[str] = ATTENTION,
    seed: int = 0,
) -> list[nn.Parameter]:
    """Put adapters beside a model's linear layers, in place; return what is trained.

    targets: the last parts of the layers' names; the default names the attention of a
    Llama. All other parameters are frozen. seed: of the first values of A.
    Raises ValueError where no linear layer has such a name, and for a model that has
    adapters.
    """
    rank = whole_number("rank", rank)
    alpha = finite_number("alpha", alpha, above=0)
    require(not adapters(model), "model has adapters already; merge them first")
    found = [
        (name, layer)
        for name, layer in model.named_modules()
        if name.rpartition(".")[2] in targets and isinstance(layer, nn.Linear)
    ]
    names = sorted(
        {
            name.rpartition(".")[2]
            for name, layer in model.named_modules()
            if isinstance(layer, nn.Linear)
        }
    )
    require(found, f"targets must name linear layers of the model: {', '.join(names)}")
    model.requires_grad_(False)
    with seeded(seed):
        for name, layer in found:
            _set(model, name, LowRank(layer, rank=rank, alpha=alpha))
    return [p for adapter in adapters(model) for p in (adapter.A, adapter.B)]


def adapters(model: nn.Module) -> list[LowRank]:
    """Return a model's adapters, in the order of its layers."""
    return [layer for layer in model.modules() if isinstance(layer, LowRank)]


@contextmanager
def without_adapters(model: nn.Module) -> Iterator[None]:
    """Let the model compute as it did before it had adapters."""
    before = [(adapter, adapter.active) for adapter in adapters(model)]
    for adapter, _ in before:
        adapter.active = False
    try:
        yield
    finally:
        for adapter, active in before:
            adapter.active = active


def merge_adapters(model: nn.Module) -> None:
    """Add each adapter's change to its layer's weights, in place, and remove it."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, LowRank):
            with torch.no_grad():
                layer.linear.weight += layer.change().to(layer.linear.weight.dtype)
            _set(model, name, layer.linear)


def adapter_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of the adapters' weights by name: what a training changed."""
    return {
        f"{i}.{name}": parameter.detach().cpu().clone()
        for i, adapter in enumerate(adapters(model))
        for name, parameter in (("A", adapter.A), ("B", adapter.B))
    }


def load_adapter_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Put weights that `adapter_weights` returned into a model's adapters.

    Raises ValueError where they are of other adapters.
    """
    own = adapter_weights(model)
    require(
        own.keys() == weights.keys()
        and all(own[name].shape == weights[name].shape for name in own),
        "weights must be those of as many adapters, of the same shapes",
    )
    with torch.no_grad():
        for i, adapter in enumerate(adapters(model)):
            adapter.A.copy_(weights[f"{i}.A"])
            adapter.B.copy_(weights[f"{i}.B"])


def _set(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Put a layer at this place of the model."""
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)
