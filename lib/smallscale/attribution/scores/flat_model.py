"""How does torch.func see a model? As a function of one flat vector of parameters.

Every score here needs the gradient of each example's loss. `FlatModel` holds a model,
its loss and the examples together, checks that they fit, and computes gradients in
blocks, so that memory stays bounded however many examples there are.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from smallscale.core.validation import as_tensor, finite, require, same_length

Loss = Callable[[Tensor, Tensor], Tensor]  # (outputs, targets) -> a value per example
Examples = tuple[Tensor, Tensor]  # inputs and targets, of the same length
Models = nn.Module | Sequence[nn.Module]

BLOCK_NUMBERS = 2**25  # numbers in one block of gradients: 128 MiB in single precision


class FlatModel:
    """A model's outputs and losses as functions of a flat vector of parameters (p,).

    The model is a copy in eval mode. Only parameters that require a gradient count: a
    frozen one was not trained.

    parameters: (p,), the values that the model has. train, test: the examples, as
    tensors of the model's type. dtype: the type to compute in; None: the model's own.
    Raises ValueError for examples that do not fit, and for a loss that is not one
    finite value per example, which is tried on a few test examples.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        train: Any,
        test: Any,
        dtype: torch.dtype | None = None,
    ) -> None:
        trained = {
            name: value
            for name, value in model.named_parameters()
            if value.requires_grad
        }
        require(
            trained,
            "model must have parameters that require a gradient; none does, "
            "so nothing was trained",
        )
        self._shapes = {name: value.shape for name, value in trained.items()}
        flat = torch.cat([value.detach().flatten() for value in trained.values()])
        self.parameters = flat.to(dtype)
        self.loss = loss
        self.train = as_examples("train", train, self.parameters)
        self.test = as_examples("test", test, self.parameters)
        frozen = copy.deepcopy(model).to(self.parameters.dtype).requires_grad_(False)
        self._model = frozen.eval()
        self._try_loss()

    def outputs(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """Return the model's outputs for inputs (n, ...)."""
        sizes = [shape.numel() for shape in self._shapes.values()]
        pieces = torch.split(parameters, sizes)
        named = {
            name: piece.view(shape)
            for (name, shape), piece in zip(self._shapes.items(), pieces, strict=True)
        }
        outputs: Tensor = functional_call(self._model, named, (inputs,))
        return outputs

    def losses(self, parameters: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example, (n,)."""
        return self.loss(self.outputs(parameters, inputs), targets).reshape(-1)

    def gradients(self, examples: Examples, parameters: Tensor | None = None) -> Tensor:
        """Return the gradient of each example's loss, one a row, (n, p)."""

        def loss_of_one(parameters: Tensor, x: Tensor, y: Tensor) -> Tensor:
            return self.losses(parameters, x[None], y[None]).sum()

        at = self.parameters if parameters is None else parameters
        each = vmap(
            grad(loss_of_one), in_dims=(None, 0, 0), chunk_size=self.block_length()
        )
        rows: Tensor = each(at, *examples)
        return rows

    def train_products(self, directions: Tensor) -> Tensor:
        """Return every training gradient times directions (p, k), (n_train, k)."""
        blocks = self.blocks(self.train)
        return torch.cat([self.gradients(block) @ directions for block in blocks])

    def blocks(self, examples: Examples, vectors: int = 1) -> Iterator[Examples]:
        """Cut examples into blocks. vectors: how many vectors (p,) an example needs."""
        length = self.block_length(vectors)
        return zip(*(torch.split(part, length) for part in examples), strict=True)

    def block_length(self, vectors: int = 1) -> int:
        """Return how many examples are in a block."""
        return max(1, BLOCK_NUMBERS // (vectors * len(self.parameters)))

    def _try_loss(self) -> None:
        # A mean and a value per example look alike for one example, so the loss is
        # tried on two examples at least.
        inputs, targets = (torch.cat([part[:3], part[:3]]) for part in self.test)
        outputs = self.outputs(self.parameters, inputs)
        losses = as_losses(self.loss(outputs, targets), len(inputs))
        require(
            losses.isfinite().all(),
            "loss must be finite; for the first test examples it is NaN or infinite",
        )


def as_models(models: Models) -> list[nn.Module]:
    """Return one model or several as a list."""
    found = [models] if isinstance(models, nn.Module) else list(models)
    require(found, "models must hold at least one model; got none")
    return found


def as_examples(name: str, examples: Any, like: Tensor | None = None) -> Examples:
    """Return a pair (inputs, targets) as tensors of the same length; see `as_type_of`.

    Raises ValueError, naming `name`, for what is no such pair, or not finite.
    """
    pair = isinstance(examples, (tuple, list)) and len(examples) == 2
    kind = type(examples).__name__
    require(pair, f"{name} must be a pair (inputs, targets); got {kind}")
    inputs = as_tensor(f"{name} inputs", examples[0]).detach()
    targets = as_tensor(f"{name} targets", examples[1]).detach()
    parts = {f"{name} inputs": inputs, f"{name} targets": targets}
    for part, values in parts.items():
        require(values.dim(), f"{part} must be a list; got a single value")
    same_length(**parts)
    for part, values in parts.items():
        finite(part, values)
    return as_type_of(inputs, like), as_type_of(targets, like)


def as_losses(values: Any, n: int) -> Tensor:
    """Return what a loss gave for n examples as (n,); ValueError for another number."""
    losses = torch.as_tensor(values)
    require(
        losses.dim() and losses.numel() == n,
        f"loss must return one value per example, ({n},) for {n} examples; "
        f"got {tuple(losses.shape)}: use reduction='none'",
    )
    return losses.reshape(-1)


def as_type_of(values: Any, like: Tensor | None) -> Tensor:
    """Return values on the device of `like`, and floating ones in its type.

    Whole numbers become int64, which labels and tokens are. None: nothing changes.
    """
    tensor = torch.as_tensor(values).detach()
    if like is None:
        return tensor
    if tensor.is_floating_point():
        return tensor.to(like)
    keeps_type = tensor.dtype == torch.bool or tensor.is_complex()
    return tensor.to(like.device, tensor.dtype if keeps_type else torch.int64)
