"""How does a layer bound what comes out of it? By intervals, and by straight lines.

The two ways of `certificates`: a box pushed forwards through one layer (Gowal et al.
2018), and rows of coefficients carried backwards through many (Zhang et al. 2018).
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import grad

TINY = 1e-300  # divided by in place of 0

# torch's gradient of a convolution with respect to its input, which has no types.
_conv2d_input: Callable[..., Tensor] = grad.conv2d_input


class Box(NamedTuple):
    """The lower and the upper end of each value, (batch, ...) each."""

    lower: Tensor
    upper: Tensor

    def magnitude(self) -> Tensor:
        """Return the largest absolute value of each, (batch, ...)."""
        return torch.maximum(self.lower.abs(), self.upper.abs())


def layers_of(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers in a row, nested ones unpacked.

    Raises ValueError, which names the layer, for one that has no bounds here.
    """
    if type(model) is nn.Sequential:
        for layer in model:
            yield from layers_of(layer)
    elif _has_bounds(model):
        yield model
    else:
        known = "Linear, Conv2d (padded by a number of zeros), ReLU and Flatten"
        given = str(model).splitlines()[0]
        raise ValueError(f"model must be an nn.Sequential of {known}; got {given}")


def _has_bounds(layer: nn.Module) -> bool:
    if type(layer) is nn.Conv2d:
        return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return type(layer) in (nn.Linear, nn.ReLU, nn.Flatten)


def interval(layer: nn.Module, box: Box) -> Box:
    """Return one layer's outputs over a box of its inputs (Gowal et al. 2018, eq. 6).

    A linear layer goes by centre and radius, any other end by end.
    """
    if not isinstance(layer, nn.Linear | nn.Conv2d):
        return Box(layer(box.lower), layer(box.upper))
    centre = layer((box.upper + box.lower) / 2)  # W centre + b
    absolute = {
        name: value.abs() if name == "weight" else 0 * value
        for name, value in layer.named_parameters()
    }
    radius = functional_call(layer, absolute, ((box.upper - box.lower) / 2,))
    return Box(centre - radius, centre + radius)


def margin_bounds(layers: list[nn.Module], boxes: list[Box], y: Tensor) -> Tensor:
    """Return lower bounds of z_y - z_i, (batch, classes); 0 at i = y.

    boxes: before each of the layers, and after the last; y: (batch,) the labels.
    """
    classes = boxes[-1].lower.shape[1]
    each = torch.eye(classes).to(boxes[0].lower)
    return linear_bound(layers, boxes, each[y][:, None] - each)


def linear_bound(layers: list[nn.Module], boxes: list[Box], rows: Tensor) -> Tensor:
    """Return a lower bound of each row times the last layer's output, (batch, rows).
        min over the box of a x + c  =  a centre - |a| radius + c
    with (a, c) the row carried back through the layers (Zhang et al. 2018, theorem
    3.2).

    rows: (batch or 1, rows, ...), shaped as the output; boxes: before each of the
    layers, at least. The bound holds over the first box.
    """
    constant = rows.new_zeros(())
    for layer, box in zip(
        reversed(layers), reversed(boxes[: len(layers)]), strict=True
    ):
        rows, added = _carried_back(layer, box, rows)
        constant = constant + added
    lower, upper = boxes[0]
    centre = ((upper + lower) / 2).flatten(1)
    radius = ((upper - lower) / 2).flatten(1)
    rows = rows.flatten(2)
    least = rows @ centre[..., None] - rows.abs() @ radius[..., None]
    return constant + least.squeeze(2)


def _carried_back(layer: nn.Module, box: Box, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows of the layer's input, and the constants that come with them.

    box: of the layer's input. Constants: (batch or 1, rows), or () for none.
    """
    if isinstance(layer, nn.ReLU):
        return _carried_back_through_relu(box, rows)
    constant = rows.new_zeros(())
    count = rows.shape[:2]
    if isinstance(layer, nn.Linear | nn.Conv2d) and layer.bias is not None:
        # One bias for each channel: what it meets is summed over the places.
        by_channel = rows[..., None].flatten(3).sum(3)
        constant = by_channel @ layer.bias
    if isinstance(layer, nn.Linear):
        rows = rows @ layer.weight
    elif isinstance(layer, nn.Conv2d):
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
