"""How would the loss change if this training point were gone? Influence functions.

They answer without training again (Koh and Liang 2017). The sign is turned so that
positive helps, and Gauss-Newton stands in place of the Hessian: it stays positive where
a network's Hessian does not (Martens 2020, section 8). For linear models the two are
equal.
"""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor, nn
from torch.func import grad, hessian, jacrev, jvp, vjp, vmap
from torch.utils._python_dispatch import TorchDispatchMode

from smallscale.attribution.scores.examples import finite_points
from smallscale.attribution.scores.flat_model import FlatModel, as_scores
from smallscale.attribution.scores.loss_checks import Loss
from smallscale.attribution.scores.model_checks import explained
from smallscale.core.validation import finite, finite_number, require

LARGEST_DENSE = 4096  # parameters up to which H is built: 128 MiB in double precision
LARGEST_SEEN = 2**27  # numbers in all Jacobians, up to which they are kept: 1 GiB
CG_STEPS = 1000  # of conjugate gradients, at most
CG_TOLERANCE = 1e-6  # of the residual, relative to its start
CG_DONE = 2  # times the tolerance: rounding takes the true residual a little above it
CG_WORST = 1e-3  # of the residual, above which an answer is refused
DAMPING_SHARE = 1e-3  # of the largest eigenvalue: a damping that is easily solved for
ROUNDING = 8  # times what rounding each step once does to a second derivative
TWICE = "model and loss must be differentiable twice by torch.func"


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
    conjugate gradients need only its products with vectors. All is computed in double
    precision, as small eigenvalues decide. A singular H is inverted where it can be
    (the pseudo-inverse), with a warning: what lies in directions that no training point
    sees stays as it is. One with negative eigenvalues is said to be, since then no
    model is at its minimum. Beyond 4,096 parameters a singular H is inverted where the
    training outputs are at most 4,096 numbers, and refused else, with the damping that
    would do. Raises ValueError for that, for examples that do not fit, a loss that is
    not one finite value per example, and a weight_decay or damping below 0.

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
    flat = FlatModel(model, loss, train, test, torch.float64)
    test_gradients = flat.test_gradients()  # g_j: (n_test, p)
    n, p = len(flat.train[0]), len(flat.parameters)
    if p <= LARGEST_DENSE:
        H = gauss_newton(flat)  # (p, p)
        solved = solve(H, test_gradients.T, shift)  # H^-1 g_j: (p, n_test)
    elif shift == 0 and seen_is_small(flat):
        Q, H = gauss_newton_seen(flat)  # (p, r) and (r, r), H = Q^T H Q
        solved = Q @ solve(H, Q.T @ test_gradients.T, parameters=p)
    else:
        product = partial(gauss_newton_product, flat)  # H v
        solved = conjugate_gradients(product, test_gradients, shift).T
    scores = flat.train_products(solved) / n  # eq. 2: (n_train, n_test)
    return as_scores(scores, model)


def gauss_newton(flat: FlatModel) -> Tensor:
    """Return the Gauss-Newton matrix (p, p), built:
        H = mean over the training examples of J^T (d2 loss / d outputs2) J
    where J is the Jacobian of an example's outputs by the parameters.
    """

    p = len(flat.parameters)
    total = flat.parameters.new_zeros(p, p)
    for jacobian, bend in _curvatures(flat):
        bent = bend @ jacobian
        total.addmm_(jacobian.reshape(-1, p).T, bent.reshape(-1, p))
    return (total + total.T) / (2 * len(flat.train[0]))  # rounding leaves it askew


def gauss_newton_seen(flat: FlatModel) -> tuple[Tensor, Tensor]:
    """Return Q (p, r) and Q^T H Q (r, r), where Q spans what training points see:
        H = Q (Q^T H Q) Q^T,    r the outputs of all training points in all

    Every row of every Jacobian lies in the span, and so does every training gradient.
    """
    parts = list(_curvatures(flat))
    bends = torch.cat([bend for _, bend in parts])  # (n, c, c)
    rows = torch.cat([jacobian.flatten(0, 1) for jacobian, _ in parts])  # (n c, p)
    Q, R = torch.linalg.qr(rows.T)
    seen = R.T.reshape(*bends.shape[:2], -1)  # J Q of each example: (n, c, r)
    total = seen.flatten(0, 1).T @ (bends @ seen).flatten(0, 1)
    return Q, (total + total.T) / (2 * len(bends))


def seen_is_small(flat: FlatModel) -> bool:
    """Whether there is room for `gauss_newton_seen`."""
    one = flat.outputs(flat.parameters, flat.train[0][:1]).numel()
    outputs = one * len(flat.train[0])
    fits = outputs * len(flat.parameters) <= LARGEST_SEEN
    return outputs <= LARGEST_DENSE and fits


