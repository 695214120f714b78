"""What if gradient ascent set its own step? Auto-PGD (Croce and Hein 2020)."""

import math
from itertools import pairwise

import torch
from torch import Tensor

from smallscale.robustness.images.losses import Found, loss_and_gradient
from smallscale.robustness.images.norms import Ball, choose, direction, per_image
from smallscale.training.evaluation import Model

ASCENT_STEPS = 100  # as in the paper
MOMENTUM = 0.75  # the paper's alpha: the share of the step that the gradient asks for
RISES_WANTED = 0.75  # the paper's rho: of the steps, how many should raise the loss


def apgd(
    model: Model,
    ball: Ball,
    y: Tensor,
    start: Tensor,
    loss: str,
    targets: Tensor | None = None,
) -> Tensor:
    """Return the first point on an ascent from `start` that fools, else the best.
        z = P(x_k + eta d_k),   x_{k+1} = P(x_k + 3/4 (z - x_k) + 1/4 (x_k - x_{k-1}))
    d_k as in `direction`, P the projection (Croce and Hein 2020, algorithm 1).

    The step eta begins at 2 eps. At checkpoints that come ever closer it is halved for
    an image whose loss rose in fewer than three quarters of the steps since the last,
    or whose best did not rise since; that image goes on from its best point.
    y: (batch,) the true classes; start: points of the ball; loss: one of LOSSES;
    targets: (batch,), the classes that "dlr" is to climb towards, None for any.
    """

    def ask(x: Tensor) -> Found:
        return loss_and_gradient(model, ball.as_images(x), y, loss, rival=targets)

    windows = checkpoints(ASCENT_STEPS)
    x = x_before = best_x = first_to_fool = start
    now = best = ask(x)
    fooled = now.fooled
    eta = torch.full_like(now.loss, 2 * ball.eps)
    rises = torch.zeros_like(now.loss)
    just_halved = torch.zeros_like(fooled)
    best_at_checkpoint = best.loss
    for step in range(1, ASCENT_STEPS + 1):
        z = ball.project(x + per_image(eta, x) * direction(now.gradient, ball.norm))
        if step > 1:  # line 8; the first step, line 3, has no momentum yet
            by_gradient, by_momentum = z - x, x - x_before
            z = x + MOMENTUM * by_gradient + (1 - MOMENTUM) * by_momentum
            z = ball.project(z)
        x_before, x = x, z
        loss_before = now.loss
        now = ask(x)
        first_to_fool = choose(now.fooled & ~fooled, x, first_to_fool)
        fooled = fooled | now.fooled
        if fooled.all():
            break
        rises += now.loss > loss_before
        higher = now.loss > best.loss  # lines 9 to 11
        best_x = choose(higher, x, best_x)
        best = now.where(higher, best)
        if step in windows:  # line 12
            rose_rarely = rises < RISES_WANTED * windows[step]  # condition 1
            same_best = best.loss == best_at_checkpoint
            no_progress = ~just_halved & same_best  # condition 2
            halve = rose_rarely | no_progress  # line 13
            eta = choose(halve, eta / 2, eta)  # line 14
            x = choose(halve, best_x, x)
            now = best.where(halve, now)
            rises = torch.zeros_like(rises)
            just_halved = halve
            best_at_checkpoint = best.loss
    return ball.as_images(choose(fooled, first_to_fool, best_x))


def checkpoints(steps: int) -> dict[int, int]:
    """Return the steps at which `apgd` looks back, each with how many it looks back on.

    As shares of the steps they are 0, 0.22, and then each gap is 0.03 shorter than the
    last, but at least 0.06 (Croce and Hein 2020, section 3.2).
    """
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        gap = shares[-1] - shares[-2] - 0.03
        shares.append(shares[-1] + max(gap, 0.06))
    places = [math.ceil(share * steps) for share in shares]
    return {place: place - earlier for earlier, place in pairwise(places)}
