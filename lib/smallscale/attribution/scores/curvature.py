"""How would the loss change if this training point were gone? Influence functions.

They answer without training again (Koh and Liang 2017). The sign is turned so that
positive helps, and Gauss-Newton stands in place of the Hessian: it stays positive where
a network's Hessian does not (Martens 2020, section 8). For linear models the two are
equal.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad, hessian, jacrev, jvp, vjp, vmap

from smallscale.attribution.scores.flat_model import FlatModel, Loss
from smallscale.core.validation import finite_number

LARGEST_DENSE = 4096  # parameters up to which H is built: 128 MiB in double precision
CG_STEPS = 1000  # of conjugate gradients, at most
CG_TOLERANCE = 1e-6  # of the residual, relative to its start


def influence(
    model: nn.Module,
    loss: Loss,
    train: Any,
    test: Any,
    *,
    weight_decay: float = 0.0,
    damping: float = 0.0,
) -> Tensor:
    """Return the change in each test loss if a training point were removed:
        scores[i, j] = g_j . (H + (weight_decay + damping) I)^-1 g_i / n
        H = mean over train of J^T (d2 loss / d outputs2) J,    J = d outputs / d theta
    to first order, where g is the gradient of one example's loss; (n_train, n_test).

    Koh and Liang 2017, eq. 2, for a change of the point's weight by -1/n. The model
    minimises mean loss + weight_decay/2 * ||theta||^2 over all parameters theta, biases
    included; g is of the loss alone. Removed means that the point's term goes, while
    the others keep their weight 1/n.

    train, test: pairs (inputs, targets). loss(outputs, targets): a value per example.
    damping: what a network needs beside its penalty, which it has not quite minimised;
    more of it trusts H less. Up to 4,096 parameters H is built and factored; beyond,
    conjugate gradients need only its products with vectors. A singular H is inverted
    where it can be, with a warning: what lies in directions that no training point sees
    stays as it is. Raises ValueError for examples that do not fit, a loss that is not
    one finite value per example, and a weight_decay or damping below 0.

    >>> from torch import nn
    >>> model = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.zeros_(model.weight)  # output w x = 0; half the squared error
    >>> half_square = lambda outputs, targets: 0.5 * (outputs[..., 0] - targets) ** 2
    >>> train, test = ([[1.0], [1.0]], [2.0, -1.0]), ([[1.0]], [4.0])
    >>> influence(model, half_square, train, test)  # g_i = -2, 1; g_j = -4; H = 1
    tensor([[ 4.],
            [-2.]])
    """
    shift = _checked_shift(weight_decay, damping)
    flat = FlatModel(model, loss, train, test)
    test_gradients = flat.gradients(flat.test)  # g_j: (n_test, p)

    def product(vectors: Tensor) -> Tensor:
        return gauss_newton_product(flat, vectors) + shift * vectors

    if len(flat.parameters) <= LARGEST_DENSE:
        H = gauss_newton(flat)  # (p, p)
        H.diagonal().add_(shift)
        solved = solve(H, test_gradients.T)  # H^-1 g_j: (p, n_test)
    else:
        solved = conjugate_gradients(product, test_gradients).T
    return flat.train_products(solved) / len(flat.train[0])  # eq. 2: (n_train, n_test)


def gauss_newton(flat: FlatModel) -> Tensor:
    """Return the Gauss-Newton matrix (p, p), built:
        H = mean over the training examples of J^T (d2 loss / d outputs2) J
    where J is the Jacobian of an example's outputs by the parameters.
    """

    def jacobian_and_bent(theta: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return J (c, p) of one example, and the loss's Hessian times J, (c, p)."""
        out = flat.outputs(theta, x[None])[0]

        def outputs_at(theta: Tensor) -> Tensor:
            return flat.outputs(theta, x[None])[0].reshape(-1)

        def loss_at(outputs: Tensor) -> Tensor:
            return flat.loss(outputs.view(out.shape)[None], y[None]).sum()

        jacobian: Tensor = jacrev(outputs_at)(theta)
        return jacobian, hessian(loss_at)(out.reshape(-1)) @ jacobian

    n, p = len(flat.train[0]), len(flat.parameters)
    outputs = flat.outputs(flat.parameters, flat.train[0][:1]).numel()
    total = flat.parameters.new_zeros(p, p)
    for block in flat.blocks(flat.train, vectors=4 * outputs):
        each = vmap(jacobian_and_bent, in_dims=(None, 0, 0))
        jacobian, bent = each(flat.parameters, *block)
        total.addmm_(jacobian.reshape(-1, p).T, bent.reshape(-1, p))
    return (total + total.T) / (2 * n)  # rounding leaves it a little askew


