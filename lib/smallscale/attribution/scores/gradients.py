"""Which way would one example push the parameters? Gradients per example, and the scores that need nothing more.

Scores of every method here are (n_train, n_test), and positive where the training example helps: without it the test
loss would be higher. `grad_dot` asks whether two examples push the same way (Charpiat et al. 2019); `tracin` sums that
over the checkpoints of a training run (Pruthi et al. 2020); `trak` takes the network for a linear model of its
gradients (Park et al. 2023).
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call, grad, vmap

from smallscale.attribution.checks import (
    require,
    require_counts,
    require_finite,
    require_not_negative,
)

Loss = Callable[[Tensor, Tensor], Tensor]  # (outputs, targets) -> a value per example
Examples = tuple[Tensor, Tensor]  # inputs and targets, as many of each
Models = nn.Module | Sequence[nn.Module]

AT_ONCE = (
    2**25
)  # numbers in one block of gradients: memory stays bounded however many examples there are


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


def tracin(
    models: Models,
    loss: Loss,
    train: Any,
    test: Any,
    *,
    lrs: Sequence[float] | None = None,
) -> Tensor:
    """TracInCP (Pruthi et al. 2020, section 3.2): gradient products, summed over checkpoints; (n_train, n_test).

        scores[i, j] = sum over checkpoints k of lr_k * g_j(theta_k) . g_i(theta_k)

    models: the checkpoints, one or several; lrs: the learning rate at each; None counts each as 1.
    train, test, loss: as for `grad_dot`. Raises ValueError as it does, and for lrs that are not one a model.
    """
    models = as_models(models)
    rates = [1.0] * len(models) if lrs is None else [float(lr) for lr in lrs]
    fit = len(rates) == len(models) and all(0 <= lr < inf for lr in rates)
    require(
        fit,
        f"lrs must be a number of at least 0 for each of {len(models)} models; got {rates}",
    )
    frames = (Frame(model, loss, train, test) for model in models)
    products = [frame.train_products(frame.gradients(frame.test).T) for frame in frames]
    return torch.stack(
        [lr * product for lr, product in zip(rates, products, strict=True)]
    ).sum(0)


def trak(
    models: Models,
    loss: Loss,
    train: Any,
    test: Any,
    *,
    projection: int = 512,
    ridge: float = 0.0,
    seed: int = 0,
) -> Tensor:
    """TRAK (Park et al. 2023, eq. 17): logistic regression on projected gradients; scores (n_train, n_test).

        scores = (mean over models of Phi (Phi^T Phi + ridge I)^-1 phi_test) * (mean over models of 1 - p)
        phi = P^T grad f,   f = log(p / (1 - p)),   p = exp(-loss): the probability of the target

    The effect on the test example's f, on a scale of its own: it ranks, it is not money. loss must be minus the log
    of a probability, as cross-entropy is.
    models: one or several, trained alike from other seeds; their mean ranks better than any one.
    projection: columns of the random matrix P (p, projection); as many as there are parameters, or more: none is
    used. ridge: added to the diagonal of Phi^T Phi. seed: of P, another P for each model.
    Raises ValueError where Phi^T Phi has no inverse, and as `grad_dot` does.
    """
    models = as_models(models)
    require_counts(projection=projection)
    require_not_negative(ridge=ridge)
    generator, products, doubts = Generator().manual_seed(seed), [], []
    for model in models:
        # In double precision: where a target is nearly certain, all that counts is the little that is missing to 1.
        frame = Frame(model, loss, train, test, torch.float64)
        n, p = len(frame.train[0]), len(frame.theta)
        width = min(int(projection), p)
        words = f"projection must be below the number of training examples, {n}, or ridge above 0; got {width}"
        singular = f"a {width} x {width} matrix of {n} gradients is singular, and every score is noise"
        require(ridge > 0 or width < n, f"{words} and no ridge: {singular}")
        # A random matrix of entries 1/sqrt(width) keeps lengths and angles, nearly (Johnson, Lindenstrauss 1984).
        matrix = (
            torch.randn(p, width, generator=generator, dtype=torch.float64) / width**0.5
            if width < p
            else None
        )
        phi, phi_test = (
            _features(frame, examples, matrix) for examples in (frame.train, frame.test)
        )
        gram = phi.T @ phi
        gram.diagonal().add_(ridge)
        products.append(phi @ torch.linalg.solve(gram, phi_test.T))
        doubts.append(doubt(frame.losses(frame.theta, *frame.train)))
    scores = torch.stack(products).mean(0) * torch.stack(doubts).mean(0)[:, None]
    return scores.to(next(models[0].parameters()).dtype)


class Frame:
    """A model, a loss and examples as torch.func wants them: functions of a flat vector of parameters (p,).

    The model is a copy in eval mode. Only parameters that require a gradient count: a frozen one was not trained.
    theta: (p,), where they stand. dtype: to compute in; None: the model's own. Raises ValueError for examples that
    do not fit, and for a loss that is no finite value per example; asked of a few examples.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        train: Any,
        test: Any,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.trained = {
            name: p for name, p in model.named_parameters() if p.requires_grad
        }
        require(
            self.trained,
            "model must have parameters that require a gradient; without any, nothing was trained",
        )
        self.theta = torch.cat(
            [p.detach().flatten() for p in self.trained.values()]
        ).to(dtype)
        self.model, self.loss = (
            copy.deepcopy(model).to(self.theta.dtype).requires_grad_(False).eval(),
            loss,
        )
        self.train, self.test = (
            as_examples("train", train, self.theta),
            as_examples("test", test, self.theta),
        )
        # Of one example a mean and a value per example look alike: the check asks about two at least.
        x, y = (torch.cat([part[:3], part[:3]]) for part in self.test)
        values = per_example(self.loss(self.outputs(self.theta, x), y), len(x))
        require(
            values.isfinite().all(),
            "loss must be finite; for the first test examples it is NaN or infinite",
        )

    def outputs(self, theta: Tensor, x: Tensor) -> Tensor:
        """The model's outputs for inputs (n, ...)."""
        pieces = zip(
            self.trained.items(),
            theta.split([p.numel() for p in self.trained.values()]),
            strict=True,
        )
        return functional_call(
            self.model, {name: piece.view(p.shape) for (name, p), piece in pieces}, (x,)
        )

    def losses(self, theta: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """A value per example, (n,)."""
        return self.loss(self.outputs(theta, x), y).reshape(-1)

    def gradients(self, examples: Examples, theta: Tensor | None = None) -> Tensor:
        """One gradient a row, (n, p)."""
        one = grad(lambda theta, x, y: self.losses(theta, x[None], y[None]).sum())
        each = vmap(one, in_dims=(None, 0, 0), chunk_size=self.chunk())
        return each(self.theta if theta is None else theta, *examples)

    def train_products(self, directions: Tensor) -> Tensor:
        """Every training gradient times directions (p, k), (n_train, k), a block of examples at a time."""
        return torch.cat(
            [self.gradients(part) @ directions for part in self.parts(self.train)]
        )

    def parts(self, examples: Examples, each: int = 1) -> Iterator[Examples]:
        """The examples in blocks; each: how many vectors (p,) an example needs."""
        return zip(*(part.split(self.chunk(each)) for part in examples), strict=True)

    def chunk(self, each: int = 1) -> int:
        return max(1, AT_ONCE // (each * len(self.theta)))


def _features(frame: Frame, examples: Examples, matrix: Tensor | None) -> Tensor:
    """The gradients of f = log(p / (1 - p)), projected, (n, width).

    f = -log(exp(loss) - 1), so its gradient is that of the loss divided by -(1 - p).
    """
    parts = (
        frame.gradients(part) / -doubt(frame.losses(frame.theta, *part))[:, None]
        for part in frame.parts(examples)
    )
    return torch.cat(
        [part if matrix is None else part @ matrix.to(part.device) for part in parts]
    )


def doubt(losses: Tensor) -> Tensor:
    """1 - p, where p = exp(-loss); at least what double precision can tell from 0, to be divided by."""
    return (-torch.expm1(-losses)).clamp_min(torch.finfo(losses.dtype).eps)


def as_models(models: Models) -> list[nn.Module]:
    """One model or several, as a list."""
    found = [models] if isinstance(models, nn.Module) else list(models)
    require(found, "models must hold at least one model; got none")
    return found


def as_examples(name: str, examples: Any, like: Tensor | None = None) -> Examples:
    """Inputs and targets as tensors, as many of each, `cast`; ValueError, naming `name`, for what cannot be."""
    pair = isinstance(examples, (tuple, list)) and len(examples) == 2
    require(
        pair, f"{name} must be a pair (inputs, targets); got {type(examples).__name__}"
    )
    inputs, targets = (torch.as_tensor(part).detach() for part in examples)
    counts = [
        len(part) if part.dim() else "a single value" for part in (inputs, targets)
    ]
    fit = inputs.dim() and targets.dim() and 0 < len(inputs) == len(targets)
    require(
        fit,
        f"{name} must hold as many inputs as targets, at least 1; got {counts[0]} and {counts[1]}",
    )
    require_finite(**{f"{name} inputs": inputs, f"{name} targets": targets})
    return cast(inputs, like), cast(targets, like)


def per_example(values: Any, n: int) -> Tensor:
    """The loss's values as (n,); ValueError where they are not as many."""
    values = torch.as_tensor(values)
    wanted = f"loss must return a value per example, ({n},) for {n} examples"
    require(
        values.dim() and values.numel() == n,
        f"{wanted}; got {tuple(values.shape)}: use reduction='none'",
    )
    return values.reshape(-1)


def cast(values: Any, like: Tensor | None) -> Tensor:
    """Where `like` is, and floating values in its type; whole numbers as int64, which labels and tokens are."""
    values = torch.as_tensor(values).detach()
    if like is None:
        return values
    if values.is_floating_point():
        return values.to(like)
    return values.to(
        like.device,
        values.dtype
        if values.dtype == torch.bool or values.is_complex()
        else torch.int64,
    )
