"""What can be proved about every image of a ball? Bounds on a network's outputs that no attack can cross.

Interval bound propagation (Gowal et al. 2018) pushes a box through the layers. CROWN (Zhang et al. 2018) puts each
ReLU between two straight lines and carries the outputs back to the pixels, where the box is exact. Both may be loose,
neither is ever wrong: a certificate is a lower bound on robust accuracy, as an attack is an upper one.

The box is the linf ball cut to the bounds. All is computed in double precision, then widened by what the network's
own arithmetic may round, so that the bounds hold for the network as it runs.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.grad import conv2d_input

from smallscale.core.devices import fitting_threads
from smallscale.robustness.images.attacks import (
    as_number,
    check_arguments,
    inspect_outputs,
)
from smallscale.robustness.images.norms import Bounds

Box = tuple[Tensor, Tensor]  # lower and upper ends, each (batch, ...)

ROUNDING = 16  # units in the last place of the largest output; three were needed on digits, of a CNN of four layers
ENTRIES = (
    2**22
)  # numbers in one of CROWN's matrices: memory stays bounded however many images are asked about
WARM_UP, RAMPED = (
    0.05,
    0.5,
)  # the shares of IBP training before the box grows, and when it is grown


def ibp_bounds(
    model: nn.Module, images: Any, eps: float, *, bounds: Bounds = (0.0, 1.0)
) -> Box:
    """Interval bound propagation (Gowal et al. 2018, eq. 6): bounds of each logit over the linf ball.

        centre <- W centre + b,   radius <- |W| radius;   a ReLU takes either end

    model: nn.Sequential of Linear, Conv2d, ReLU, Flatten, and of Sequential of these.
    images: (batch, channels, height, width) within bounds; eps: the radius, per pixel.
    Returns (lower, upper), (batch, classes) each, in the images' type. Raises ValueError for another layer, which
    it names, and for arguments that cannot be right.
    """
    return _logit_bounds(model, images, eps, bounds, crown=False)


def crown_bounds(
    model: nn.Module, images: Any, eps: float, *, bounds: Bounds = (0.0, 1.0)
) -> Box:
    """CROWN (Zhang et al. 2018, theorem 3.2), at every layer intersected with IBP, so never looser.

    A ReLU that may be on or off, l < 0 < u, lies between two lines: a z <= relu(z) <= u (z - l) / (u - l), with
    a = 1 where u > -l, else 0. Arguments, result and errors as for `ibp_bounds`.
    """
    return _logit_bounds(model, images, eps, bounds, crown=True)


def certified(
    model: nn.Module,
    images: Any,
    labels: Any,
    eps: float,
    *,
    method: str = "crown",
    bounds: Bounds = (0.0, 1.0),
) -> Tensor:
    """Of each image, whether its whole linf ball is proved to be read as its label, (batch,) of bool.

    Proved means that every margin z_label - z_other is above 0, strictly. Margins are bounded as one more linear
    layer (Gowal et al. 2018, section 3), which is tighter than the difference of two bounds.
    labels: (batch,); method: "ibp", or "crown", which holds wherever either proves it. The rest as for `ibp_bounds`.
    """
    if method not in ("ibp", "crown"):
        raise ValueError(f"method must be 'ibp' or 'crown'; got {method!r}")
    labels, proved = torch.as_tensor(labels), []
    for layers, boxes, y, slack in _pieces(
        model, images, labels, eps, bounds, crown=method == "crown"
    ):
        margins = margin_bounds(layers[-1:], boxes[-2:], y)
        if method == "crown":
            margins = torch.maximum(margins, margin_bounds(layers, boxes, y))
        proved.append((margins.scatter(1, y[:, None], torch.inf) > slack).all(1))
    return torch.cat(proved).to(torch.as_tensor(images).device)


def ibp_loss(
    eps: float, *, bounds: Bounds = (0.0, 1.0)
) -> Callable[[nn.Module, Tensor, Tensor, float], Tensor]:
    """What IBP training minimises (Gowal et al. 2018, eq. 12), for `train_classifier(..., loss=ibp_loss(0.1))`.

        kappa L(z(x), y) + (1 - kappa) L(worst logits over the box, y)

    With the share of training that is done, the box grows from nothing to eps and kappa falls from 1 to 1/2: the
    first twentieth is plain training, and the last half holds both. Raises ValueError for a layer without bounds.
    """

    def loss(model: nn.Module, x: Tensor, y: Tensor, done: float) -> Tensor:
        ramp = min(max((done - WARM_UP) / (RAMPED - WARM_UP), 0), 1)
        natural = F.cross_entropy(model(x), y)
        if ramp == 0:
            return natural
        layers = list(layers_of(model))
        worst = -margin_bounds(
            layers[-1:],
            propagate(layers, box_around(x, ramp * eps, bounds), crown=False)[-2:],
            y,
        )
        return (1 - ramp / 2) * natural + ramp / 2 * F.cross_entropy(worst, y)

    return loss


def _logit_bounds(
    model: nn.Module, images: Any, eps: float, bounds: Bounds, *, crown: bool
) -> Box:
    images = torch.as_tensor(images)
    pieces = _pieces(
        model,
        images,
        torch.zeros(len(images), dtype=torch.int64),
        eps,
        bounds,
        crown=crown,
    )
    ends = [
        (boxes[-1][0] - slack, boxes[-1][1] + slack) for _, boxes, _, slack in pieces
    ]
    lower, upper = (torch.cat(each).to(images) for each in zip(*ends, strict=True))
    return lower, upper


def _pieces(
    model: nn.Module,
    images: Any,
    labels: Tensor,
    eps: Any,
    bounds: Bounds,
    *,
    crown: bool,
) -> Iterator[tuple[list[nn.Module], list[Box], Tensor, Tensor]]:
    """The arguments, checked, a few images at a time: layers in double precision, boxes before each of them and after
    the last, labels, and what the network's own arithmetic may round of its logits, (batch, 1).
    """
    images, eps = torch.as_tensor(images).detach(), as_number(eps)
    check_arguments(images, labels, eps, "linf", bounds)
    list(layers_of(model))
    inspect_outputs(model, images, labels.long())
    like = next(model.parameters(), images)
    layers = list(layers_of(copy.deepcopy(model).double()))
    precision = max(torch.finfo(like.dtype).eps, torch.finfo(images.dtype).eps)
    # An attack's image, rounded, may lie outside the ball by a unit in the last place; at eps = 0 there is no attack.
    radius = eps + precision * max(map(abs, bounds)) if eps > 0 else 0.0
    with torch.no_grad(), fitting_threads(images):
        one = images[:1].to(like.device, torch.float64)
        largest = max(
            low.numel() for low, _ in propagate(layers, (one, one), crown=False)
        )
        step = max(1, ENTRIES // max(1, largest) ** 2)
        for x, y in zip(images.split(step), labels.split(step), strict=True):
            boxes = propagate(
                layers, box_around(x.to(one), radius, bounds), crown=crown
            )
            slack = (
                ROUNDING
                * precision
                * (1 + torch.maximum(*map(abs, boxes[-1])).amax(1, keepdim=True))
            )
            yield layers, boxes, y.to(like.device, torch.int64), slack


def box_around(x: Tensor, radius: float, bounds: Bounds) -> Box:
    """The box of all images within the radius of x, per pixel, and within bounds."""
    return (x - radius).clamp(*bounds), (x + radius).clamp(*bounds)


def layers_of(model: nn.Module) -> Iterator[nn.Module]:
    """The layers in a row, nested ones unpacked; ValueError names one that has no bounds here."""
    conv = (
        type(model) is nn.Conv2d
        and model.padding_mode == "zeros"
        and not isinstance(model.padding, str)
    )
    if type(model) is nn.Sequential:
        for layer in model:
            yield from layers_of(layer)
    elif conv or type(model) in (nn.Linear, nn.ReLU, nn.Flatten):
        yield model
    else:
        known = "Linear, Conv2d (padded by a number of zeros), ReLU and Flatten"
        raise ValueError(
            f"model must be an nn.Sequential of {known}; got {str(model).splitlines()[0]}"
        )


def propagate(layers: list[nn.Module], box: Box, *, crown: bool) -> list[Box]:
    """The box before the first layer, and after each."""
    boxes = [box]
    for i, layer in enumerate(layers):
        lower, upper = interval(layer, *boxes[-1])
        bends = any(
            isinstance(earlier, nn.ReLU) for earlier in layers[:i]
        )  # before the first, intervals are exact
        if (
            crown
            and bends
            and (i + 1 == len(layers) or isinstance(layers[i + 1], nn.ReLU))
        ):
            lower, upper = tightened(
                layers[: i + 1], boxes, (lower, upper), last=i + 1 == len(layers)
            )
        boxes.append((lower, upper))
    return boxes


def tightened(
    layers: list[nn.Module], boxes: list[Box], box: Box, *, last: bool
) -> Box:
    """The box after these layers, by IBP, intersected with CROWN's: of the logits, or where a ReLU may be on or off."""
    lower, upper = (end.flatten(1) for end in box)
    wanted = (lower < 0) & (upper > 0) | last
    chosen = wanted.any(0).nonzero().squeeze(1)
    rows = (
        F.one_hot(chosen, lower.shape[1]).to(lower).reshape(1, -1, *box[0].shape[1:])
    )  # (1, chosen, ...)
    least, negative_most = linear_bound(
        layers, boxes, torch.cat([rows, -rows], 1)
    ).chunk(2, 1)
    low, high = (
        lower.index_copy(1, chosen, least),
        upper.index_copy(1, chosen, -negative_most),
    )
    low = torch.where(wanted, torch.maximum(low, lower), lower)
    high = torch.where(wanted, torch.minimum(high, upper), upper)
    return low.reshape(box[0].shape), high.reshape(box[0].shape)


