"""How does torch.func see a model? As a function of one flat vector of parameters.

Every score here needs the gradient of each example's loss. `FlatModel` holds a model,
its loss and the examples together, checks that they fit, and computes gradients in
blocks, so that memory stays bounded however many examples there are.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from smallscale.attribution.scores.examples import (
    Examples,
    as_examples,
    finite_points,
)
from smallscale.attribution.scores.loss_checks import AT_ONCE, Loss, check_losses
from smallscale.attribution.scores.model_checks import (
    NO_SLOPE,
    check_gradients,
    check_model,
    copied,
    explained,
)
from smallscale.attribution.scores.rounding import (
    ROUGH,
    Rounded,
    moved_as_stored,
    slope_change,
    slope_noise,
    stored_type,
)
from smallscale.core.validation import require

BY_FUNC = "model and loss must be differentiable by torch.func"
BLOCK_NUMBERS = 2**25  # numbers in one block of gradients: 128 MiB in single precision


class FlatModel:
    """A model's outputs and losses as functions of a flat vector of parameters (p,).

    The model is a copy in eval mode. Only parameters that require a gradient count: a
    frozen one was not trained.

    model: the copy. parameters: (p,), the values that it has. train, test: the
    examples, as tensors of the model's type. dtype: the type to compute in; None: the
    model's own, or single precision where it is a half one, in which gradients round
    away.
    Raises ValueError for examples that do not fit, and for a loss that is not one
    finite value per example, naming the training or test point.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        train: Any,
        test: Any,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_model("model", model)
        check_gradients(model)
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
        self.parameters = flat.to(dtype or scores_type(model))
        self._stored = [stored_type(value.detach()) for value in trained.values()]
        self.loss = loss
        self.train = as_examples("train", train, self.parameters)
        self.test = as_examples("test", test, self.parameters)
        frozen = copied(model).to(self.parameters.dtype).requires_grad_(False)
        self.model = frozen.eval()

        def answer(inputs: Tensor) -> Tensor:
            return self.outputs(self.parameters, inputs)

        check_losses("train", answer, loss, self.train)
        check_losses("test", answer, loss, self.test)
        with torch.enable_grad():
            at = self.parameters.clone().requires_grad_()
            outputs = self.outputs(at, self.train[0][:1])
        require(outputs.requires_grad, NO_SLOPE)

    def outputs(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """Return the model's outputs for inputs (n, ...)."""
        sizes = [shape.numel() for shape in self._shapes.values()]
        pieces = torch.split(parameters, sizes)
        named = {
            name: piece.view(shape)
            for (name, shape), piece in zip(self._shapes.items(), pieces, strict=True)
        }
        outputs: Tensor = functional_call(self.model, named, (inputs,))
        return outputs

    def losses(self, parameters: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example, (n,)."""
        with explained(BY_FUNC):
            losses = self.loss(self.outputs(parameters, inputs), targets)
        return losses.reshape(-1)

    def gradients(self, examples: Examples, parameters: Tensor | None = None) -> Tensor:
        """Return the gradient of each example's loss, one a row, (n, p)."""

        def loss_of_one(parameters: Tensor, x: Tensor, y: Tensor) -> Tensor:
            return self.losses(parameters, x[None], y[None]).sum()

        at = self.parameters if parameters is None else parameters
        each = vmap(
            grad(loss_of_one), in_dims=(None, 0, 0), chunk_size=self.block_length()
        )
        with explained(BY_FUNC):
            rows: Tensor = each(at, *examples)
        return rows

    def test_gradients(self, parameters: Tensor | None = None) -> Tensor:
        """Return the gradient of each test loss, (n_test, p), once all are finite.

        Warns of those that are rounding, and so of scores that are.
        """
        rows = self.gradients(self.test, parameters)
        finite_points("test", rows, what="gradient")
        self.check_test_slopes(parameters)
        return rows

    def check_test_slopes(self, parameters: Tensor | None = None) -> None:
        """Warn of test points the slope of whose loss is rounding."""
        computed, stored, sizes = self.slope_noise(self.test, parameters)
        self._warn_of_rounding("test", computed > ROUGH * sizes, stored > ROUGH * sizes)

    def slope_noise(
        self, examples: Examples, parameters: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return how much of each example's slope is rounding, and the slope's size.

        That is rounding as it is computed here, and by the type that the parameters
        were stored in, where it is a coarser one: no training ends between its numbers.
        Other parameters than the model's are taken to be as fine as they are.
        """
        at = self.parameters if parameters is None else parameters
        kinds = self._stored if parameters is None else [at.dtype] * len(self._shapes)
        is_coarser = any(kind != at.dtype for kind in kinds)
        sizes = [shape.numel() for shape in self._shapes.values()]
        moved = moved_as_stored(torch.split(at, sizes), kinds) if is_coarser else []
        found = []
        with explained(BY_FUNC):
            blocks = [torch.split(part, AT_ONCE) for part in examples]
            for inputs, targets in zip(*blocks, strict=True):
                with torch.no_grad():
                    outputs = self.outputs(at, inputs)
                    others = [self.outputs(values, inputs) for values in moved]
                with torch.no_grad(), Rounded():  # the parameters are rounded too
                    again = self.outputs(at * 1, inputs)
                noise, size = slope_noise(self.loss, outputs, targets, again)
                change = slope_change(self.loss, outputs, targets, others)
                found.append((noise, change, size))
        computed, stored, slopes = map(torch.cat, zip(*found, strict=True))
        return computed, stored, slopes

    def check_train_slopes(self, *, all_of_them: bool = True) -> None:
        """Warn where the slope of the loss is rounding for all training points.

        all_of_them: False where one such point is enough to spoil the others' scores.
        """
        computed, stored, sizes = self.slope_noise(self.train)
        rough = [noise > ROUGH * sizes for noise in (computed, stored)]
        if all_of_them:  # also where one happens to be rounded twice alike
            rough = [
                (noise.norm() > ROUGH * sizes.norm()).expand(len(sizes))
                for noise in (computed, stored)
            ]
        self._warn_of_rounding("train", *rough)

    def _warn_of_rounding(self, name: str, computed: Tensor, stored: Tensor) -> None:
        """computed, stored: which points are rounding (n,), as computed and stored."""
        rough = computed | stored
        if not rough.any():
            return
        which = "training" if name == "train" else name
        types = [*self._stored, self.parameters.dtype] if stored.any() else []
        coarsest = max(types, key=lambda kind: torch.finfo(kind).eps, default=None)
        kind = str(coarsest or self.parameters.dtype).removeprefix("torch.")
        cure = "leave them out" if name == "test" else "train with more weight_decay"
        if stored.any():
            cure += ", or train in double precision"
        elif kind != "float64":
            cure += ", or compute in double precision"
        warnings.warn(
            f"the scores of {int(rough.sum())} of {len(rough)} {which} points, such as "
            f"{which} point {int(rough.int().argmax())}, are rounding: the model fits "
            f"them as exactly as {kind} tells, so the slope of their loss is rounding; "
            + cure,
            stacklevel=4,
        )

    def train_gradients(self) -> Iterator[tuple[Examples, Tensor]]:
        """Return the training examples in blocks, each with its finite gradients."""
        first = 0
        for block in self.blocks(self.train):
            rows = self.gradients(block)
            finite_points("train", rows, what="gradient", first=first)
            first += len(rows)
            yield block, rows

    def train_products(self, directions: Tensor) -> Tensor:
        """Return every training gradient times directions (p, k), (n_train, k)."""
        return torch.cat([rows @ directions for _, rows in self.train_gradients()])

    def blocks(self, examples: Examples, vectors: int = 1) -> Iterator[Examples]:
        """Cut examples into blocks. vectors: how many vectors (p,) an example needs."""
        length = self.block_length(vectors)
        return zip(*(torch.split(part, length) for part in examples), strict=True)

    def block_length(self, vectors: int = 1) -> int:
        """Return how many examples are in a block."""
        return max(1, BLOCK_NUMBERS // (vectors * len(self.parameters)))


def as_scores(values: Tensor, model: nn.Module) -> Tensor:
    """Return scores (n_train, n_test) in the model's type, once all are finite.

    Finite gradients may have products beyond the range of that type.
    """
    scores = values.to(scores_type(model))
    finite_points("train", scores, what="score")
    return scores


def scores_type(model: nn.Module) -> torch.dtype:
    """Return the type of the model's scores: its parameters', at least single."""
    kind = torch.float32
    for value in model.parameters():
        if value.requires_grad:
            kind = torch.promote_types(kind, value.dtype)
    return kind
