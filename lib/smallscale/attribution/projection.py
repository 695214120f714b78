"""What if the network were a linear model of its gradients? TRAK (Park et al. 2023)."""

from typing import Any

import torch
from torch import Generator, Tensor

from smallscale.attribution.gradients import Frame, Loss, Models, as_models, attributable


def trak(
    models: Models,
    loss: Loss,
    train: Any,
    test: Any,
    *,
    projection: int = 512,
    ridge: float = 0.0,
    generator: Generator | None = None,
) -> Tensor:
    """TRAK (Park et al. 2023, eq. 17): logistic regression on projected gradients; scores (n_train, n_test).

        scores = (mean over models of Phi (Phi^T Phi + ridge I)^-1 phi_test) * (mean over models of 1 - p)
        phi = P^T grad f,   f = log(p / (1 - p)),   p = exp(-loss): the probability of the target

    The effect on the test example's f, on a scale of its own: it ranks, it is not money. loss must be minus the log
    of a probability, as cross-entropy is.
    models: one or several, trained alike from other seeds; their mean ranks better than any one.
    projection: columns of the random matrix P (p, projection); as many as there are parameters, or more: none is
    used. ridge: added to the diagonal of Phi^T Phi. generator: of P, another P for each model; None: a private one.
    Raises ValueError where Phi^T Phi has no inverse, and as `grad_dot` does.
    """
    models = as_models(models)
    if not (projection >= 1 and projection == int(projection)):
        raise ValueError(f"projection must be a whole number, at least 1; got {projection}")
    if not 0 <= ridge < float("inf"):
        raise ValueError(f"ridge must be a finite number, at least 0; got {ridge}")
    generator = Generator().manual_seed(0) if generator is None else generator
    products, doubts = [], []
    for model in models:
        # In double precision: where a target is nearly certain, all that counts is the little that is missing to 1.
        with attributable(model, loss, train, test, torch.float64) as frame:
            n, p = len(frame.train[0]), len(frame.theta)
            width = min(int(projection), p)
            if ridge == 0 and width >= n:
                raise ValueError(
                    f"projection must be below the number of training examples, {n}, or ridge above 0; got {width} "
                    f"and no ridge: a {width} x {width} matrix of {n} gradients is singular, and every score is noise"
                )
            # A random matrix of entries 1/sqrt(width) keeps lengths and angles, nearly (Johnson, Lindenstrauss 1984).
            matrix = torch.randn(p, width, generator=generator, dtype=torch.float64) / width**0.5 if width < p else None
            phi, phi_test = (features(frame, examples, matrix) for examples in (frame.train, frame.test))
            gram = phi.T @ phi
            gram.diagonal().add_(ridge)
            products.append(phi @ torch.linalg.solve(gram, phi_test.T))
            doubts.append(doubt(frame.losses(frame.train)))
    scores = torch.stack(products).mean(0) * torch.stack(doubts).mean(0)[:, None]
    return scores.to(next(models[0].parameters()).dtype)


def features(frame: Frame, examples: tuple[Tensor, Tensor], matrix: Tensor | None) -> Tensor:
    """The gradients of f = log(p / (1 - p)), projected, (n, width).

    f = -log(exp(loss) - 1), so its gradient is that of the loss divided by -(1 - p).
    """
    parts = []
    for part in frame.parts(examples):
        gradients = -frame.gradients(part) / doubt(frame.losses(part))[:, None]
        parts.append(gradients if matrix is None else gradients @ matrix.to(gradients.device))
    return torch.cat(parts)


def doubt(losses: Tensor) -> Tensor:
    """1 - p, where p = exp(-loss); at least what double precision can tell from 0, to be divided by."""
    return (-torch.expm1(-losses)).clamp_min(torch.finfo(losses.dtype).eps)
