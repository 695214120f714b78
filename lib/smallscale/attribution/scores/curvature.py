"""How would the loss change if this training point were gone? Influence functions.

They answer without training again (Koh and Liang 2017). The sign is turned so that
positive helps, and Gauss-Newton stands in place of the Hessian: it stays positive where
a network's Hessian does not (Martens 2020, section 8). For linear models the two are
equal.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor, nn
from torch.func import grad, hessian, jacrev, jvp, vjp, vmap

from smallscale.attribution.scores.examples import finite_points
from smallscale.attribution.scores.flat_model import FlatModel, as_scores
from smallscale.attribution.scores.loss_checks import Loss
from smallscale.attribution.scores.model_checks import explained
from smallscale.attribution.scores.rounding import ROUNDING, Rounded
from smallscale.core.validation import finite, finite_number, require

LARGEST_DENSE = 4096  # parameters up to which H is built: 128 MiB in double precision
LARGEST_SEEN = 2**27  # numbers in all Jacobians, up to which they are kept: 1 GiB
CG_STEPS = 1000  # of conjugate gradients, at most
CG_GOAL = 1e-10  # of the residual, relative to its start
CG_TOLERANCE = 1e-6  # of the residual, above which a row is not solved
CG_DONE = 2  # times the tolerance: rounding takes the true residual a little above it
CG_WORST = 1e-3  # of the residual, above which an answer is refused
CG_FLAT = 1e-12  # of the largest curvature, below which there is as good as none
DAMPING_SHARE = 1e-3  # of the largest eigenvalue: a damping that is easily solved for
WORST = 1e-3  # of a test point's largest score: what rounding may make of its scores
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
    would do. So is, at any size, what rounding hides: where a model is nearly certain
    of training targets, H has directions that are rounding, and a test gradient with a
    part in them has no score. A warning names a test point that the model fits so
    exactly that its gradient is rounding, and says where all training points are fitted
    so, as by a model that passes through them. Raises ValueError for the others, for
    examples that do not fit, a loss that is not one finite value per example, and a
    weight_decay or damping below 0.

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
    flat.check_train_slopes()
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


@dataclass(frozen=True)
class Curvature:
    """The Gauss-Newton matrix H, or a part of it, and what is known of its rounding.

    matrix: H (p, p). sight: the same with the loss's second derivatives where outputs
    are small, so that no training point is certain: what the training points could see.
    noise: the size of rounding in H. train_products: a function of directions (p, k)
    that returns every training gradient times each, (n_train, k).
    """

    matrix: Tensor
    sight: Tensor | None = None
    noise: float = 0.0
    train_products: Callable[[Tensor], Tensor] | None = None


def gauss_newton(flat: FlatModel) -> Curvature:
    """Return the Gauss-Newton matrix (p, p), built:
        H = mean over the training examples of J^T (d2 loss / d outputs2) J
    where J is the Jacobian of an example's outputs by the parameters.
    """
    n, p = len(flat.train[0]), len(flat.parameters)
    total = flat.parameters.new_zeros(p, p)
    sight = torch.zeros_like(total)
    noise = 0.0
    for part in _curvatures(flat):
        rows = part.jacobian.reshape(-1, p)
        total.addmm_(rows.T, (part.bend @ part.jacobian).reshape(-1, p))
        sight.addmm_(rows.T, (part.tame @ part.jacobian).reshape(-1, p))
        noise += float(part.noise.sum())
    # Rounding leaves a sum askew.
    H, seen = ((each + each.T) / (2 * n) for each in (total, sight))
    return Curvature(H, seen, noise / n, flat.train_products)


def gauss_newton_seen(flat: FlatModel) -> tuple[Tensor, Curvature]:
    """Return Q (p, r) and Q^T H Q (r, r), where Q spans what training points see:
        H = Q (Q^T H Q) Q^T,    r the outputs of all training points in all

    Every row of every Jacobian lies in the span, and so does every training gradient.
    """
    parts = list(_curvatures(flat))
    jacobian, bend, tame, noise = (torch.cat(each) for each in zip(*parts, strict=True))
    Q, R = torch.linalg.qr(jacobian.flatten(0, 1).T)
    seen = R.T.reshape(*bend.shape[:2], -1)  # J Q of each example: (n, c, r)
    n = len(bend)

    def mean(bends: Tensor) -> Tensor:
        total: Tensor = seen.flatten(0, 1).T @ (bends @ seen).flatten(0, 1)
        return (total + total.T) / (2 * n)

    def train_products(directions: Tensor) -> Tensor:
        return flat.train_products(Q @ directions)

    H = Curvature(mean(bend), mean(tame), float(noise.sum()) / n, train_products)
    return Q, H


def seen_is_small(flat: FlatModel) -> bool:
    """Whether there is room for `gauss_newton_seen`."""
    one = flat.outputs(flat.parameters, flat.train[0][:1]).numel()
    outputs = one * len(flat.train[0])
    fits = outputs * len(flat.parameters) <= LARGEST_SEEN
    return outputs <= LARGEST_DENSE and fits


class _Part(NamedTuple):
    """What a block of training examples adds to H.

    jacobian: J (n, c, p). bend: d2 loss / d outputs2 (n, c, c). tame: the same where
    outputs are small. noise: how much of J^T bend J is rounding, (n,).
    """

    jacobian: Tensor
    bend: Tensor
    tame: Tensor
    noise: Tensor


def _curvatures(flat: FlatModel) -> Iterator[_Part]:
    """Return, by blocks of training examples, what H is made of."""

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
            with Rounded():
                rounded = second(out, block[1]).reshape(bend.shape)
            largest = out.reshape(len(out), -1).abs().amax(1).clamp_min(1)
            small = out / largest.view(-1, *[1] * (out.dim() - 1))
            tame = second(small, block[1]).reshape(bend.shape)
        finite_points("train", jacobian, what="gradient", first=first)
        finite_points("train", bend, what="second derivative", first=first)
        first += len(bend)
        noise = (rounded - bend).flatten(1).norm(dim=1)
        tame = _sight(bend, rounded, tame)
        bend, nothing = _without_rounding(bend, ROUNDING * noise)
        lost += nothing
        noise = noise * jacobian.flatten(1).square().sum(1)
        yield _Part(jacobian, bend, tame, noise)
    require(
        lost < first,
        "model must be less certain: where it is as good as sure of every training "
        "target, the second derivatives of the loss are rounding, and so is every "
        "score; train it with more weight_decay",
    )


def _sight(bend: Tensor, rounded: Tensor, tame: Tensor) -> Tensor:
    """Return what second derivatives (n, c, c) would be without certainty, at least 0.

    tame: those where outputs are small. An output in which the loss is flat, with no
    rounding in it, such as one beyond a hinge, is seen by none.
    """
    usable = tame.flatten(1).isfinite().all(1)[:, None, None]
    values, vectors = torch.linalg.eigh(torch.where(usable, tame, bend))
    sight: Tensor = (vectors * values.abs()[:, None]) @ vectors.mT
    flat = (bend == 0) & (rounded == 0)
    flat = flat.all(2)
    return sight.masked_fill(flat[:, :, None] | flat[:, None, :], 0.0)


def _without_rounding(bend: Tensor, noise: Tensor) -> tuple[Tensor, int]:
    """Return second derivatives (n, c, c) whose eigenvalues within noise (n,) are 0.

    Of a nearly certain softmax the eigenvalues fall below the rounding of p - p^2, and
    come out negative. Returns also how many examples have none left.
    """
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
    H: Curvature, right: Tensor, shift: float = 0.0, *, parameters: int = 0
) -> Tensor:
    """Return (H + shift I)^-1 right (p, k).

    All is in double precision. Where the matrix is singular, it is the smallest
    solution, with a warning, and where it has negative eigenvalues another one says so.
    Where rounding decides what a row of `right` is answered, it is refused.
    parameters: of which the matrix is the part that is seen; 0: all of them.
    """
    size = parameters or len(H.matrix)
    exact, sides = H.matrix.double().clone(), right.double()
    exact.diagonal().add_(shift)
    eps = torch.finfo(exact.dtype).eps
    noise = H.noise + ROUNDING * eps * float(exact.norm())
    factor, failed = torch.linalg.cholesky_ex(exact)
    if not failed and _least_by_factor(factor) > noise / WORST:
        return torch.cholesky_solve(sides, factor).to(right.dtype)
    values, vectors = torch.linalg.eigh(exact)
    largest = float(values.abs().max())
    noise = H.noise + ROUNDING * eps * largest
    # What rounding makes of an eigenvalue of 0.
    seen = values.abs() > max(size * eps * largest, H.noise)
    rank = int(seen.sum())
    if seen[0] and values[0] < 0:
        warnings.warn(
            f"{_not_convex(float(values[0]) - shift)}. Influence is then no change in "
            "a minimum",
            stacklevel=3,
        )
    inside = vectors[:, seen]
    solution: Tensor = inside / values[seen] @ (inside.T @ sides)
    _check_lost(H, sides, solution, (values, vectors, seen), noise)
    if rank < size:
        warnings.warn(
            f"the Hessian is singular, of rank {rank} of {size}: what it does not see "
            "stays as it is. Give the weight_decay of training, and for a network "
            "damping as well",
            stacklevel=3,
        )
    return solution.to(right.dtype)


def _least_by_factor(factor: Tensor) -> float:
    """Return about the least eigenvalue of a matrix, by its Cholesky factor (p, p)."""
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(len(factor), 1, dtype=factor.dtype, generator=generator)
    vector = vector.to(factor.device)
    for _ in range(10):  # inverse iteration
        vector = torch.cholesky_solve(vector / vector.norm(), factor)
    return 1 / float(vector.norm())


def _check_lost(
    H: Curvature,
    right: Tensor,
    solution: Tensor,
    eigen: tuple[Tensor, Tensor, Tensor],
    noise: float,
) -> None:
    """Refuse where directions whose curvature is rounding decide scores.

    right, solution: the test gradients and what H makes of them, (p, k). eigen: H's
    eigenvalues, its eigenvectors, and which of them are in the solution. noise: the
    size of rounding in an eigenvalue.
    """
    if H.sight is None or H.train_products is None:
        return
    values, vectors, seen = eigen
    doubtful = seen & (values.abs() <= noise / WORST)
    eps = torch.finfo(values.dtype).eps
    # Of what is not in the solution, the training points see a part: that is lost.
    unseen = vectors[:, ~seen]
    sights, turn = torch.linalg.eigh(unseen.T @ H.sight @ unseen)
    lost = sights > len(values) * eps * float(H.sight.norm())
    if not (doubtful.any() or lost.any()):
        return
    train = H.train_products
    scores = train(solution)  # times n, as all below
    n = len(scores)
    error = torch.zeros_like(right[0])
    least = len(values) * eps * right.norm(dim=0)  # what rounding leaves of nothing
    if lost.any():
        directions = unseen @ turn[:, lost]
        asked = (directions.T @ right).abs()  # (directions, k)
        asked = torch.where(asked > least, asked, 0.0)
        # A point that alone sees a direction moves its outputs by about 1 as it goes.
        alone = (n / sights[lost]).sqrt()
        steps = alone + train(directions).abs().amax(0) / noise
        error += steps @ asked
    if doubtful.any():
        directions, curvature = vectors[:, doubtful], values[doubtful].abs()
        asked = (directions.T @ right).abs()
        asked = torch.where(asked > least, asked, 0.0)
        steps = train(directions).abs().amax(0) / curvature
        error += (steps * noise / curvature) @ asked
    wrong = error > WORST * scores.abs().amax(0)
    if wrong.any():
        enough = max(DAMPING_SHARE * float(values.abs().max()), 2 * noise / WORST)
        raise ValueError(
            "damping must be larger, as the Hessian has directions that are rounding, "
            "such as those seen by training points of which the model is nearly "
            f"certain, and test point {int(wrong.int().argmax())} asks for them; "
            f"{_such_as(enough)}"
        )


def _such_as(damping: float) -> str:
    return f"such as {damping:.1g} would do"


def conjugate_gradients(
    product: Callable[[Tensor], Tensor], right: Tensor, shift: float = 0.0
) -> Tensor:
    """Return each row x (k, p) for which product(x) + shift x is that of right, (k, p).

    Hestenes and Stiefel 1952, on all rows at once. The answer is put in again: where
    its residual is above 1e-6 of `right` a warning says so; above 1e-3 it is refused,
    with a damping that would do, and so is a product that is not positive, or is
    rounding.
    """
    solution = torch.zeros_like(right)
    residual = right.clone()
    direction = residual
    size = residual.square().sum(1)
    goal, enough = CG_GOAL**2 * size, CG_TOLERANCE**2 * size
    smallest = torch.finfo(size.dtype).tiny
    flat = max(right.shape[1] * torch.finfo(size.dtype).eps, CG_FLAT)
    largest = 0.0  # eigenvalue met, nearly
    for _ in range(CG_STEPS):
        if (size <= goal).all():
            break
        image = product(direction) + shift * direction
        curvature = (direction * image).sum(1)
        lengths = direction.square().sum(1).clamp_min(smallest)
        eigenvalues = curvature / lengths
        largest = max(largest, float(eigenvalues[size > goal].abs().max()))
        is_flat = eigenvalues < flat * largest
        if bool((is_flat & (size > enough)).any()):
            row = int(torch.where(size > enough, eigenvalues, torch.inf).argmin())
            met = float(eigenvalues[row])
            _refuse_flat(product, direction[row : row + 1], met, shift, largest)
        # A row that is solved, as well as can be, takes no step.
        goal = torch.where(is_flat, torch.inf, goal)
        moves = (size > goal) & (curvature > 0)
        step = torch.where(moves, size / curvature, 0.0)[:, None]
        solution = solution + step * direction
        residual = residual - step * image
        before = size
        size = residual.square().sum(1)
        turn = (size / before.clamp_min(smallest))[:, None]
        direction = residual + turn * direction
    image = product(solution)
    left = right - image - shift * solution
    _check_residual(left, right, largest)
    with Rounded():
        rounded = product(solution)
    _check_residual(ROUNDING * (rounded - image), right, largest, warn=False)
    return solution


def _refuse_flat(
    product: Callable[[Tensor], Tensor],
    direction: Tensor,
    met: float,
    shift: float,
    largest: float,
) -> None:
    """Refuse a direction (1, p) without curvature, or with less than none.

    met: its curvature, with the shift, where the largest was `largest`.
    """
    unit = direction / direction.norm()
    with Rounded():
        rounded = float((unit * product(unit)).sum()) + shift
    noise = max(ROUNDING * abs(rounded - met), CG_FLAT * largest)
    if met < -noise:
        least = _least_eigenvalue(product, direction[0], met - shift)
        raise ValueError(_not_convex(least))
    raise ValueError(
        "damping must be larger, as the Hessian is singular or nearly so, and what "
        "conjugate gradients would find is noise; "
        + _such_as(max(DAMPING_SHARE * largest, 2 * noise / WORST))
    )


def _check_residual(
    residual: Tensor, right: Tensor, largest: float, *, warn: bool = True
) -> None:
    """Warn or refuse where conjugate gradients have not solved for every row.

    largest: the largest eigenvalue that was met. warn: whether less than the worst is
    worth a warning.
    """
    smallest = torch.finfo(right.dtype).tiny
    left = residual.norm(dim=1) / right.norm(dim=1).clamp_min(smallest)
    enough = DAMPING_SHARE * largest
    require(
        left.max() <= CG_WORST,
        "damping must be larger, as the Hessian is singular or nearly so, and what "
        f"conjugate gradients found in {CG_STEPS} steps is noise; {_such_as(enough)}",
    )
    late = int((left > CG_DONE * CG_TOLERANCE).sum())
    if late and warn:
        warnings.warn(
            f"conjugate gradients are not done after {CG_STEPS} steps: the residual of "
            f"{late} test points is above {CG_TOLERANCE:g} of its start; more damping, "
            f"such as {enough:.1g}, makes it easier",
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