def interval(layer: nn.Module, lower: Tensor, upper: Tensor) -> Box:
    """One layer's outputs over a box of its inputs (batch, ...): by centre and radius, or end by end."""
    if not isinstance(layer, nn.Linear | nn.Conv2d):
        return layer(lower), layer(upper)
    weights = {
        name: value.abs() if name == "weight" else 0 * value
        for name, value in layer.named_parameters()
    }
    centre, radius = (
        layer((upper + lower) / 2),
        functional_call(layer, weights, ((upper - lower) / 2,)),
    )
    return centre - radius, centre + radius


def margin_bounds(layers: list[nn.Module], boxes: list[Box], y: Tensor) -> Tensor:
    """Lower bounds of z_y - z_i, (batch, classes); 0 at i = y. boxes: before each of the layers, and after the last."""
    each = torch.eye(boxes[-1][0].shape[1]).to(boxes[0][0])
    return linear_bound(layers, boxes, each[y][:, None] - each)


def linear_bound(layers: list[nn.Module], boxes: list[Box], rows: Tensor) -> Tensor:
    """A lower bound of each row times the last layer's output, over the first box, (batch, rows).

    The rows, (batch or 1, rows, ...), are carried back layer by layer to rows of the first layer's input. Across
    a ReLU a positive entry takes the line below it, a negative one the line above (Zhang et al. 2018, eq. 3).
    boxes: before each of the layers, at least.
    """
    total = rows.new_zeros(())
    for layer, (lower, upper) in zip(
        reversed(layers), reversed(boxes[: len(layers)]), strict=True
    ):
        if isinstance(layer, nn.ReLU):
            on, off = upper.clamp_min(0), (-lower).clamp_min(0)
            slope = on / (on + off).clamp_min(
                1e-300
            )  # of the line above: 1 if always on, 0 if always off
            below = (upper > -lower).to(rows)
            positive, negative = rows.clamp_min(0), rows.clamp_max(0)
            total = total + (negative * (slope * off)[:, None]).flatten(2).sum(2)
            rows = positive * below[:, None] + negative * slope[:, None]
            continue
        count = rows.shape[:2]
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.bias is not None:
            total = total + rows[..., None].flatten(3).sum(3) @ layer.bias
        if isinstance(layer, nn.Linear):
            rows = rows @ layer.weight
        elif isinstance(layer, nn.Conv2d):
            options = layer.stride, layer.padding, layer.dilation, layer.groups
            rows = conv2d_input(
                (count.numel(), *lower.shape[1:]),
                layer.weight,
                rows.flatten(0, 1),
                *options,
            )
        rows = rows.reshape(*count, *lower.shape[1:])
    lower, upper = boxes[0]
    centre, radius = ((upper + lower) / 2).flatten(1), ((upper - lower) / 2).flatten(1)
    rows = rows.flatten(2)
    return total + (rows @ centre[..., None] - rows.abs() @ radius[..., None]).squeeze(
        2
    )
