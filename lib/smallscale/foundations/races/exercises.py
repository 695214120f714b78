"""Is the answer right, and if not, why? Checks for the exercises on optimizers.

Each check returns a sentence.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor

from smallscale.core.validation import as_tensor
from smallscale.foundations.races.steps import follow, in_turn
from smallscale.notebook.exercises import NOT_YET, matching_message
from smallscale.training.update_rules import AMSGrad, State

RIGHT_CORRECTION = (
    "Right: both means are divided by the weight that the gradients have in them, and "
    "the correction fades as t grows."
)
RIGHT_MAXIMUM = (
    "Right: u never falls, in each weight by itself, and on the counterexample the "
    "weight ends at {end:+.2f}, where Adam ends at +1."
)
RIGHT_ORTHOGONAL = (
    "Right: on wide, tall and large matrices every singular value is near 1, and the "
    "directions are the matrix's own."
)
ONE_CASE_ONLY = (
    "Right for the first numbers that were tried, wrong for others: use the arguments "
    "as they are given."
)


def check_correction(
    corrected: Callable[[Tensor, Tensor, int, float, float], Any],
) -> str:
    """Check a function (m, v, t, beta1, beta2) -> (m^, v^), Adam's corrected means."""
    m, v = torch.tensor([0.1, -0.4]), torch.tensor([0.001, 0.02])
    case = (m, v, 2, 0.9, 0.999)
    answer = corrected(m.clone(), v.clone(), *case[2:])
    if answer is None:
        return NOT_YET
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        return f"It must return two things, m^ and v^; got {type(answer).__name__}."
    message = matching_message(
        _joined(answer),
        {
            RIGHT_CORRECTION: _corrected(*case),
            "Nothing was corrected: m and v are as they came.": torch.stack([m, v]),
            "Only m was corrected. v starts at 0 too, and is further from its mean, "
            "since beta2 is nearer to 1.": torch.stack([m / (1 - 0.9**2), v]),
            "Only v was corrected; m starts at 0 too.": torch.stack(
                [m, v / (1 - 0.999**2)]
            ),
            "The power is missing: the weights that are left out shrink as beta^t. "
            "Yours is right at t = 1 alone.": _corrected(m, v, 1, 0.9, 0.999),
            "t counts from 1: after the first gradient it is 1, and here it is 2, not "
            "3.": _corrected(m, v, 3, 0.9, 0.999),
            "beta was multiplied by t; it is raised to the power t.": torch.stack(
                [m / (1 - 0.9 * 2), v / (1 - 0.999 * 2)]
            ),
            "Multiplied where it must be divided: m is too small, not too large.": (
                torch.stack([m * (1 - 0.9**2), v * (1 - 0.999**2)])
            ),
            "The two betas are swapped: beta1 belongs to m, beta2 to v.": _corrected(
                m, v, 2, 0.999, 0.9
            ),
            "The root belongs to the step, not to the correction: return v^ itself.": (
                torch.stack([m / (1 - 0.9**2), (v / (1 - 0.999**2)).sqrt()])
            ),
        },
        shape="m^ and v^ must have the shapes of m and v.",
        otherwise="For m [0.1, -0.4], v [0.001, 0.02], t 2 and the usual betas the "
        "answer differs; compare with the two lines of the update.",
    )
    if message != RIGHT_CORRECTION:
        return message
    other = (torch.tensor([3.0]), torch.tensor([7.0]), 9, 0.5, 0.8)
    again = _joined(corrected(other[0].clone(), other[1].clone(), *other[2:]))
    if again.shape == (2, 1) and torch.allclose(again, _corrected(*other)):
        return RIGHT_CORRECTION
    return ONE_CASE_ONLY


