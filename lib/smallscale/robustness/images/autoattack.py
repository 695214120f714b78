"""How much of a model's robustness is only the attacker's bad tuning? An ensemble of attacks with nothing to tune.

AutoAttack (Croce and Hein 2020) runs attacks that fail in different ways, one after the other: gradient ascent that
sets its own step, on cross-entropy and on the DLR loss, and Square (Andriushchenko et al. 2020), which asks for no
gradient at all. An image counts as robust only if all of them fail.
"""

import math
from itertools import pairwise, product
from typing import Any

import torch
from torch import Tensor

from smallscale.robustness.images.attacks import attackable, look, margin
from smallscale.robustness.images.norms import (
    Bounds,
    choose,
    direction,
    l2_norm,
    per_image,
    project,
    random_change,
    signs,
)
from smallscale.training.evaluation import Model, predict_logits

STEPS = 100  # of each ascent, as in the paper
STARTS = 3  # of each ascent: the image itself, and random points of the ball
QUERIES = 1000  # of Square; the paper's 5,000 are for images of far more pixels


def autoattack(
    model: Model,
    images: Any,
    labels: Any,
    eps: float,
    *,
    norm: str = "linf",
    bounds: Bounds = (0.0, 1.0),
    generator: torch.Generator | None = None,
) -> Tensor:
    """APGD on cross-entropy, APGD on DLR, Square (Croce and Hein 2020, section 6); each meets what the last left.

    images, labels, eps, norm, bounds: as for `pgd`. With two classes DLR is left out: it needs three.
    generator: of the random starts and squares; None is a private one seeded 0. Each draw serves all images, so
    that no result depends on what else is in the batch.
    Returns images of the same shape and type, detached: inside the ball and read wrong, or, where every attack
    failed, the original. So one read wrong before comes back as it was, and with eps = 0 all do.
    Raises ValueError for arguments that cannot be right.
    """
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    with attackable(model, images, labels, eps, norm, bounds) as (x, y, eps):
        if eps == 0 or len(x) == 0:
            return x
        found, left = (
            x.clone(),
            (~look(model, x, y, differentiate=False)[1]).nonzero().squeeze(1),
        )
        losses = ("ce", "dlr") if predict_logits(model, x[:1]).shape[1] > 2 else ("ce",)
        for loss, start in [*product(losses, range(STARTS)), ("none", 0)]:
            if len(left) == 0:
                break
            origin, wanted = x[left], y[left]
            if loss == "none":
                result = square(model, origin, wanted, eps, norm, bounds, generator)
            else:
                change = random_change(x, eps, norm, generator) if start else 0
                first = project(origin + change, origin, eps, norm, bounds)
                result = apgd(model, origin, wanted, first, eps, norm, bounds, loss)
            found[left] = result
            left = left[~look(model, result, wanted, differentiate=False)[1]]
        found[left] = x[left]
        return found


def apgd(
    model: Model,
    x: Tensor,
    y: Tensor,
    start: Tensor,
    eps: float,
    norm: str,
    bounds: Bounds,
    loss: str,
) -> Tensor:
    """Auto-PGD (Croce and Hein 2020, algorithm 1) from `start`: the first point found that fools, else the best.

        z = P(x_k + eta d_k),   x_{k+1} = P(x_k + 3/4 (z - x_k) + 1/4 (x_k - x_{k-1})),   d_k as in `direction`

    The step eta begins at 2 eps. At checkpoints that come ever closer it is halved for an image whose loss rose in
    fewer than three quarters of the steps since the last, or whose best did not rise since; that image goes on
    from its best point.
    """
    checks = checkpoints(STEPS)
    gain, fooled, gradient = look(model, start, y, loss=loss)
    here = before = best = found = start
    best_gain, best_gradient, best_then = gain, gradient, gain
    eta, rises, halved = (
        torch.full_like(gain, 2 * eps),
        torch.zeros_like(gain),
        torch.zeros_like(fooled),
    )
    for step in range(1, STEPS + 1):
        z = project(
            here + per_image(eta, x) * direction(gradient, norm), x, eps, norm, bounds
        )
        if step > 1:
            z = project(
                here + 0.75 * (z - here) + 0.25 * (here - before), x, eps, norm, bounds
            )
        before, here, last = here, z, gain
        gain, fools, gradient = look(model, here, y, loss=loss)
        found, fooled = choose(fools & ~fooled, here, found), fooled | fools
        if fooled.all():
            break
        rises += gain > last
        better = gain > best_gain
        best, best_gradient = (
            choose(better, here, best),
            choose(better, gradient, best_gradient),
        )
        best_gain = choose(better, gain, best_gain)
        if step in checks:
            stuck = (rises < 0.75 * checks[step]) | (~halved & (best_gain == best_then))
            here, gradient = (
                choose(stuck, best, here),
                choose(stuck, best_gradient, gradient),
            )
            eta, gain = choose(stuck, eta / 2, eta), choose(stuck, best_gain, gain)
            rises, halved, best_then = torch.zeros_like(rises), stuck, best_gain
    return choose(fooled, found, best)


