"""How far does an optimizer step when the gradients are given? One weight, followed."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from smallscale.core.validation import (
    as_array,
    finite_number,
    one_of,
    whole_number,
)

EPS_PLACES = ("outside", "before correction", "inside")

Rule = Callable[[list[Tensor]], Optimizer]  # parameters -> what moves them


def follow(
    rule: Rule,
    gradients: Any,
    start: Any = 0.0,
    *,
    rate: Callable[[int], float] | None = None,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Tensor:
    """Return where weights stand at the start and after each gradient.

    rule: called with the weights in a list; returns the optimizer.
    gradients: (steps,), or (steps, weights). start: a number for all weights, or one
    for each. rate: the learning rate of each step by its number, 1 the first; without
    it the rule's own. bounds: a weight that leaves them is put back on the nearer.
    Returns (steps + 1, ...), float64.

    >>> follow(lambda x: torch.optim.SGD(x, lr=1.0), [1.0, -3.0]).tolist()
    [0.0, -1.0, 2.0]
    """
    given = torch.as_tensor(as_array("gradients", gradients), dtype=torch.float64)
    x = torch.zeros_like(given[0]).add(torch.as_tensor(start)).requires_grad_()
    optimizer = rule([x])
    places = [x.detach().clone()]
    for t, gradient in enumerate(given, start=1):
        if rate is not None:
            optimizer.param_groups[0]["lr"] = rate(t)
        x.grad = gradient
        optimizer.step()
        x.data.clamp_(*bounds)
        places.append(x.detach().clone())
    return torch.stack(places)


def adam_steps(
    gradients: Any,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    corrected: bool = True,
    eps_place: str = "outside",
) -> NDArray[np.float64]:
    """Return the steps of Adam for one weight, in units of the learning rate, the
    corrections by 1 - beta^t left out if not `corrected`.

    gradients: (steps,). eps_place: "outside" the root, of the corrected v, as in the
    paper's algorithm 1 and here; "before correction", where it is added to the root of
    v as it is (the paper's faster form); "inside" the root, beside v. The step is the
    fall of the weight: positive for a positive gradient. Returns (steps,).

    >>> adam_steps([5.0]).round(3), adam_steps([5.0], corrected=False).round(3)
    (array([1.]), array([3.162]))
    """
    one_of("eps_place", eps_place, EPS_PLACES)
    beta1, beta2 = betas
    m = v = 0.0
    steps = []
    for t, g in enumerate(as_array("gradients", gradients, dtype=float), start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        one_minus1 = 1 - beta1**t if corrected else 1.0
        one_minus2 = 1 - beta2**t if corrected else 1.0
        if eps_place == "outside":
            below = math.sqrt(v / one_minus2) + eps
        elif eps_place == "before correction":
            below = (math.sqrt(v) + eps) / math.sqrt(one_minus2)
        else:
            below = math.sqrt(v / one_minus2 + eps)
        steps.append(m / one_minus1 / below)
    return np.array(steps)


def in_turn(steps: int, c: float = 3.0) -> NDArray[np.float64]:
    """Return the gradients c, -1, -1 in turn (Reddi et al. 2018, theorem 1).

    They sum to c - 2 over three steps, which is above 0 for c > 2: the best weight in
    [-1, 1] is -1, and 1 is the worst.

    >>> in_turn(5).tolist()
    [3.0, -1.0, -1.0, 3.0, -1.0]
    """
    steps = whole_number("steps", steps)
    c = finite_number("c", c, above=2)
    return np.where(np.arange(steps) % 3 == 0, c, -1.0)
