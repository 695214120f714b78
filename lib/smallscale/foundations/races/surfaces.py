"""Which way does an optimizer take down a surface? Five of two dimensions or one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import SGD, Optimizer

from smallscale.core.validation import finite_number, one_of, whole_number
from smallscale.training.update_rules import Adam, AMSGrad, Muon, SophiaG

Array = NDArray[np.float64]
HALF = 2.0  # the surfaces are drawn on [-HALF, HALF] in both directions
TOO_FAR = 1e6
TURN = np.sqrt(0.5)  # of 45 degrees, its sine and cosine


@dataclass(frozen=True)
class Surface:
    """A loss of x and y, its derivatives, and where descent starts.

    value, slope and bend take x and y; slope returns both first derivatives, bend the
    second ones, of x twice and of y twice. best: the least loss.
    """

    value: Callable[[Array, Array], Array]
    slope: Callable[[float, float], tuple[float, float]]
    bend: Callable[[float, float], tuple[float, float]]
    start: tuple[float, float]
    best: float = 0.0


def _turned_slope(x: float, y: float) -> tuple[float, float]:
    """Return the valley's slope where the valley is turned by 45 degrees."""
    along, across = TURN * (x + y), 50 * TURN * (y - x)
    return TURN * (along - across), TURN * (along + across)


SURFACES: Mapping[str, Surface] = {
    "valley along the axes": Surface(
        value=lambda x, y: (x**2 + 50 * y**2) / 2,
        slope=lambda x, y: (x, 50 * y),
        bend=lambda x, y: (1.0, 50.0),
        start=(-1.7, 0.9),
    ),
    "the same valley, turned": Surface(
        value=lambda x, y: ((x + y) ** 2 + 50 * (y - x) ** 2) / 4,
        slope=_turned_slope,
        bend=lambda x, y: (25.5, 25.5),
        start=(TURN * (-1.7 - 0.9), TURN * (-1.7 + 0.9)),
    ),
    "Rosenbrock's bend": Surface(
        value=lambda x, y: (1 - x) ** 2 + 10 * (y - x**2) ** 2,
        slope=lambda x, y: (
            -2 * (1 - x) - 40 * x * (y - x**2),
            20 * (y - x**2),
        ),
        bend=lambda x, y: (2 - 40 * (y - 3 * x**2), 20.0),
        start=(-1.4, 1.8),
    ),
    "a saddle": Surface(
        value=lambda x, y: (x**2 - y**2) / 2 + y**4 / 4,
        slope=lambda x, y: (x, y**3 - y),
        bend=lambda x, y: (1.0, 3 * y**2 - 1),
        start=(-1.8, 0.001),
        best=-0.25,
    ),
}
DESCENDERS = ("momentum", "Adam", "AMSGrad", "SophiaG", "Muon")


def descender(
    name: str, parameters: list[Tensor], lr: float, beta1: float, beta2: float
) -> Optimizer:
    """Return an optimizer by its name among DESCENDERS.

    beta1: how much of the mean gradient is kept, by all. beta2: how much of the mean
    square, or of SophiaG's curvature; momentum and Muon have none.
    """
    lr = finite_number("lr", lr, least=0)
    if one_of("name", name, DESCENDERS) == "momentum":
        # dampening: the mean of gradients, as in the others, not their sum.
        return SGD(parameters, lr=lr, momentum=beta1, dampening=beta1)
    if name == "Muon":
        return Muon(parameters, lr=lr, momentum=beta1, weight_decay=0)
    if name == "SophiaG":
        betas = (beta1, beta2)
        return SophiaG(parameters, lr=lr, betas=betas, rho=1.0, weight_decay=0)
    kind = Adam if name == "Adam" else AMSGrad
    return kind(parameters, lr=lr, betas=(beta1, beta2))


def descend(
    surface: Surface,
    name: str,
    *,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    steps: int = 100,
) -> Array:
    """Return the places of an optimizer on a surface, (steps + 1, 2) at most.

    A path that leaves the plane beyond TOO_FAR ends there. SophiaG is shown the true
    diagonal of the Hessian at each step, and 0 where it is negative; Muon takes the
    point as a matrix of one row, which it makes as long as every other.
    """
    steps = whole_number("steps", steps)
    point = torch.tensor([surface.start], dtype=torch.float64)  # a row
    optimizer = descender(name, [point], lr, beta1, beta2)
    places = [surface.start]
    for _ in range(steps):
        x, y = places[-1]
        if isinstance(optimizer, SophiaG):
            bend = torch.tensor([surface.bend(x, y)], dtype=torch.float64)
            point.grad = bend.clamp(min=0).sqrt()
            optimizer.update_hessian()
        point.grad = torch.tensor([surface.slope(x, y)], dtype=torch.float64)
        if isinstance(optimizer, SophiaG):
            optimizer.step(bs=1)
        else:
            optimizer.step()
        x, y = point[0].tolist()
        places.append((x, y))
        if not max(abs(x), abs(y)) < TOO_FAR:
            break
    return np.array(places)
