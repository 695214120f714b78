"""How does a layer bound what comes out of it? By intervals, and by straight lines.

The two ways of `certificates`: a box pushed forwards through one layer (Gowal et al.
2018), and rows of coefficients carried backwards through many (Zhang et al. 2018).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import grad

from smallscale.robustness.images.rounding import UNIT_64, Rounding, linear

TINY = 1e-300  # divided by in place of 0
# Roundings of a ReLU's two lines in the bounds' own arithmetic, in its input's units.
RELU_ROUNDINGS = 16

# torch's gradient of a convolution with respect to its input, which has no types.
_conv2d_input: Callable[..., Tensor] = grad.conv2d_input


class Box(NamedTuple):
    """The lower and the upper end of each value, (batch, ...) each."""

    lower: Tensor
    upper: Tensor

    def magnitude(self) -> Tensor:
        """Return the largest absolute value of each, (batch, ...)."""
        return torch.maximum(self.lower.abs(), self.upper.abs())


def interval(layer: nn.Module, box: Box, rounding: Rounding | None = None) -> Box:
    """Return one layer's outputs over a box of its inputs (Gowal et al. 2018, eq. 6).
        centre <- W centre + b,   radius <- |W| radius + what is rounded

    A linear layer goes by centre and radius, any other end by end. rounding: of the
    network; None: its arithmetic is taken to be exact.
    """
    if isinstance(layer, nn.ReLU):
        return Box(F.relu(box.lower), F.relu(box.upper))  # never in place
    if isinstance(layer, nn.Flatten):
        ends = layer.start_dim, layer.end_dim
        return Box(box.lower.flatten(*ends), box.upper.flatten(*ends))
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    no_bias = None if layer.bias is None else 0 * layer.bias
    middle = (box.upper + box.lower) / 2
    half_width = (box.upper - box.lower) / 2
    centre = linear(layer, middle, layer.weight, layer.bias)
    radius = linear(layer, half_width, layer.weight.abs(), no_bias)
    if rounding is not None:
        radius = radius + rounding.of_layer(layer, box.magnitude())
    return Box(centre - radius, centre + radius)


def margin_bounds(
    layers: list[nn.Module],
    boxes: list[Box],
    y: Tensor,
    rounding: Rounding | None = None,
) -> Tensor:
    """Return lower bounds of z_y - z_i, (batch, classes); 0 at i = y.

    boxes: before each of the layers, and after the last; y: (batch,) the labels.
    """
    classes = boxes[-1].lower.shape[1]
    each = torch.eye(classes).to(boxes[0].lower)
    return linear_bound(layers, boxes, each[y][:, None] - each, rounding)


def linear_bound(
    layers: list[nn.Module],
    boxes: list[Box],
    rows: Tensor,
    rounding: Rounding | None = None,
) -> Tensor:
    """Return a lower bound of each row times the last layer's output, (batch, rows).
        min over the box of a x + c  =  a centre - |a| radius + c
    with (a, c) the row carried back through the layers (Zhang et al. 2018, theorem
    3.2).

    rows: (batch or 1, rows, ...), shaped as the output; boxes: before each of the
    layers, at least. The bound holds over the first box. rounding: as for `interval`.
    """
    constant = rows.new_zeros(())
    for layer, box in zip(
        reversed(layers), reversed(boxes[: len(layers)]), strict=True
    ):
        if rounding is not None:
            constant = constant - _lost(layer, box, rows, rounding)
        rows, added = _carried_back(layer, box, rows)
        constant = constant + added
    lower, upper = boxes[0]
    centre = ((upper + lower) / 2).flatten(1)
    radius = ((upper - lower) / 2).flatten(1)
    rows = rows.flatten(2)
    if rounding is not None:  # of the line below
        own = (rows.shape[2] + RELU_ROUNDINGS) * UNIT_64 * boxes[0].magnitude()
        radius = radius + 2 * own.flatten(1)
    least = rows @ centre[..., None] - rows.abs() @ radius[..., None]
    return constant + least.squeeze(2)


def _lost(layer: nn.Module, box: Box, rows: Tensor, rounding: Rounding) -> Tensor:
    """Return what each row loses to rounding in a layer, (batch, rows) or ().

    box: of the layer's input; rows: of its output.
    """
    if isinstance(layer, nn.Flatten):
        return rows.new_zeros(())
    if isinstance(layer, nn.ReLU):
        slack = RELU_ROUNDINGS * UNIT_64 * box.magnitude()
    else:
        slack = rounding.of_layer(layer, box.magnitude())
    lost = rows.abs().flatten(2) @ slack.flatten(1)[..., None]
    return lost.squeeze(2)


def _carried_back(layer: nn.Module, box: Box, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows of the layer's input, and the constants that come with them.

    box: of the layer's input. Constants: (batch or 1, rows), or () for none.
    """
    if isinstance(layer, nn.ReLU):
        return _carried_back_through_relu(box, rows)
    constant = rows.new_zeros(())
    count = rows.shape[:2]
    if isinstance(layer, nn.Linear):
        # It acts on the last dimension, wherever in the others it stands.
        if layer.bias is not None:
            of_each_place = (rows @ layer.bias)[..., None]
            constant = of_each_place.flatten(2).sum(2)
        rows = rows @ layer.weight
    elif isinstance(layer, nn.Conv2d):
        if layer.bias is not None:
            by_channel = rows.flatten(3).sum(3)  # one bias for each channel
            constant = by_channel @ layer.bias
        rows = _conv2d_input(
            (count.numel(), *box.lower.shape[1:]),
            layer.weight,
            rows.flatten(0, 1),
            layer.stride,
            layer.padding,
            layer.dilation,
            layer.groups,
        )
    return rows.reshape(*count, *box.lower.shape[1:]), constant


def _carried_back_through_relu(box: Box, rows: Tensor) -> tuple[Tensor, Tensor]:
    """A positive entry takes the line below the ReLU, a negative one the line above.

    Line above: slope (z - l) with slope = u / (u - l), which is 1 where the ReLU is
    always on and 0 where it is always off. Line below: z where u > -l, else 0 (Zhang et
    al. 2018, eq. 3).
    """
    on = box.upper.clamp_min(0)
    off = (-box.lower).clamp_min(0)
    slope_above = on / (on + off).clamp_min(TINY)
    slope_below = (box.upper > -box.lower).to(rows)
    positive, negative = rows.clamp_min(0), rows.clamp_max(0)
    constant = (negative * (slope_above * off)[:, None]).flatten(2).sum(2)
    carried = positive * slope_below[:, None] + negative * slope_above[:, None]
    return carried, constant
