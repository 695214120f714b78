"""What can be proved about every image of a ball? Bounds that no attack can cross.

Interval bound propagation (Gowal et al. 2018) pushes a box through the layers. CROWN
(Zhang et al. 2018) puts each ReLU between two straight lines and carries the outputs
back to the pixels, where the box is exact. Both may be loose, neither is ever wrong: a
certificate is a lower bound on robust accuracy, as an attack is an upper one.

The box is the linf ball cut to the bounds. All is computed in double precision, and
each layer's bounds are widened by the most that the network's own arithmetic, in its
own type and in any order of its sums, can round there (see `rounding`). So the bounds
hold for the network as it runs, not only for its formula. Taken for granted: sums of a
half-precision model are held in float32, as torch holds them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smallscale.core.devices import fitting_threads
from smallscale.core.validation import as_tensor, finite_number, one_of, require
from smallscale.robustness.images.layers import in_double, layers_of
from smallscale.robustness.images.losses import IMAGES_PER_CALL, require_finite
from smallscale.robustness.images.norms import Bounds
from smallscale.robustness.images.preparation import (
    checked_ball,
    checked_bounds,
    inspect_outputs,
)
from smallscale.robustness.images.relaxations import (
    Box,
    interval,
    linear_bound,
    margin_bounds,
)
from smallscale.robustness.images.rounding import (
    UNIT_64,
    Rounding,
    rounded_outwards,
    rounding_of,
)
from smallscale.training.evaluation import outputs
from smallscale.training.loop import class_labels

METHODS = ("ibp", "crown")

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

    Linear layers with no ReLU between them are bounded as the one that they make up.
    model: nn.Sequential of Linear, Conv2d, ReLU, Flatten, and of Sequential of these.
    images: (batch, channels, height, width) within bounds; eps: the radius, per pixel.
    Returns (lower, upper), (batch, classes) each, in the images' type; infinite for an
    image near which the model's type may overflow.
    Raises ValueError for another layer, which it names; for a layer that may compute
    something other than its weights say (a hook, a pruned or parametrized weight, a
    forward of its own); and for arguments that cannot be right.

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
    labels = as_tensor("labels", labels)
    images = as_tensor("images", images)
    proved = []
    for piece in _pieces(model, images, labels, eps, bounds, method):
        margins = _proved_margins(piece, method)
        of_others = margins.scatter(1, piece.labels[:, None], torch.inf)
        # A strict comparison, which NaN fails.
        proved.append((of_others > 0).all(1) & ~piece.overflows)
    return torch.cat(proved).to(images.device)


def ibp_loss(
    eps: float, *, bounds: Bounds = (0.0, 1.0)
) -> Callable[[nn.Module, Tensor, Tensor, float], Tensor]:
    """Return the loss of IBP training, for `train_classifier(..., loss=ibp_loss(0.1))`.
        kappa L(z(x), y) + (1 - kappa) L(worst logits over the box, y)
    (Gowal et al. 2018, eq. 12).

    With the share of training that is done, the box grows from nothing to eps and kappa
    falls from 1 to 1/2: the first twentieth is plain training, and the last half holds
    both. Raises ValueError for a layer without bounds, and for an eps or bounds that
    cannot be right.
    """
    eps = finite_number("eps", eps, least=0)
    bounds = checked_bounds(bounds)

    def loss(model: nn.Module, x: Tensor, y: Tensor, done: float) -> Tensor:
        if y.is_floating_point():
            y = class_labels(y)
        ramp = min(max((done - WARM_UP) / (RAMPED - WARM_UP), 0), 1)
        natural = F.cross_entropy(model(x), y)
        if ramp == 0:
            return natural
        layers = layers_of(model)
        boxes = propagate(layers, box_around(x, ramp * eps, bounds), method="ibp")
        worst_logits = -margin_bounds(*_last_run(layers, boxes), y)
        worst = F.cross_entropy(worst_logits, y)
        return (1 - ramp / 2) * natural + ramp / 2 * worst  # eq. 12

    return loss


def propagate(
    layers: list[nn.Module],
    box: Box,
    *,
    method: str,
    rounding: Rounding | None = None,
) -> list[Box]:
    """Return the box before the first layer, and after each.

    rounding: of the network; None: its arithmetic is taken to be exact.
    """
    boxes = [box]
    run = 0  # where the layers begin that no ReLU parts from this one
    for i, layer in enumerate(layers):
        after = interval(layer, boxes[-1], rounding)
        last = i + 1 == len(layers)
        # A tighter box is wanted of what the next ReLU takes, and of the output.
        wanted = last or isinstance(layers[i + 1], nn.ReLU)
        if wanted and _linear_layers(layers[run : i + 1]) > 1:
            part = layers[run : i + 1]
            after = tightened(part, boxes[run:], after, every=True, rounding=rounding)
        if wanted and method == "crown" and run > 0:  # behind the first ReLU
            part = layers[: i + 1]
            after = tightened(part, boxes, after, every=last, rounding=rounding)
        run = i + 1 if isinstance(layer, nn.ReLU) else run
        boxes.append(after)
    return boxes


def tightened(
    layers: list[nn.Module],
    boxes: list[Box],
    box: Box,
    *,
    every: bool,
    rounding: Rounding | None = None,
) -> Box:
    """Return the box after these layers, by IBP, intersected with CROWN's.

    every=False: only where the next ReLU may be on or off; elsewhere it stays IBP's.
    boxes: before each of the layers.
    """
    shape = box.lower.shape
    lower, upper = box.lower.flatten(1), box.upper.flatten(1)
    wanted = (lower < 0) & (upper > 0) | every
    low, high = lower, upper
    widest = max(each.lower.numel() for each in (*boxes, box))
    units = wanted.any(0).nonzero().squeeze(1)  # wanted of any image of the batch
    for some in torch.split(units, max(1, MATRIX_ENTRIES // max(1, widest))):
        picks = F.one_hot(some, lower.shape[1]).to(lower)
        rows = picks.reshape(1, -1, *shape[1:])  # (1, units, ...)
        both = linear_bound(layers, boxes, torch.cat([rows, -rows], 1), rounding)
        least, negative_most = both.chunk(2, 1)
        low = low.index_copy(1, some, least)
        high = high.index_copy(1, some, -negative_most)
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
    labels: (batch,); rounding: of the network; overflows: (batch,) of bool, whether the
    network's own type may overflow near an image.
    """

    layers: list[nn.Module]
    boxes: list[Box]
    labels: Tensor
    rounding: Rounding
    overflows: Tensor


