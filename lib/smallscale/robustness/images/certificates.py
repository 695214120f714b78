"""What can be proved about every image of a ball? Bounds that no attack can cross.

Interval bound propagation (Gowal et al. 2018) pushes a box through the layers. CROWN
(Zhang et al. 2018) puts each ReLU between two straight lines and carries the outputs
back to the pixels, where the box is exact. Both may be loose, neither is ever wrong: a
certificate is a lower bound on robust accuracy, as an attack is an upper one.

The box is the linf ball cut to the bounds. All is computed in double precision, then
widened by what the network's own arithmetic may round, so that the bounds hold for the
network as it runs.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smallscale.core.devices import fitting_threads
from smallscale.core.validation import one_of
from smallscale.robustness.images.norms import Bounds
from smallscale.robustness.images.preparation import checked_ball, inspect_outputs
from smallscale.robustness.images.relaxations import (
    Box,
    interval,
    layers_of,
    linear_bound,
    margin_bounds,
)

METHODS = ("ibp", "crown")

# In units in the last place of the largest output, what a network's own arithmetic may
# round; three were needed on digits, of a CNN of four layers.
ROUNDING = 16
# Numbers in one of CROWN's matrices: memory stays bounded however many images are
# asked.
MATRIX_ENTRIES = 2**22
# The shares of IBP training before the box grows, and when it is grown.
WARM_UP = 0.05
RAMPED = 0.5


class LogitBounds(NamedTuple):
    """The least and the greatest that each logit can be, (batch, classes) each."""

    lower: Tensor
    upper: Tensor


def ibp_bounds(
    model: nn.Module, images: Any, eps: float, *, bounds: Bounds = (0.0, 1.0)
) -> LogitBounds:
    """Bound each logit over the linf ball by interval bound propagation.
        centre <- W centre + b,   radius <- |W| radius;   a ReLU takes either end
    (Gowal et al. 2018, eq. 6).

    model: nn.Sequential of Linear, Conv2d, ReLU, Flatten, and of Sequential of these.
    images: (batch, channels, height, width) within bounds; eps: the radius, per pixel.
    Returns (lower, upper), (batch, classes) each, in the images' type.
    Raises ValueError for another layer, which it names, and for arguments that cannot
    be right.

    >>> two_pixels_as_logits = nn.Sequential(nn.Flatten())
    >>> ibp_bounds(two_pixels_as_logits, [[[[0.75, 0.5]]]], 0.125).lower
    tensor([[0.6250, 0.3750]])
    """
    return _logit_bounds(model, images, eps, bounds, method="ibp")


def crown_bounds(
    model: nn.Module, images: Any, eps: float, *, bounds: Bounds = (0.0, 1.0)
) -> LogitBounds:
    """Bound each logit over the linf ball by CROWN, cut to IBP's at every layer.
        a z <= relu(z) <= u (z - l) / (u - l),   a = 1 where u > -l, else 0
    for a ReLU that may be on or off, l < 0 < u (Zhang et al. 2018, theorem 3.2). So it
    is never looser than IBP.

    Arguments, result and errors as for `ibp_bounds`.

    >>> two_pixels_as_logits = nn.Sequential(nn.Flatten())
    >>> crown_bounds(two_pixels_as_logits, [[[[0.75, 0.5]]]], 0.125).upper
    tensor([[0.8750, 0.6250]])
    """
    return _logit_bounds(model, images, eps, bounds, method="crown")


def certified(
    model: nn.Module,
    images: Any,
    labels: Any,
    eps: float,
    *,
    method: str = "crown",
    bounds: Bounds = (0.0, 1.0),
) -> Tensor:
    """Return of which images the whole linf ball is proved to be read as the label.

    Proved means that every margin z_label - z_other is above 0, strictly. Margins are
    bounded as one more linear layer (Gowal et al. 2018, section 3), which is tighter
    than the difference of two bounds.
    labels: (batch,); method: "ibp", or "crown", which holds wherever either proves it.
    The rest as for `ibp_bounds`. Returns (batch,) of bool.

    >>> two_pixels_as_logits = nn.Sequential(nn.Flatten())
    >>> images = [[[[0.75, 0.5]]], [[[0.75, 0.625]]]]
    >>> certified(two_pixels_as_logits, images, [0, 0], 0.1)
    tensor([ True, False])
    """
    one_of("method", method, METHODS)
    labels = torch.as_tensor(labels)
    proved = []
    for piece in _pieces(model, images, labels, eps, bounds, method):
        # The last layer alone, from the box before it: interval bounds of the margins.
        margins = margin_bounds(piece.layers[-1:], piece.boxes[-2:], piece.labels)
        if method == "crown":
            deep = margin_bounds(piece.layers, piece.boxes, piece.labels)
            margins = torch.maximum(margins, deep)
        of_others = margins.scatter(1, piece.labels[:, None], torch.inf)
        proved.append((of_others > piece.slack).all(1))
    return torch.cat(proved).to(torch.as_tensor(images).device)


def ibp_loss(
    eps: float, *, bounds: Bounds = (0.0, 1.0)
) -> Callable[[nn.Module, Tensor, Tensor, float], Tensor]:
    """Return the loss of IBP training, for `train_classifier(..., loss=ibp_loss(0.1))`.
        kappa L(z(x), y) + (1 - kappa) L(worst logits over the box, y)
    (Gowal et al. 2018, eq. 12).

    With the share of training that is done, the box grows from nothing to eps and kappa
    falls from 1 to 1/2: the first twentieth is plain training, and the last half holds
    both. Raises ValueError for a layer without bounds.
    """

    def loss(model: nn.Module, x: Tensor, y: Tensor, done: float) -> Tensor:
        ramp = min(max((done - WARM_UP) / (RAMPED - WARM_UP), 0), 1)
        natural = F.cross_entropy(model(x), y)
        if ramp == 0:
            return natural
        layers = list(layers_of(model))
        boxes = propagate(layers, box_around(x, ramp * eps, bounds), method="ibp")
        worst_logits = -margin_bounds(layers[-1:], boxes[-2:], y)
        worst = F.cross_entropy(worst_logits, y)
        return (1 - ramp / 2) * natural + ramp / 2 * worst  # eq. 12

    return loss


def propagate(layers: list[nn.Module], box: Box, *, method: str) -> list[Box]:
    """Return the box before the first layer, and after each."""
    boxes = [box]
    seen_relu = False
    for i, layer in enumerate(layers):
        after = interval(layer, boxes[-1])
        last = i + 1 == len(layers)
        # Before the first ReLU intervals are exact. Behind it CROWN's bounds are wanted
        # of what the next ReLU takes, and of the output.
        wanted = last or isinstance(layers[i + 1], nn.ReLU)
        if method == "crown" and seen_relu and wanted:
            after = tightened(layers[: i + 1], boxes, after, every=last)
        seen_relu = seen_relu or isinstance(layer, nn.ReLU)
        boxes.append(after)
    return boxes


def tightened(
    layers: list[nn.Module], boxes: list[Box], box: Box, *, every: bool
) -> Box:
    """Return the box after these layers, by IBP, intersected with CROWN's.

    every=False: only where the next ReLU may be on or off; elsewhere it stays IBP's.
    boxes: before each of the layers.
    """
    shape = box.lower.shape
    lower, upper = box.lower.flatten(1), box.upper.flatten(1)
    wanted = (lower < 0) & (upper > 0) | every
    units = wanted.any(0).nonzero().squeeze(1)  # wanted of any image of the batch
    picks = F.one_hot(units, lower.shape[1]).to(lower)
    rows = picks.reshape(1, -1, *shape[1:])  # (1, units, ...)
    both = linear_bound(layers, boxes, torch.cat([rows, -rows], 1))
    least, negative_most = both.chunk(2, 1)
    low = lower.index_copy(1, units, least)
    high = upper.index_copy(1, units, -negative_most)
    low = torch.where(wanted, torch.maximum(low, lower), lower)
    high = torch.where(wanted, torch.minimum(high, upper), upper)
    return Box(low.reshape(shape), high.reshape(shape))


def box_around(x: Tensor, radius: float, bounds: Bounds) -> Box:
    """Return the box of all images within the radius of x, per pixel, and in bounds."""
    return Box((x - radius).clamp(*bounds), (x + radius).clamp(*bounds))


@dataclass(frozen=True)
class _Piece:
    """A few of the images, on the way to their bounds.

    layers: in double precision; boxes: before each layer, and after the last;
    labels: (batch,); slack: (batch, 1), what the network's own arithmetic may round of
    its logits.
    """

    layers: list[nn.Module]
    boxes: list[Box]
    labels: Tensor
    slack: Tensor


def _logit_bounds(
    model: nn.Module, images: Any, eps: float, bounds: Bounds, *, method: str
) -> LogitBounds:
    images = torch.as_tensor(images)
    no_labels = torch.zeros(len(images), dtype=torch.int64)
    lower, upper = [], []
    for piece in _pieces(model, images, no_labels, eps, bounds, method):
        lower.append(piece.boxes[-1].lower - piece.slack)
        upper.append(piece.boxes[-1].upper + piece.slack)
    return LogitBounds(torch.cat(lower).to(images), torch.cat(upper).to(images))


def _pieces(
    model: nn.Module,
    images: Any,
    labels: Tensor,
    eps: Any,
    bounds: Bounds,
    method: str,
) -> Iterator[_Piece]:
    """Check the arguments, and yield the images' boxes, a few images at a time."""
    ball, labels = checked_ball(images, labels, eps, "linf", bounds)
    images = ball.centre.detach()
    list(layers_of(model))  # refuses a layer without bounds
    inspect_outputs(model, images, labels.long())
    like = next(model.parameters(), images)
    layers = list(layers_of(copy.deepcopy(model).double()))
    precision = max(torch.finfo(like.dtype).eps, torch.finfo(images.dtype).eps)
    # An attack's image, rounded, may lie outside the ball by a unit in the last place;
    # at eps = 0 there is no attack.
    largest_value = max(map(abs, bounds))
    radius = ball.eps + precision * largest_value if ball.eps > 0 else 0.0
    with torch.no_grad(), fitting_threads(images):
        doubles = images.to(like.device, torch.float64)
        at_once = _images_at_once(layers, doubles[:1])
        parts = torch.split(doubles, at_once), torch.split(labels, at_once)
        for x, y in zip(*parts, strict=True):
            boxes = propagate(layers, box_around(x, radius, bounds), method=method)
            largest_logit = boxes[-1].magnitude().amax(1, keepdim=True)
            slack = ROUNDING * precision * (1 + largest_logit)
            yield _Piece(layers, boxes, y.to(like.device, torch.int64), slack)


def _images_at_once(layers: list[nn.Module], image: Tensor) -> int:
    """Return how many images may be bounded together, from one image (1, ...)."""
    boxes = propagate(layers, Box(image, image), method="ibp")
    widest = max(box.lower.numel() for box in boxes)
    return max(1, MATRIX_ENTRIES // max(1, widest) ** 2)
