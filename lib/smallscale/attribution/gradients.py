"""Which way would one example push the parameters? Gradients per example, and the scores that need nothing more.

Scores of every method here are (n_train, n_test), and positive where the training example helps: without it the test
loss would be higher. `grad_dot` asks whether two examples push the same way (Charpiat et al. 2019); `tracin` sums that
over the checkpoints of a training run (Pruthi et al. 2020).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from smallscale.training import eval_mode

Loss = Callable[[Tensor, Tensor], Tensor]  # (outputs, targets) -> a value per example
Examples = tuple[Tensor, Tensor]  # inputs and targets, as many of each
Models = nn.Module | Sequence[nn.Module]

AT_ONCE = 2**25  # numbers in one block of gradients: memory stays bounded however many examples there are


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-log softmax(logits)[label], (n,), of logits (n, classes): a value per example, as every method wants it.

    The same as torch's with reduction="none", which costs a stack of small trainings a fifth more.
    """
    return logits.logsumexp(-1) - logits.gather(-1, labels[..., None]).squeeze(-1)


def grad_dot(model: nn.Module, loss: Loss, train: Any, test: Any) -> Tensor:
    """The dot product of the two examples' loss gradients, scores (n_train, n_test).

        scores[i, j] = g_j . g_i,   g = the gradient of one example's loss to all trained parameters

    A small step down the loss of example i lowers that of example j by the step's length times this.
    train, test: (inputs, targets). loss(outputs, targets): a value per example, such as `cross_entropy`.
    Raises ValueError for examples or a loss that cannot be.
    """
    return tracin([model], loss, train, test)


def tracin(models: Models, loss: Loss, train: Any, test: Any, *, lrs: Sequence[float] | None = None) -> Tensor:
    """TracInCP (Pruthi et al. 2020, section 3.2): gradient products, summed over checkpoints; (n_train, n_test).

        scores[i, j] = sum over checkpoints k of lr_k * g_j(theta_k) . g_i(theta_k)

    models: the checkpoints, one or several; lrs: the learning rate at each; None counts each as 1.
    train, test, loss: as for `grad_dot`. Raises ValueError as it does, and for lrs that are not one a model.
    """
    models = as_models(models)
    rates = [1.0] * len(models) if lrs is None else [float(lr) for lr in lrs]
    if len(rates) != len(models) or not all(isfinite(lr) and lr >= 0 for lr in rates):
        raise ValueError(f"lrs must be a number of at least 0 for each of {len(models)} models; got {rates}")
    products = []
    for model, lr in zip(models, rates, strict=True):
        with attributable(model, loss, train, test) as frame:
            towards = frame.gradients(frame.test)  # (n_test, p)
            products.append(lr * frame.train_products(towards.T))
    return torch.stack(products).sum(0)


