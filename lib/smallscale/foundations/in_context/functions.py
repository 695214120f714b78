"""What is to be learnt from a prompt? Fresh random functions, and examples of them.

Garg, Tsipras, Liang and Valiant 2022: a prompt is x_1, f(x_1), x_2, f(x_2), … for a
function f that nobody has seen before.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from smallscale.core.validation import (
    finite_number,
    one_of,
    require,
    vectors,
    whole_number,
)

KINDS = ("linear", "sparse")
SHIFTS = ("as trained", "inputs twice as large", "noisy examples", "half the inputs 0")
LARGER = 2.0  # the factor of the inputs under the second shift
NOISE = 1.0  # standard deviation under the third; an answer's own is sqrt(dimensions)


class Prompts(NamedTuple):
    """Examples of n functions.

    x: (n, points, dimensions) inputs. shown: (n, points) the answers that a learner
    sees. asked: (n, points) those that it is to predict, without noise. w: (n,
    dimensions) the functions themselves, which no learner sees.
    """

    x: Tensor
    shown: Tensor
    asked: Tensor
    w: Tensor


def draw_prompts(
    n: int,
    points: int,
    dimensions: int,
    *,
    kind: str = "linear",
    nonzero: int = 1,
    shift: str = "as trained",
    generator: Generator,
) -> Prompts:
    """Return prompts of n fresh functions f(x) = w . x:
        x_i and w standard normal, another w for each prompt.

    kind: "linear", or "sparse", where all but `nonzero` entries of w are 0, in places
    drawn at random. shift: one of SHIFTS, for a test of what was learnt. Raises
    ValueError for sizes below 1, more nonzero entries than dimensions, and unknown
    names.

    >>> prompts = draw_prompts(2, 3, 5, generator=Generator().manual_seed(0))
    >>> prompts.x.shape, prompts.shown.shape
    (torch.Size([2, 3, 5]), torch.Size([2, 3]))
    """
    n = whole_number("n", n)
    points = whole_number("points", points)
    dimensions = whole_number("dimensions", dimensions)
    one_of("kind", kind, KINDS)
    one_of("shift", shift, SHIFTS)
    x = torch.randn(n, points, dimensions, generator=generator)
    w = torch.randn(n, dimensions, generator=generator)
    if kind == "sparse":
        kept = whole_number("nonzero", nonzero, most=dimensions)
        rank = torch.rand(n, dimensions, generator=generator).argsort(1)
        w = w * (rank < kept)
    if shift == "inputs twice as large":
        x = LARGER * x
    elif shift == "half the inputs 0":
        x[..., (dimensions + 1) // 2 :] = 0
    asked = torch.einsum("npd,nd->np", x, w)
    shown = asked
    if shift == "noisy examples":
        shown = asked + NOISE * torch.randn(n, points, generator=generator)
    return Prompts(x, shown, asked, w)


def relative_error(predictions: Tensor, prompts: Prompts) -> Tensor:
    """Return the mean squared error by number of examples, as a share of that of
    answering 0; (points,).

    predictions: (n, points), the i-th made from the i - 1 examples before it. A value
    of 1 is no better than 0 always, whatever the scale of the inputs. Raises ValueError
    for another shape.
    """
    asked = prompts.asked
    require(
        predictions.shape == asked.shape,
        f"predictions must be (n, points) = {tuple(asked.shape)}; got "
        f"{tuple(predictions.shape)}",
    )
    return (predictions - asked).square().mean(0) / asked.square().mean()


def share_solved(
    predictions: Tensor, prompts: Prompts, *, within: float = 0.5, last: int = 3
) -> float:
    """Return the share of the functions whose last answers are all within a distance.

    predictions: (n, points), as for `relative_error`. It judges a function as solved or
    not, where an error falls bit by bit (Schaeffer et al. 2023).
    Raises ValueError for a distance that is not above 0, and for no answer.
    """
    within = finite_number("within", within, above=0)
    gap = (predictions - prompts.asked)[:, -whole_number("last", last) :].abs()
    return float((gap < within).all(1).double().mean())


def half_way(steps: Any, values: Any) -> float:
    """Return the first step at which a measure has come half of its way or more.

    steps, values: (n,), the way going from the first value to the last. Where these
    two are equal there is no way to go: the first step. Raises ValueError for lengths
    that differ, and what is not (n,).

    >>> half_way([0, 10, 20, 30], [1.0, 0.9, 0.4, 0.2])
    20.0
    """
    taken, reached = vectors(steps=steps, values=values)
    way = reached[-1] - reached[0]
    come = (reached - reached[0]) / way if way else np.ones_like(reached)
    return float(taken[(come >= 0.5).argmax()])
