"""How would the loss change if this training point were gone, without training again? Influence functions.

Koh and Liang 2017, with the sign turned so that positive helps, and Gauss-Newton in place of the Hessian, which stays
positive where a network's Hessian does not (Martens 2020, section 8). For linear models the two are the same.
"""

import warnings
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad, hessian, jacrev, jvp, vjp, vmap

from smallscale.attribution.checks import require_not_negative
from smallscale.attribution.scores.gradients import Frame, Loss

DENSE = 4096  # parameters up to which the matrix is built: 128 MiB in double precision
ITERATIONS, TOLERANCE = 1000, 1e-6  # of conjugate gradients; of the residual, relative


def influence(
    model: nn.Module,
    loss: Loss,
    train: Any,
    test: Any,
    *,
    weight_decay: float = 0.0,
    damping: float = 0.0,
) -> Tensor:
    """The change in each test loss if a training point were removed, to first order; scores (n_train, n_test).

        scores[i, j] = g_j . (H + (weight_decay + damping) I)^-1 g_i / n      (Koh and Liang 2017, eq. 2, for -1/n)
        H = (1/n) sum over train of J^T (d2 loss / d outputs2) J,   J = d outputs / d parameters

    The model minimises mean loss + weight_decay/2 * ||parameters||^2, biases included; g are gradients of the loss
    alone. Removed means: its term goes, the others keep their weight 1/n.
    damping: what a network needs beside its penalty, which it has not quite minimised: more trusts H less.
    Up to 4,096 parameters H is built and factored, beyond by conjugate gradients, never built. A singular H is
    inverted where it can be, with a warning: directions that no training point sees stay as they are.
    train, test: (inputs, targets); loss(outputs, targets): a value per example. Raises ValueError for what cannot be.
    """
    require_not_negative(weight_decay=weight_decay, damping=damping)
    frame, shift = Frame(model, loss, train, test), weight_decay + damping
    towards = frame.gradients(frame.test)  # (n_test, p)
    if len(frame.theta) <= DENSE:
        matrix = gauss_newton(frame)
        matrix.diagonal().add_(shift)
        solved = solve(matrix, towards.T)
    else:
        solved = conjugate_gradients(
            lambda v: gauss_newton_product(frame, v) + shift * v, towards
        ).T
    return frame.train_products(solved) / len(frame.train[0])


def gauss_newton(frame: Frame) -> Tensor:
    """The mean over the training examples of J^T (d2 loss / d outputs2) J, (p, p)."""

    def curved(theta: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """For one example: J (c, p), and the loss's Hessian to the outputs times J, (c, p)."""
        out = frame.outputs(theta, x[None])[0]
        jacobian = jacrev(lambda t: frame.outputs(t, x[None])[0].reshape(-1))(theta)
        bend = hessian(lambda o: frame.loss(o.view(out.shape)[None], y[None]).sum())(
            out.reshape(-1)
        )
        return jacobian, bend @ jacobian

    n, p = len(frame.train[0]), len(frame.theta)
    wide = frame.outputs(frame.theta, frame.train[0][:1]).numel()
    total = frame.theta.new_zeros(p, p)
    for part in frame.parts(frame.train, each=4 * wide):
        jacobian, bent = vmap(curved, in_dims=(None, 0, 0))(frame.theta, *part)
        total.addmm_(jacobian.reshape(-1, p).T, bent.reshape(-1, p))
    return (total + total.T) / (2 * n)  # rounding leaves it a little askew


def gauss_newton_product(frame: Frame, vectors: Tensor) -> Tensor:
    """The Gauss-Newton matrix times each of vectors (k, p), without the matrix, (k, p)."""

    def product(vector: Tensor, x: Tensor, y: Tensor) -> Tensor:
        def value(outputs: Tensor) -> Tensor:
            return frame.loss(outputs, y).sum()

        outputs = partial(frame.outputs, x=x)
        out, moved = jvp(outputs, (frame.theta,), (vector,))[:2]  # J v
        bent = jvp(grad(value), (out,), (moved,))[1]
        return vjp(outputs, frame.theta)[1](bent)[0]

    each = vmap(product, in_dims=(0, None, None), chunk_size=frame.chunk())
    return reduce(
        torch.add, (each(vectors, *part) for part in frame.parts(frame.train))
    ) / len(frame.train[0])


def solve(matrix: Tensor, right: Tensor) -> Tensor:
    """matrix^-1 right, symmetric (p, p) and (p, k), in double precision; where singular, the smallest solution."""
    tiny = (
        10 * torch.finfo(matrix.dtype).eps * len(matrix) ** 0.5
    )  # what rounding makes of an eigenvalue of 0
    exact, sides = matrix.double(), right.double()
    factor, failed = torch.linalg.cholesky_ex(exact)
    pivots = factor.diagonal() ** 2
    if not failed and pivots.min() > tiny * pivots.max():
        return torch.cholesky_solve(sides, factor).to(right.dtype)
    values, vectors = torch.linalg.eigh(exact)
    seen = values.abs() > tiny * values.abs().max()
    words = f"the Hessian is singular, of rank {int(seen.sum())} of {len(matrix)}: what it does not see stays as it is"
    warnings.warn(
        f"{words}. Give the weight_decay of training, and for a network damping as well",
        stacklevel=3,
    )
    return (vectors[:, seen] / values[seen] @ (vectors[:, seen].T @ sides)).to(
        right.dtype
    )


def conjugate_gradients(product: Callable[[Tensor], Tensor], right: Tensor) -> Tensor:
    """Each row x of (k, p) with product(x) = right (k, p), by Hestenes and Stiefel 1952, all rows at once."""
    solution, residual = torch.zeros_like(right), right.clone()
    direction, size = residual, residual.square().sum(1)
    goal = TOLERANCE**2 * size
    for _ in range(ITERATIONS):
        if (size <= goal).all():
            return solution
        image = product(direction)
        curvature = (direction * image).sum(1)
        step = torch.where(curvature > 0, size / curvature, 0.0)[
            :, None
        ]  # 0 / 0 where a row is solved exactly
        solution, residual = solution + step * direction, residual - step * image
        before, size = size, residual.square().sum(1)
        direction = (
            residual
            + (size / before.clamp_min(torch.finfo(size.dtype).tiny))[:, None]
            * direction
        )
    rows = f"the residual of {int((size > goal).sum())} test points is above {TOLERANCE:g} of its start"
    words = f"conjugate gradients are not done after {ITERATIONS} steps: {rows}; more damping makes it easier"
    warnings.warn(words, stacklevel=3)
    return solution