def gauss_newton_product(flat: FlatModel, vectors: Tensor) -> Tensor:
    """Return H times each of vectors (k, p), (k, p), without building H."""

    def product(vector: Tensor, x: Tensor, y: Tensor) -> Tensor:
        def loss_at(outputs: Tensor) -> Tensor:
            return flat.loss(outputs, y).sum()

        outputs_at = partial(flat.outputs, inputs=x)
        out, moved = jvp(outputs_at, (flat.parameters,), (vector,))[:2]  # J v
        bent = jvp(grad(loss_at), (out,), (moved,))[1]  # (d2 loss / d outputs2) J v
        product: Tensor = vjp(outputs_at, flat.parameters)[1](bent)[0]  # J^T of it
        return product

    each = vmap(product, in_dims=(0, None, None), chunk_size=flat.block_length())
    total = torch.zeros_like(vectors)
    for block in flat.blocks(flat.train):
        total = total + each(vectors, *block)
    return total / len(flat.train[0])


def solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Return matrix^-1 right (p, k) for a symmetric matrix, in double precision.

    Where the matrix is singular, it is the smallest solution, with a warning.
    """
    # What rounding makes of an eigenvalue of 0, relative to the largest.
    tiny = 10 * torch.finfo(matrix.dtype).eps * len(matrix) ** 0.5
    exact, sides = matrix.double(), right.double()
    factor, failed = torch.linalg.cholesky_ex(exact)
    pivots = factor.diagonal() ** 2
    if not failed and pivots.min() > tiny * pivots.max():
        return torch.cholesky_solve(sides, factor).to(right.dtype)
    values, vectors = torch.linalg.eigh(exact)
    seen = values.abs() > tiny * values.abs().max()
    warnings.warn(
        f"the Hessian is singular, of rank {int(seen.sum())} of {len(matrix)}: what it "
        "does not see stays as it is. Give the weight_decay of training, and for a "
        "network damping as well",
        stacklevel=3,
    )
    inside = vectors[:, seen]
    solution: Tensor = inside / values[seen] @ (inside.T @ sides)
    return solution.to(right.dtype)


def conjugate_gradients(product: Callable[[Tensor], Tensor], right: Tensor) -> Tensor:
    """Return each row x (k, p) for which product(x) is the row of right, (k, p).

    Hestenes and Stiefel 1952, on all rows at once. Warns where it has not converged.
    """
    solution = torch.zeros_like(right)
    residual = right.clone()
    direction = residual
    size = residual.square().sum(1)
    goal = CG_TOLERANCE**2 * size
    smallest = torch.finfo(size.dtype).tiny
    for _ in range(CG_STEPS):
        if (size <= goal).all():
            return solution
        image = product(direction)
        curvature = (direction * image).sum(1)
        # 0 / 0 where a row is solved exactly: such a row takes no step.
        step = torch.where(curvature > 0, size / curvature, 0.0)[:, None]
        solution = solution + step * direction
        residual = residual - step * image
        before = size
        size = residual.square().sum(1)
        turn = (size / before.clamp_min(smallest))[:, None]
        direction = residual + turn * direction
    warnings.warn(
        f"conjugate gradients are not done after {CG_STEPS} steps: the residual of "
        f"{int((size > goal).sum())} test points is above {CG_TOLERANCE:g} of its "
        "start; more damping makes it easier",
        stacklevel=3,
    )
    return solution


def _checked_shift(weight_decay: float, damping: float) -> float:
    """Return what is added to the diagonal of H; ValueError for numbers below 0."""
    penalty = finite_number("weight_decay", weight_decay, least=0)
    return penalty + finite_number("damping", damping, least=0)
