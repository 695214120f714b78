"""What is the smallest change that is read wrong? The fast adaptive boundary attack.

FAB (Croce and Hein 2020, Minimally distorted adversarial examples) does not climb a
loss inside a ball. It steps onto the boundary between two classes as the gradient draws
it, then back towards the original, and keeps the nearest image that is read wrong. The
scale of the logits does not matter to it: only where two of them are equal.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from smallscale.robustness.images.losses import loss_and_gradient
from smallscale.robustness.images.norms import Ball, Bounds, choose, l2_norm, per_image
from smallscale.training.evaluation import Model

FAB_STEPS = 30  # the paper takes 100, of images of far more pixels
LARGEST_BIAS = 0.1  # the paper's alpha_max: how far a step is drawn to the original
OVERSHOOT = 1.05  # the paper's eta: a little beyond the boundary
BACK = 0.9  # the paper's beta: how much of a success's change the next step keeps
HALVINGS = 3  # of the way between the nearest success and the original, at the end
LEAST = 1e-12  # divided by in place of 0
FARTHEST = 1e30  # in place of infinity, which times 0 is no number


def fab(model: Model, ball: Ball, y: Tensor, targets: Tensor) -> Tensor:
    """Return the nearest images found that are not read as y, if the ball has them.
        x <- (1 - a) (x + 1.05 d(x)) + a (x_0 + 1.05 d(x_0))
    d(x) leads to the nearest point, within bounds, of the plane on which label and
    target have equal logits, as linearised at x; a is the share of d(x)'s length in
    both, at most 0.1 (Croce and Hein 2020, algorithm 1, with one target as in FAB-T).

    y: (batch,) the true classes; targets: (batch,) the classes whose boundary is
    sought. What is found outside of the ball is brought back into it.
    """
    x0 = x = ball.centre
    nearest = _Nearest(x0, torch.full_like(x0.flatten(1)[:, 0], torch.inf))
    for _ in range(FAB_STEPS):
        # The target's logit less the label's, and its gradient.
        gap = loss_and_gradient(
            model, ball.as_images(x), y, "difference", rival=targets
        )
        plane = gap.gradient
        step = to_plane(x, gap.loss, plane, ball.norm, ball.bounds)
        value_at_x0 = gap.loss + (plane * (x0 - x)).flatten(1).sum(1)
        step0 = to_plane(x0, value_at_x0, plane, ball.norm, ball.bounds)
        lengths, lengths0 = _length(step, ball), _length(step0, ball)
        a = lengths / (lengths + lengths0).clamp_min(LEAST)
        a = per_image(a.clamp_max(LARGEST_BIAS), x)
        x = (1 - a) * (x + OVERSHOOT * step) + a * (x0 + OVERSHOOT * step0)
        x = x.clamp(*ball.bounds)
        wrong = nearest.keep(model, ball, x, y)
        x = choose(wrong, x0 + BACK * (x - x0), x)  # back towards the original
    for _ in range(HALVINGS):
        nearest.keep(model, ball, (x0 + nearest.images) / 2, y)
    inside = nearest.length <= ball.eps
    return ball.as_images(choose(inside, nearest.images, ball.project(nearest.images)))


def to_plane(
    x: Tensor, value: Tensor, gradient: Tensor, norm: str, bounds: Bounds
) -> Tensor:
    """Return the shortest change d within bounds with value + gradient . d = 0.

    Every pixel moves towards the plane, in linf by the same amount, in l2 by its share
    of the gradient, until it meets its bound: d_i = sign_i min(s share_i, room_i). How
    far the change leads grows with s, by straight pieces that end where a pixel stops;
    s is found on its piece. Where no change within bounds suffices, all go to theirs.
    x, gradient: (batch, ...); value: (batch,).
    """
    shape = x.shape
    uphill = (gradient * per_image(-value.sign(), x)).nan_to_num(0, 0, 0).flatten(1)
    largest = uphill.abs().amax(1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    uphill = uphill / largest  # the plane is the same, and no square rounds to zero
    wanted = value.abs()[:, None] / largest
    share = uphill.abs() if norm == "l2" else uphill.abs().sign()
    x = x.flatten(1)
    room = torch.where(uphill > 0, bounds[1] - x, x - bounds[0]).clamp_max(FARTHEST)
    gain = uphill.abs() * share  # of the value, for each unit of s
    stops = torch.where(share > 0, room / share, 0).clamp_max(FARTHEST)
    stops, order = stops.sort(1)
    gain = gain.gather(1, order)
    stopped = (gain * stops).cumsum(1)  # won by the pixels that have stopped
    moving = gain.flip(1).cumsum(1).flip(1)  # of those from this one on
    reached = stopped + (moving - gain) * stops >= wanted
    piece = reached.int().argmax(1, keepdim=True)
    won_before = (stopped - gain * stops).gather(1, piece)
    s = (wanted - won_before) / moving.gather(1, piece).clamp_min(LEAST)
    s = torch.where(reached.any(1, keepdim=True), s, FARTHEST)
    change = uphill.sign() * torch.minimum(s * share, room)
    return change.reshape(shape)


@dataclass
class _Nearest:
    """The nearest image read wrong so far: images (batch, ...), its length (batch,)."""

    images: Tensor
    length: Tensor

    def keep(self, model: Model, ball: Ball, x: Tensor, y: Tensor) -> Tensor:
        """Take each of x that is read wrong and nearer; return which are read wrong."""
        shown = ball.as_images(x)
        wrong = loss_and_gradient(model, shown, y, differentiate=False).fooled
        length = _length(shown.to(x) - ball.centre, ball)
        nearer = wrong & (length < self.length)
        self.images = choose(nearer, x, self.images)
        self.length = choose(nearer, length, self.length)
        return wrong


def _length(change: Tensor, ball: Ball) -> Tensor:
    return change.flatten(1).abs().amax(1) if ball.norm == "linf" else l2_norm(change)
