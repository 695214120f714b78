"""What if the network were a linear model of its gradients? TRAK (Park et al. 2023)."""

from typing import Any

import torch
from torch import Generator, Tensor

from smallscale.attribution.checks import require, require_counts, require_not_negative
from smallscale.attribution.gradients import Examples, Frame, Loss, Models, as_models


def trak(
    models: Models, loss: Loss, train: Any, test: Any, *, projection: int = 512, ridge: float = 0.0, seed: int = 0
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
        matrix = torch.randn(p, width, generator=generator, dtype=torch.float64) / width**0.5 if width < p else None
        phi, phi_test = (features(frame, examples, matrix) for examples in (frame.train, frame.test))
        gram = phi.T @ phi
        gram.diagonal().add_(ridge)
        products.append(phi @ torch.linalg.solve(gram, phi_test.T))
        doubts.append(doubt(frame.losses(frame.theta, *frame.train).flatten()))
    scores = torch.stack(products).mean(0) * torch.stack(doubts).mean(0)[:, None]
    return scores.to(next(models[0].parameters()).dtype)


def features(frame: Frame, examples: Examples, matrix: Tensor | None) -> Tensor:
    """The gradients of f = log(p / (1 - p)), projected, (n, width).

    f = -log(exp(loss) - 1), so its gradient is that of the loss divided by -(1 - p).
    """
    parts = []
    for part in frame.parts(examples):
        gradients = -frame.gradients(part) / doubt(frame.losses(frame.theta, *part).reshape(-1, 1))
        parts.append(gradients if matrix is None else gradients @ matrix.to(gradients.device))
    return torch.cat(parts)


def doubt(losses: Tensor) -> Tensor:
    """1 - p, where p = exp(-loss); at least what double precision can tell from 0, to be divided by."""
    return (-torch.expm1(-losses)).clamp_min(torch.finfo(losses.dtype).eps)