def check_maximum(largest: Callable[[Tensor, Tensor], Any]) -> str:
    """Check a function (u, v) -> the new u, what AMSGrad divides by the root of."""
    u, v = torch.tensor([9.0, 1.0, 4.0]), torch.tensor([1.0, 2.0, 4.0])
    answer = largest(u.clone(), v.clone())
    message = matching_message(
        answer,
        {
            RIGHT_MAXIMUM: torch.maximum(u, v),
            "That is Adam: it forgets that u was 9, and steps further again.": v,
            "u never moves: it starts at 0, and v must be able to raise it.": u,
            "The smaller of the two makes steps longer, not shorter.": torch.minimum(
                u, v
            ),
            "The sum never falls either, but that is Adagrad's way: steps shrink to 0 "
            "even where gradients stay the same.": u + v,
            "The mean of both forgets, only more slowly: u falls from 9 to 5.": (
                (u + v) / 2
            ),
            "One maximum over all weights: each weight has a u of its own.": (
                torch.maximum(u, v).max().expand(3)
            ),
            "The root is taken later, by the step: return u itself.": torch.maximum(
                u, v
            ).sqrt(),
        },
        shape="The new u must have the shape of u, one number for each weight.",
        otherwise="For u [9, 1, 4] and v [1, 2, 4] the answer differs; compare with "
        "the equation.",
    )
    if message != RIGHT_MAXIMUM:
        return message
    other = torch.tensor([0.5, 3.0]), torch.tensor([0.25, 5.0])
    try:
        again = as_tensor("answer", largest(*(each.clone() for each in other)))
    except (RuntimeError, ValueError, IndexError):
        return ONE_CASE_ONLY
    if again.shape != (2,) or not torch.equal(again, torch.maximum(*other)):
        return ONE_CASE_ONLY
    rule = partial(_WithMaximum, largest=largest, betas=(0.0, 0.1))
    path = follow(
        rule,
        in_turn(900),
        rate=lambda t: 0.5 / math.sqrt(t),
        bounds=(-1.0, 1.0),
    )
    return RIGHT_MAXIMUM.format(end=float(path[-1]))


def check_orthogonal(orthogonalised: Callable[[Tensor], Any]) -> str:
    """Check a function matrix -> about U V^T, of matrices of every shape and size."""
    generator = Generator().manual_seed(0)
    kinds = {"wide": (4, 9), "tall": (9, 4), "square": (6, 6)}
    for kind, shape in kinds.items():
        matrix = torch.randn(shape, generator=generator)
        if kind == "tall":
            matrix = 1000 * matrix  # nothing may depend on a gradient's length
        answer = orthogonalised(matrix.clone())
        if answer is None:
            return NOT_YET
        found = as_tensor("answer", answer).float()
        message = _what_is_wrong(matrix, found)
        if message:
            return f"On a {kind} matrix, {shape[0]} x {shape[1]}: {message}"
    return RIGHT_ORTHOGONAL


def _what_is_wrong(matrix: Tensor, found: Tensor) -> str:
    """Return why this is not about U V^T of the matrix, or nothing."""
    if found.shape != matrix.shape:
        return (
            f"the answer has the shape {tuple(found.shape)}. If you work on the "
            "transpose, turn it back at the end."
        )
    if not found.isfinite().all():
        return (
            "NaN or infinity. The polynomial keeps singular values between 0 and about "
            "1.2 there, and larger ones explode: divide by the norm first."
        )
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    target = u @ v
    cosine = float((found * target).sum() / (found.norm() * target.norm() + 1e-12))
    if cosine < -0.9:
        return "the sign is wrong: it points against the matrix."
    levels = torch.linalg.svdvals(found)
    low, high = float(levels.min()), float(levels.max())
    spread = f"the singular values run from {low:.2f} to {high:.2f}"
    if low > 0.6 and high < 1.3:
        if cosine > 0.95:
            return ""
        return (
            f"{spread}, but the directions are others ({cosine:.2f} in common): an "
            "orthogonal matrix, not this one's."
        )
    if cosine > 0.95 and high < 2 * low:
        return f"{spread}: they are equal enough, but not near 1."
    if float(found.norm()) < 1.01:
        return (
            f"{spread}. Dividing by the norm makes the matrix short, and leaves its "
            "singular values as unequal as they were."
        )
    return (
        f"{spread}; they should lie between 0.6 and 1.3. Are there five rounds, and "
        "does each begin from the result of the one before?"
    )


class _WithMaximum(AMSGrad):
    """AMSGrad with somebody's own line for u."""

    def __init__(
        self, params: Any, largest: Callable[[Tensor, Tensor], Any], **settings: Any
    ) -> None:
        super().__init__(params, **settings)
        self._largest = largest

    def second_moment(self, v: Tensor, state: State) -> Tensor:
        """Return what the line says."""
        before = state.get("u", torch.zeros_like(v))
        u = as_tensor("answer", self._largest(before, v))
        state["u"] = u
        return u.clone()


def _corrected(m: Tensor, v: Tensor, t: int, beta1: float, beta2: float) -> Tensor:
    """Return m^ and v^, one above the other."""
    return torch.stack([m / (1 - beta1**t), v / (1 - beta2**t)])


def _joined(pair: Any) -> Tensor:
    """Return two answers one above the other, or nothing where they do not fit."""
    both = [as_tensor("answer", each).float() for each in pair]
    if both[0].shape != both[1].shape:
        return torch.zeros(0)
    return torch.stack(both)