def _logit_bounds(
    model: nn.Module, images: Any, eps: float, bounds: Bounds, *, method: str
) -> LogitBounds:
    images = as_tensor("images", images)
    no_labels = torch.zeros(images.shape[:1], dtype=torch.int64)
    lower, upper = [], []
    for piece in _pieces(model, images, no_labels, eps, bounds, method):
        low, high = piece.boxes[-1]
        unknown = piece.overflows[:, None] | ~(low <= high)
        low, high = rounded_outwards(low, high, images.dtype)
        lower.append(low.masked_fill(unknown, -torch.inf))
        upper.append(high.masked_fill(unknown, torch.inf))
    return LogitBounds(
        torch.cat(lower).to(images.device), torch.cat(upper).to(images.device)
    )


def _proved_margins(piece: _Piece, method: str) -> Tensor:
    """Return lower bounds of the label's logit less each other, (batch, classes)."""
    # The linear layers at the end, from the box before them, make interval bounds.
    layers, boxes = _last_run(piece.layers, piece.boxes)
    margins = margin_bounds(layers, boxes, piece.labels, piece.rounding)
    if method == "crown":
        deep = margin_bounds(piece.layers, piece.boxes, piece.labels, piece.rounding)
        margins = torch.maximum(margins, deep)
    # And the difference of two logits' bounds, which a ReLU at the end may need.
    lower, upper = piece.boxes[-1]
    of_label = lower.gather(1, piece.labels[:, None])
    return torch.maximum(margins, of_label - upper)


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
    in_its_type = layers_of(model)  # refuses a layer without bounds
    rounding = rounding_of(model, images)
    inspect_outputs(model, images, labels.long())
    like = next(model.parameters(), images)
    layers = [in_double(layer) for layer in in_its_type]
    with torch.no_grad(), fitting_threads(images):
        doubles = images.to(like.device, torch.float64)
        _check_shapes(layers, doubles[:1])
        _check_outputs(model, images, layers, rounding)
        at_once = _images_at_once(layers, doubles[:1])
        parts = torch.split(doubles, at_once), torch.split(labels, at_once)
        for x, y in zip(*parts, strict=True):
            around = _box_of_ball(x, ball.eps, ball.bounds, rounding)
            boxes = propagate(layers, around, method=method, rounding=rounding)
            overflows = _may_overflow(layers, boxes, rounding)
            y = y.to(like.device, torch.int64)
            yield _Piece(layers, boxes, y, rounding, overflows)