def checkpoints(steps: int) -> dict[int, int]:
    """The steps at which `apgd` looks back (section 3.2 of the paper), each with how many steps it looks back on."""
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    places = [math.ceil(share * steps) for share in shares]
    return {place: place - last for last, place in pairwise(places)}


def square(
    model: Model,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: str,
    bounds: Bounds,
    generator: torch.Generator,
) -> Tensor:
    """Square (Andriushchenko et al. 2020, algorithms 1 to 3): random squares, kept where the margin falls.

    linf: a square's pixels all move to +eps or all to -eps, channel by channel. l2: the change's length in two
    squares is gathered in the first, as its old pattern plus a pyramid of random sign. The squares shrink as queries
    are spent. The pyramid, and stripes as the l2 start, are simpler than the paper's.
    """
    # Images that are not (channels, height, width) are rows of pixels; a square is then a stretch of them.
    origin = x if x.dim() == 4 else x.reshape(len(x), 1, 1, -1)
    _, channels, height, width = origin.shape
    size = eps if norm == "linf" else eps / math.sqrt(origin[0].numel())
    best = project(
        origin + size * signs((1, channels, 1, width), x, generator),
        origin,
        eps,
        norm,
        bounds,
    )
    lowest = margin(predict_logits(model, best.reshape(x.shape)).to(y.device), y)
    for query in range(1, QUERIES):
        if (lowest < 0).all():
            break
        halvings = sum(
            query * 10_000 > QUERIES * after
            for after in (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
        )
        side = max(1, round(math.sqrt(0.8 * 0.5**halvings * height * width)))
        first, second = (pyramid(height, width, side, x, generator) for _ in range(2))
        sign, change = signs((1, channels, 1, 1), x, generator), best - origin
        if norm == "linf":
            change = torch.where(first > 0, eps * sign, change)
        else:
            rest = torch.where((first > 0) | (second > 0), 0, change)
            inside = torch.where(first > 0, change, 0)
            pattern = (
                inside / per_image(l2_norm(inside).clamp_min(1e-12), origin)
                + sign * first
            )
            length = (eps**2 - l2_norm(rest) ** 2).clamp_min(0).sqrt() / l2_norm(
                pattern
            ).clamp_min(1e-12)
            change = rest + per_image(length, origin) * pattern
        moved = project(origin + change, origin, eps, norm, bounds)
        now = margin(predict_logits(model, moved.reshape(x.shape)).to(y.device), y)
        best, lowest = choose(now < lowest, moved, best), torch.minimum(now, lowest)
    return best.reshape(x.shape)


def pyramid(
    height: int, width: int, side: int, like: Tensor, generator: torch.Generator
) -> Tensor:
    """A square of `side` pixels somewhere in the image, highest in its middle, of length 1, (1, 1, height, width)."""
    slopes = []
    for length in (height, width):
        inside = min(side, length)
        start = torch.randint(
            0, length - inside + 1, (), generator=generator, device=generator.device
        ).to(like.device)
        middle = start + (inside - 1) / 2
        slopes.append(
            (
                (inside + 1) / 2
                - (torch.arange(length, device=like.device) - middle).abs()
            ).clamp_min(0)
        )
    shape = slopes[0][:, None] * slopes[1]
    return (shape / shape.norm()).to(like)[None, None]
