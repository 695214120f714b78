"""Which way would one example push the parameters? Scores that need gradients alone.

Scores are (n_train, n_test), and positive where the training example helps: without it
the test loss would be higher.

- `grad_dot` asks whether two examples push the same way (Charpiat et al. 2019).
- `tracin` sums that over the checkpoints of a training run (Pruthi et al. 2020).
- `trak` takes the network for a linear model of its gradients (Park et al. 2023).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from smallscale.attribution.scores.examples import Examples, finite_points
from smallscale.attribution.scores.flat_model import FlatModel, as_scores
from smallscale.attribution.scores.loss_checks import Loss
from smallscale.attribution.scores.model_checks import Models, as_models
from smallscale.core.validation import (
    as_array,
    finite_number,
    require,
    whole_number,
)

LEAST_PROBABLE = 1e-6  # by how much rounding may take the log of 1 above 0


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return -log softmax(logits)[label] of each example, (n,).

    logits: (n, classes); labels: (n,). The same as torch's with reduction="none", which
    costs a stack of small trainings a fifth more.

    >>> cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor([0.6931])
    """
    require(
        logits.dim() > 1 and labels.shape == logits.shape[:-1],
        "labels must be (n,) for logits (n, classes); "
        f"got {tuple(labels.shape)} and {tuple(logits.shape)}",
    )
    return logits.logsumexp(-1) - logits.gather(-1, labels[..., None]).squeeze(-1)