def _box_of_ball(x: Tensor, eps: float, bounds: Bounds, rounding: Rounding) -> Box:
    """Return what the model may be shown of the balls around images x, in double.

    An attack's image, rounded to the images' type, may lie outside the ball by a unit
    in the last place, and so may the bounds; at eps = 0 there is no attack.
    """
    in_type = torch.tensor(bounds, dtype=torch.float64).to(rounding.images).tolist()
    low, high = min(bounds[0], in_type[0]), max(bounds[1], in_type[1])
    of_images = float(x.abs().amax()) if x.numel() else 0.0
    largest = min(max(abs(low), abs(high)), of_images + eps)
    unit = torch.finfo(rounding.images).eps + 4 * UNIT_64
    radius = eps + unit * (largest + min(eps, largest)) if eps > 0 else 0.0
    box = box_around(x, radius, (low, high))
    lost = rounding.of_images(box.magnitude())
    return Box(box.lower - lost, box.upper + lost)


def _may_overflow(
    layers: list[nn.Module], boxes: list[Box], rounding: Rounding
) -> Tensor:
    """Say for which images, (batch,) of bool, a layer may become infinite or NaN."""
    found = ~boxes[-1].magnitude().isfinite().all(1)
    for layer, box in zip(layers, boxes[:-1], strict=True):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            found = found | rounding.may_overflow(layer, box.magnitude())
    return found


def _check_shapes(layers: list[nn.Module], image: Tensor) -> None:
    """Refuse a layer that would mix the images of a batch.

    Such is a Conv2d that takes the batch for channels, and a Flatten from dimension 0.
    """
    box = Box(image, image)
    for layer in layers:
        batch = isinstance(layer, nn.Conv2d) and image.dim() != 4
        image = interval(layer, box).lower if not batch else image
        box = Box(image, image)
        message = "model must keep each image apart; a layer mixes those of a batch"
        require(not batch and len(image) == len(box.lower), f"{message}: {layer}")


def _check_outputs(
    model: nn.Module, images: Tensor, layers: list[nn.Module], rounding: Rounding
) -> None:
    """Refuse a model that does not compute what its layers say, whatever the reason.

    All images are looked at. At eps = 0 the bounds leave room for rounding and nothing
    else.
    """
    for first, some in enumerate(torch.split(images, IMAGES_PER_CALL)):
        logits = outputs(model, some).double()
        require_finite(logits, first * IMAGES_PER_CALL)
        at_images = some.to(logits)
        lost = rounding.of_images(at_images.abs())
        box = Box(at_images - lost, at_images + lost)
        boxes = propagate(layers, box, method="ibp", rounding=rounding)
        inside = (boxes[-1].lower <= logits) & (logits <= boxes[-1].upper)
        inside = inside.all(1) | _may_overflow(layers, boxes, rounding)
        message = (
            "model must compute what its layers' weights say; its outputs do not: "
            "remove what changes them (a hook, a patched forward)"
        )
        require(inside.all(), message)


def _linear_layers(layers: list[nn.Module]) -> int:
    return sum(isinstance(layer, nn.Linear | nn.Conv2d) for layer in layers)


def _last_run(
    layers: list[nn.Module], boxes: list[Box]
) -> tuple[list[nn.Module], list[Box]]:
    """Return the layers behind the last ReLU, and the boxes before and after each."""
    relus = [i for i, layer in enumerate(layers) if isinstance(layer, nn.ReLU)]
    start = relus[-1] + 1 if relus else 0
    return layers[start:], boxes[start:]


def _images_at_once(layers: list[nn.Module], image: Tensor) -> int:
    """Return how many images may be bounded together, from one image (1, ...)."""
    boxes = propagate(layers, Box(image, image), method="ibp")
    widest = max(box.lower.numel() for box in boxes)
    return max(1, MATRIX_ENTRIES // max(1, widest) ** 2)