def _curvatures(flat: FlatModel) -> Iterator[tuple[Tensor, Tensor]]:
    """Return, by blocks of training examples, J (n, c, p) and d2 loss / d outputs2."""

    def jacobian_and_bend(theta: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        out = flat.outputs(theta, x[None])[0]

        def outputs_at(theta: Tensor) -> Tensor:
            return flat.outputs(theta, x[None])[0].reshape(-1)

        def loss_at(outputs: Tensor) -> Tensor:
            return flat.loss(outputs.view(out.shape)[None], y[None]).sum()

        jacobian: Tensor = jacrev(outputs_at)(theta)
        return jacobian, hessian(loss_at)(out.reshape(-1))

    each = vmap(jacobian_and_bend, in_dims=(None, 0, 0))
    outputs = flat.outputs(flat.parameters, flat.train[0][:1]).numel()
    second = vmap(hessian(lambda out, y: flat.loss(out[None], y[None]).sum()))
    first = 0
    lost = 0  # examples whose second derivatives are rounding
    for block in flat.blocks(flat.train, vectors=4 * outputs):
        with explained(TWICE):
            jacobian, bend = each(flat.parameters, *block)
            out = flat.outputs(flat.parameters, block[0])
            with _Rounded():
                rounded = second(out, block[1]).reshape(bend.shape)
        finite_points("train", jacobian, what="gradient", first=first)
        finite_points("train", bend, what="second derivative", first=first)
        first += len(bend)
        bend, nothing = _without_rounding(bend, rounded)
        lost += nothing
        yield jacobian, bend
    require(
        lost < first,
        "model must be less certain: where it is as good as sure of every training "
        "target, the second derivatives of the loss are rounding, and so is every "
        "score; train it with more weight_decay",
    )


class _Rounded(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Rounds each step's result to a neighbour (Parker 1997, Monte Carlo arithmetic).

    What comes out differs from the plain result by about as much as that one is wrong.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.generator = torch.Generator().manual_seed(0)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        returns = func._schema.returns
        is_new = len(returns) == 1 and returns[0].alias_info is None
        if not (is_new and isinstance(found, Tensor) and found.is_floating_point()):
            return found
        if found._is_zerotensor():
            return found
        signs = torch.randint(0, 2, found.shape, generator=self.generator).to(found)
        return found * (1 + (2 * signs - 1) * torch.finfo(found.dtype).eps)


def _without_rounding(bend: Tensor, rounded: Tensor) -> tuple[Tensor, int]:
    """Return second derivatives (n, c, c) whose eigenvalues within rounding are 0.

    rounded: the same with every step rounded anew. Of a nearly certain softmax the
    eigenvalues fall below the rounding of p - p^2, and come out negative. Returns also
    how many examples have none left.
    """
    noise = ROUNDING * (rounded - bend).flatten(1).norm(dim=1)
    sizes = bend.flatten(1).norm(dim=1)
    # Where rounding is small beside the largest entry, H's own is as large.
    doubtful = (noise > ROUNDING * torch.finfo(bend.dtype).eps * sizes).nonzero()[:, 0]
    if not len(doubtful):
        return bend, 0
    values, vectors = torch.linalg.eigh(bend[doubtful])
    values = torch.where(values.abs() > noise[doubtful, None], values, 0.0)
    bend = bend.clone()
    bend[doubtful] = (vectors * values[:, None]) @ vectors.mT
    return bend, int((values == 0).all(1).sum())


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
        with explained(TWICE):
            total = total + each(vectors, *block)
    if not total.isfinite().all():
        list(_curvatures(flat))  # names the training point
    finite("Gauss-Newton's products", total)
    return total / len(flat.train[0])


def solve(
    matrix: Tensor, right: Tensor, shift: float = 0.0, *, parameters: int = 0
) -> Tensor:
    """Return (matrix + shift I)^-1 right (p, k) for a symmetric matrix.

    All is in double precision. Where the matrix is singular, it is the smallest
    solution, with a warning, and where it has negative eigenvalues another one says so.
    parameters: of which the matrix is the part that is seen; 0: all of them.
    """
    size = parameters or len(matrix)
    # What rounding makes of an eigenvalue of 0, relative to the largest.
    tiny = size * torch.finfo(matrix.dtype).eps
    exact, sides = matrix.double().clone(), right.double()
    exact.diagonal().add_(shift)
    factor, failed = torch.linalg.cholesky_ex(exact)
    pivots = factor.diagonal() ** 2
    if not failed and pivots.min() > tiny * pivots.max():
        return torch.cholesky_solve(sides, factor).to(right.dtype)
    values, vectors = torch.linalg.eigh(exact)
    seen = values.abs() > tiny * values.abs().max()
    rank = int(seen.sum())
    if rank < size:
        warnings.warn(
            f"the Hessian is singular, of rank {rank} of {size}: what it does not see "
            "stays as it is. Give the weight_decay of training, and for a network "
            "damping as well",
            stacklevel=3,
        )
    if seen[0] and values[0] < 0:
        warnings.warn(
            f"{_not_convex(float(values[0]) - shift)}. Influence is then no change in "
            "a minimum",
            stacklevel=3,
        )
    inside = vectors[:, seen]
    solution: Tensor = inside / values[seen] @ (inside.T @ sides)
    return solution.to(right.dtype)


def conjugate_gradients(
    product: Callable[[Tensor], Tensor], right: Tensor, shift: float = 0.0
) -> Tensor:
    """Return each row x (k, p) for which product(x) + shift x is that of right, (k, p).

    Hestenes and Stiefel 1952, on all rows at once. The answer is put in again: where
    its residual is above 1e-6 of `right` a warning says so; above 1e-3 it is refused,
    with a damping that would do, and so is a product that is not positive.
    """
    solution = torch.zeros_like(right)
    residual = right.clone()
    direction = residual
    size = residual.square().sum(1)
    goal = CG_TOLERANCE**2 * size
    smallest = torch.finfo(size.dtype).tiny
    largest = 0.0  # eigenvalue met, nearly
    for _ in range(CG_STEPS):
        if (size <= goal).all():
            break
        image = product(direction) + shift * direction
        curvature = (direction * image).sum(1)
        lengths = direction.square().sum(1).clamp_min(smallest)
        eigenvalues = torch.where(size > goal, curvature / lengths, 0.0)
        largest = max(largest, float(eigenvalues.max()))
        if eigenvalues.min() < -CG_TOLERANCE * largest:
            met = float(eigenvalues.min()) - shift
            raise ValueError(_not_convex(_least_eigenvalue(product, right[0], met)))
        # 0 / 0 where a row is solved exactly: such a row takes no step.
        step = torch.where(curvature > 0, size / curvature, 0.0)[:, None]
        solution = solution + step * direction
        residual = residual - step * image
        before = size
        size = residual.square().sum(1)
        turn = (size / before.clamp_min(smallest))[:, None]
        direction = residual + turn * direction
    left = right - product(solution) - shift * solution
    _check_residual(left, right, largest)
    return solution


def _check_residual(residual: Tensor, right: Tensor, largest: float) -> None:
    """Warn or refuse where conjugate gradients have not solved for every row.

    largest: the largest eigenvalue that was met.
    """
    smallest = torch.finfo(right.dtype).tiny
    left = residual.norm(dim=1) / right.norm(dim=1).clamp_min(smallest)
    enough = f"such as {DAMPING_SHARE * largest:.1g}"
    require(
        left.max() <= CG_WORST,
        "damping must be larger, as the Hessian is singular or nearly so, and what "
        f"conjugate gradients found in {CG_STEPS} steps is noise; {enough} would do",
    )
    late = int((left > CG_DONE * CG_TOLERANCE).sum())
    if late:
        warnings.warn(
            f"conjugate gradients are not done after {CG_STEPS} steps: the residual of "
            f"{late} test points is above {CG_TOLERANCE:g} of its start; more damping, "
            f"{enough}, makes it easier",
            stacklevel=4,
        )


def _least_eigenvalue(
    product: Callable[[Tensor], Tensor], like: Tensor, met: float
) -> float:
    """Return the least eigenvalue of a matrix by its products (Lanczos's method).

    like: a vector (p,) of the type and on the device that the products take. met: a
    quotient v . H v / v . v above it, for a matrix on which the method does not end.
    """

    def times(vector: np.ndarray) -> np.ndarray:
        row = torch.from_numpy(vector.reshape(1, -1)).to(like)
        image: np.ndarray = product(row)[0].cpu().numpy()
        return image

    matrix = LinearOperator((len(like), len(like)), times, dtype=np.float64)
    start = np.random.default_rng(0).normal(size=len(like))
    try:
        return float(eigsh(matrix, 1, which="SA", v0=start, tol=1e-3)[0][0])
    except ArpackNoConvergence:
        return met


def _not_convex(least: float) -> str:
    """Return what a negative eigenvalue means, for a message."""
    enough = -1.01 * least  # a little above, as a message rounds it
    return (
        f"loss must be convex in the outputs, or damping above {enough:.3g}: the "
        f"Hessian has a negative eigenvalue, {least:.2g}, so the model is at no minimum"
    )


def _checked_shift(weight_decay: float, damping: float) -> float:
    """Return what is added to the diagonal of H; ValueError for numbers below 0."""
    penalty = finite_number("weight_decay", weight_decay, least=0)
    return penalty + finite_number("damping", damping, least=0)
