"""Is each layer bounded by the lines and intervals that can be drawn on paper?"""

import pytest
import torch
from torch import nn

from smallscale.robustness.images.relaxations import Box, interval, linear_bound


def box(low: float, high: float) -> Box:
    return Box(torch.tensor([[low]]), torch.tensor([[high]]))


@pytest.mark.parametrize(
    ("low", "high", "least", "greatest"),
    [
        (1.0, 3.0, 1.0, 3.0),  # always on: the ReLU is its input
        (-3.0, -1.0, 0.0, 0.0),  # always off
        (-1.0, 3.0, -1.0, 3.0),  # below: z itself, least at -1
        (-3.0, 1.0, 0.0, 1.0),  # below: 0
        (-2.0, 2.0, 0.0, 2.0),  # a tie takes 0
    ],
)
def test_a_relu_lies_between_its_two_lines(low, high, least, greatest):
    """The line above goes through (l, 0) and (u, u), so its greatest is u."""
    rows = torch.tensor([[[1.0], [-1.0]]])
    lower, minus_upper = linear_bound([nn.ReLU()], [box(low, high)], rows)[0].tolist()
    assert (lower, -minus_upper) == pytest.approx((least, greatest))


def test_the_line_above_is_not_only_right_at_its_ends():
    """z - relu(z) over [-1, 3], relu at most 3/4 (z + 1): at least z/4 - 3/4 >= -1."""
    split = nn.Linear(1, 2, bias=False)
    split.weight.data = torch.tensor([[1.0], [1.0]])
    shifted = nn.Linear(2, 2)
    # The first unit is moved so far up that its ReLU is always on.
    shifted.weight.data = torch.eye(2)
    shifted.bias.data = torch.tensor([10.0, 0.0])
    layers = [split, shifted, nn.ReLU()]
    boxes = [box(-1.0, 3.0)]
    with torch.no_grad():
        for layer in layers[:2]:
            boxes.append(interval(layer, boxes[-1]))
        rows = torch.tensor([[[1.0, -1.0]]])
        found = linear_bound(layers, boxes, rows)
    assert float(found) == pytest.approx(10 - 1)


def test_intervals_of_a_layer_by_hand():
    """2 a - b + 1 over a in [0, 1], b in [-1, 3]: from -2 to 4."""
    layer = nn.Linear(2, 1)
    layer.weight.data = torch.tensor([[2.0, -1.0]])
    layer.bias.data = torch.tensor([1.0])
    ends = Box(torch.tensor([[0.0, -1.0]]), torch.tensor([[1.0, 3.0]]))
    with torch.no_grad():
        found = interval(layer, ends)
    assert (float(found.lower), float(found.upper)) == (-2, 4)
    assert ends.magnitude().tolist() == [[1, 3]]
    through = interval(nn.ReLU(), ends)
    assert through.lower.tolist() == [[0, 0]]
    assert through.upper.tolist() == [[1, 3]]