def grad_dot(model: nn.Module, loss: Loss, train: Any, test: Any) -> Tensor:
    """Return the dot product of the two examples' loss gradients, (n_train, n_test):
        scores[i, j] = g_j . g_i,    g the gradient of one example's loss.

    A small step down the loss of example i lowers the loss of example j by the step's
    length times this score.

    train, test: pairs (inputs, targets). loss(outputs, targets): a value per example,
    such as `cross_entropy`. The gradient is taken by all parameters that were trained.
    Warns of test points that the model fits so exactly that their scores are rounding.
    Raises ValueError for examples that do not fit, or a loss that is not one finite
    value per example.

    >>> from torch import nn
    >>> model = nn.Linear(1, 1, bias=False)  # output w x; the loss is the output
    >>> train, test = ([[2.0], [3.0]], [0.0, 0.0]), ([[1.0]], [0.0])
    >>> grad_dot(model, lambda outputs, targets: outputs[..., 0], train, test)
    tensor([[2.],
            [3.]])
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
    """Return TracInCP, gradient products summed over checkpoints, (n_train, n_test):
        scores[i, j] = sum over checkpoints k of lr_k * g_j(theta_k) . g_i(theta_k).

    Pruthi et al. 2020, section 3.2.

    models: the checkpoints, one or several. lrs: the learning rate at each; None counts
    each as 1. train, test, loss: as for `grad_dot`.
    Raises ValueError as `grad_dot` does, and unless lrs has one rate for each model.

    >>> from torch import nn
    >>> model = nn.Linear(1, 1, bias=False)  # output w x; the loss is the output
    >>> train, test = ([[2.0]], [0.0]), ([[1.0]], [0.0])
    >>> first = lambda outputs, targets: outputs[..., 0]
    >>> tracin([model, model], first, train, test, lrs=[0.5, 0.1])
    tensor([[1.2000]])
    """
    checkpoints, rates = _checked_checkpoints(models, lrs)
    products = []
    for lr, model in zip(rates, checkpoints, strict=True):
        flat = FlatModel(model, loss, train, test)
        flat.check_train_slopes()
        test_gradients = flat.test_gradients()  # (n_test, p)
        products.append(lr * flat.train_products(test_gradients.T))  # section 3.2
    scores = torch.stack(products).sum(0)  # (n_train, n_test)
    return as_scores(scores, checkpoints[0])


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
    """Return TRAK, logistic regression on projected gradients, (n_train, n_test):
        scores = mean of Phi (Phi^T Phi + ridge I)^-1 phi_test * mean of (1 - p)
        phi = P^T grad f,    f = log(p / (1 - p)),    p = exp(-loss)
    where p is the probability of the target, and the means are over models.

    Park et al. 2023, eq. 17. The score is an effect on the test example's f, on a scale
    of its own: it ranks, and is not money.

    models: one or several, trained alike from other seeds; their mean ranks better than
    any one of them. loss: minus the log of a probability, as cross-entropy is.
    projection: columns of the random matrix P (p, projection); where there are no more
    parameters than that, none is used. ridge: added to the diagonal of Phi^T Phi.
    seed: of P, which is another for each model.
    Warns of points of which the model is so certain that 1 - p is rounding. Raises
    ValueError where Phi^T Phi has no inverse, and as `grad_dot` does.

    >>> from smallscale.models import small_mlp
    >>> x, y = torch.eye(3), torch.tensor([0, 1, 2])
    >>> model = small_mlp(3, 3, hidden=4)
    >>> trak(model, cross_entropy, (x, y), (x[:2], y[:2]), ridge=1.0).shape
    torch.Size([3, 2])
    """
    found, projection, ridge, seed = _checked_trak(models, projection, ridge, seed)
    generator = Generator().manual_seed(seed)
    products, one_minus_p = [], []
    for model in found:
        # In double precision: where a target is nearly certain, all that counts is the
        # little that is missing to 1.
        flat = FlatModel(model, loss, train, test, torch.float64)
        # Each gradient is divided by 1 - p, and every score rests on those of train.
        flat.check_train_slopes(all_of_them=False)
        flat.check_test_slopes()
        matrix = _projection(flat, projection, ridge, generator)  # P: (p, width)
        phi = _features(flat, "train", matrix)  # (n_train, width)
        phi_test = _features(flat, "test", matrix)  # (n_test, width)
        gram = _checked_gram(phi.T @ phi, ridge)
        products.append(phi @ torch.linalg.solve(gram, phi_test.T))  # eq. 17, left
        one_minus_p.append(_one_minus_p(flat, flat.train))  # eq. 17, right: Q
    scores = torch.stack(products).mean(0) * torch.stack(one_minus_p).mean(0)[:, None]
    return as_scores(scores, found[0])


def _features(flat: FlatModel, name: str, matrix: Tensor | None) -> Tensor:
    """Return the projected gradients of f = log(p / (1 - p)), (n, width).

    f = -log(exp(loss) - 1), so its gradient is that of the loss divided by -(1 - p).
    name: train or test, whose examples they are.
    """
    parts = []
    for block in flat.blocks(flat.train if name == "train" else flat.test):
        gradients = flat.gradients(block) / -_one_minus_p(flat, block)[:, None]
        parts.append(gradients if matrix is None else gradients @ matrix)
    features = torch.cat(parts)
    finite_points(name, features, what="gradient")
    return features


def _one_minus_p(flat: FlatModel, examples: Examples) -> Tensor:
    """Return 1 - p of each example, where p = exp(-loss) is the target's probability.

    It is at least what double precision can tell from 0, so that one can divide by it.
    """
    losses = flat.losses(flat.parameters, *examples)
    require(
        losses.min() > -LEAST_PROBABLE,
        "loss must be minus the log of a probability, at least 0; got "
        f"{float(losses.min()):g}",
    )
    return (-torch.expm1(-losses)).clamp_min(torch.finfo(losses.dtype).eps)


def _checked_gram(gram: Tensor, ridge: float) -> Tensor:
    """Return Phi^T Phi + ridge I, once it has an inverse."""
    gram.diagonal().add_(ridge)
    factor, failed = torch.linalg.cholesky_ex(gram)
    pivots = factor.diagonal() ** 2
    tiny = len(gram) * torch.finfo(gram.dtype).eps * pivots.max()
    require(
        not failed and pivots.min() > tiny,
        "ridge must be above 0, or larger: Phi^T Phi is singular, as some directions "
        "are seen by no training example, and every score would be noise",
    )
    return gram


def _projection(
    flat: FlatModel, projection: int, ridge: float, generator: Generator
) -> Tensor | None:
    """Return the random matrix P (p, width), or None where it would not be narrower.

    Entries of standard deviation 1/sqrt(width) keep lengths and angles, nearly (Johnson
    and Lindenstrauss 1984).
    """
    n, p = len(flat.train[0]), len(flat.parameters)
    width = min(projection, p)
    require(
        ridge > 0 or width < n,
        f"projection must be below the number of training examples, {n}, or ridge "
        f"above 0; got {width} and no ridge: a {width} x {width} matrix of {n} "
        "gradients is singular, and every score is noise",
    )
    if width == p:
        return None
    entries = torch.randn(p, width, generator=generator, dtype=torch.float64)
    matrix: Tensor = entries / width**0.5
    return matrix.to(flat.parameters.device)


def _checked_checkpoints(
    models: Models, lrs: Sequence[float] | None
) -> tuple[list[nn.Module], list[float]]:
    """Return the models as a list, and a learning rate for each."""
    found = as_models(models)
    if lrs is None:
        return found, [1.0] * len(found)
    require(
        np.ndim(as_array("lrs", lrs)) == 1,
        f"lrs must be a list of rates, one for each of {len(found)} models; got {lrs}",
    )
    require(
        len(lrs) == len(found),
        f"lrs must have one rate for each of {len(found)} models; got {len(lrs)}",
    )
    return found, [finite_number("lrs", lr, least=0) for lr in lrs]


def _checked_trak(
    models: Models, projection: int, ridge: float, seed: int
) -> tuple[list[nn.Module], int, float, int]:
    """Return models as a list, projection, ridge and seed, or raise ValueError."""
    ridge = finite_number("ridge", ridge, least=0)
    projection = whole_number("projection", projection)
    return as_models(models), projection, ridge, whole_number("seed", seed, least=0)