class Frame:
    """A model, a loss and examples as torch.func wants them: functions of a flat vector of parameters (p,).

    Only parameters that require a gradient count: a frozen one was not trained. theta: (p,), where they stand.
    """

    def __init__(self, model: nn.Module, loss: Loss, train: Examples, test: Examples, dtype: torch.dtype) -> None:
        self.model, self.loss = model, loss
        self.train, self.test = ((cast(inputs, dtype), cast(targets, dtype)) for inputs, targets in (train, test))
        trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
        self.shapes = {name: p.shape for name, p in trained.items()}
        self.theta = torch.cat([p.flatten() for p in trained.values()]).to(dtype)
        self.fixed = {
            name: cast(value.detach(), dtype)
            for name, value in (*model.named_parameters(), *model.named_buffers())
            if name not in trained
        }

    def named(self, theta: Tensor) -> dict[str, Tensor]:
        """The flat vector (p,) as the model's parameters by name."""
        pieces = theta.split([shape.numel() for shape in self.shapes.values()])
        return {name: piece.view(shape) for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)}

    def outputs(self, theta: Tensor, x: Tensor) -> Tensor:
        """The model's outputs for inputs (n, ...)."""
        return functional_call(self.model, {**self.fixed, **self.named(theta)}, (x,))

    def total(self, theta: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """The sum of the examples' losses, ()."""
        return self.loss(self.outputs(theta, x), y).sum()

    def one(self, theta: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """The loss of a single example, ()."""
        return self.total(theta, x[None], y[None])

    def losses(self, examples: Examples) -> Tensor:
        """A value per example, (n,)."""
        return self.loss(self.outputs(self.theta, examples[0]), examples[1]).flatten()

    def gradients(self, examples: Examples, theta: Tensor | None = None) -> Tensor:
        """One gradient a row, (n, p)."""
        theta = self.theta if theta is None else theta
        return vmap(grad(self.one), in_dims=(None, 0, 0), chunk_size=self.chunk())(theta, *examples)

    def train_products(self, directions: Tensor) -> Tensor:
        """Every training gradient times directions (p, k), (n_train, k), a block of examples at a time."""
        return torch.cat([self.gradients(part) @ directions for part in self.parts(self.train)])

    def parts(self, examples: Examples, each: int = 1) -> Iterator[Examples]:
        """The examples in blocks; each: how many vectors (p,) an example needs."""
        return zip(*(part.split(self.chunk(each)) for part in examples), strict=True)

    def chunk(self, each: int = 1) -> int:
        return max(1, AT_ONCE // (each * len(self.theta)))


@contextmanager
def attributable(
    model: nn.Module, loss: Loss, train: Any, test: Any, dtype: torch.dtype | None = None
) -> Iterator[Frame]:
    """Model, loss and examples, checked; inside, the model is in eval mode and no gradient is recorded.

    dtype: to compute in; None: the model's own.
    """
    like = next((p for p in model.parameters() if p.requires_grad), None)
    if like is None:
        raise ValueError("model must have parameters that require a gradient; without any, nothing was trained")
    pairs = as_examples("train", train, like.device), as_examples("test", test, like.device)
    with eval_mode(model), torch.no_grad():
        frame = Frame(model, loss, *pairs, dtype or like.dtype)
        check_loss(frame)
        yield frame


def as_models(models: Models) -> list[nn.Module]:
    """One model or several, as a list."""
    found = [models] if isinstance(models, nn.Module) else list(models)
    if not found:
        raise ValueError("models must hold at least one model; got none")
    return found


def as_examples(name: str, examples: Any, device: torch.device | str = "cpu") -> Examples:
    """Inputs and targets as tensors, as many of each; ValueError, naming `name`, for what cannot be."""
    if not isinstance(examples, (tuple, list)) or len(examples) != 2:
        raise ValueError(f"{name} must be a pair (inputs, targets); got {type(examples).__name__}")
    inputs, targets = (torch.as_tensor(part).detach().to(device) for part in examples)
    if inputs.dim() == 0 or targets.dim() == 0 or len(inputs) != len(targets) or len(inputs) == 0:
        counts = " and ".join(str(len(part)) if part.dim() else "a single value" for part in (inputs, targets))
        raise ValueError(f"{name} must hold as many inputs as targets, at least 1; got {counts}")
    for what, part in (("inputs", inputs), ("targets", targets)):
        if part.is_floating_point() and not part.isfinite().all():
            raise ValueError(f"{name} {what} must be finite; some are NaN or infinite")
    return inputs, targets


def check_loss(frame: Frame) -> None:
    """Raise ValueError where the loss is no finite value per example; asked of a few examples."""
    x, y = (part[:3] for part in frame.test)
    # Of one example a mean and a value per example look alike: the check asks about two at least.
    x, y = (torch.cat([part, part]) for part in (x, y))
    values = per_example(frame.loss(frame.outputs(frame.theta, x), y), len(x))
    if not values.isfinite().all():
        raise ValueError("loss must be finite; for the first test examples it is NaN or infinite")


def per_example(values: Any, n: int) -> Tensor:
    """The loss's values as (n,); ValueError where they are not as many."""
    values = torch.as_tensor(values)
    if values.dim() == 0 or values.numel() != n:
        raise ValueError(
            f"loss must return a value per example, ({n},) for {n} examples; got {tuple(values.shape)}: "
            "use reduction='none'"
        )
    return values.reshape(-1)


def cast(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Floating values in the type to compute in; whole numbers as int64, which labels and tokens are."""
    if values.is_floating_point():
        return values.to(dtype)
    return values if values.dtype == torch.bool or values.is_complex() else values.long()
