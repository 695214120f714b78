"""Do the bounds hold for the network as it rounds, and not only for its formula?"""

import math

import pytest
import torch
from torch import Tensor, nn

from smallscale.robustness import certified, crown_bounds, ibp_bounds
from smallscale.robustness.images.relaxations import Box, linear_bound
from smallscale.robustness.images.rounding import Rounding, rounded_outwards
from smallscale.training.evaluation import predict_logits
from tests.robustness.images.helpers import private, read, some_images

BOTH = pytest.mark.parametrize("bound", [ibp_bounds, crown_bounds])
TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
WEIGHTS_IN = pytest.mark.parametrize("dtype", TYPES)


def cancelling(kind: str, scale: float) -> nn.Sequential:
    """A network whose second half of units cancels its first, at large weights."""
    torch.manual_seed(0)
    layers = {
        "mlp": [nn.Flatten(), nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 3)],
        "linear": [nn.Flatten(), nn.Linear(16, 64), nn.Linear(64, 3)],
        "conv": [
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 6, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(24, 3),
        ],
    }
    model = nn.Sequential(*layers[kind]).eval()
    weighted = [layer for layer in model if hasattr(layer, "weight")]
    first, second = weighted[0], weighted[1]
    half = len(first.weight) // 2
    with torch.no_grad():
        first.weight[half:] = first.weight[:half]
        first.bias[half:] = first.bias[:half]
        second.weight[:, half:] = -second.weight[:, :half]
        first.weight *= scale
        second.weight *= scale
    return model


@BOTH
@WEIGHTS_IN
@pytest.mark.parametrize("kind", ["mlp", "linear", "conv"])
def test_large_cancelling_weights_stay_inside(bound, dtype, kind):
    """Two layers of 1e5 that cancel leave nothing but what was rounded."""
    scales = [1.0, 100.0] if dtype == torch.float16 else [1.0, 1e3, 1e5]
    widths = []
    for scale in scales:
        model = cancelling(kind, scale).to(dtype)
        for images in (some_images(20), some_images(20).double()):
            for eps in (0.0, 0.01):
                lower, upper = bound(model, images, eps)
                for draw in range(20):
                    signs = torch.rand(images.shape, generator=private(draw)) - 0.5
                    x = (images + eps * signs.to(images).sign()).clamp(0, 1)
                    z = predict_logits(model, x).double()
                    assert (lower.double() <= z).all()
                    assert (z <= upper.double()).all()
                if eps == 0:
                    widths.append(float((upper - lower).max()))
    unit = torch.finfo(dtype).eps
    assert 0 < widths[0] < 500 * max(unit, torch.finfo(torch.float32).eps)


def test_what_only_rounding_decides_is_not_certified():
    """At eps 0 the exact margin is what the biases say; the computed one is noise."""
    wrong = 0
    for seed in range(20):
        model = cancelling("linear", 1e5)
        images = some_images(50, seed=seed)
        labels = model.double()(images.double()).argmax(1)  # by the formula, nearly
        model.float()
        as_run = read(model, images)
        wrong += int((as_run != labels).sum())
        for method in ("ibp", "crown"):
            proved = certified(model, images, labels, 0.0, method=method)
            assert not (proved & (as_run != labels)).any()
    assert wrong > 0


@BOTH
def test_images_in_a_wider_type_are_rounded_by_the_model(bound):
    """In double 1/3 is not what the model in bfloat16 is shown."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2)).eval().bfloat16()
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        model[1].bias.zero_()
    for value in (1 / 3, 2 / 3, 0.1):
        image = torch.full((1, 1, 1, 1), value, dtype=torch.float64)
        lower, upper = bound(model, image, 0.0)
        z = predict_logits(model, image).double()
        assert (lower <= z).all()
        assert (z <= upper).all()


@BOTH
def test_bounds_of_the_box_are_those_of_the_images_type(bound):
    """.1 in float32 lies above .1, and so may a pixel that is clipped to it."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2)).double().eval()
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        model[1].bias.zero_()
    image = torch.full((1, 1, 1, 1), 0.1)
    for eps in (0.0, 0.05):
        lower, upper = bound(model, image, eps, bounds=(0.0, 0.1))
        z = predict_logits(model, image)
        assert (lower <= z).all()
        assert (z <= upper).all()


@BOTH
def test_what_may_overflow_has_no_bounds(bound):
    """Near 65,504 float16 becomes infinite; the image far from it keeps its bounds."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2), nn.Linear(2, 2)).eval()
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[6e4], [-6e4]]))
        model[1].bias.copy_(torch.tensor([1e4, 0.0]))
        model[2].weight.copy_(1e-3 * torch.eye(2))
        model[2].bias.zero_()
    model.half()
    images = torch.tensor([0.8, 0.1]).reshape(2, 1, 1, 1)
    lower, upper = bound(model, images, 0.15)
    assert lower[0].tolist() == [-math.inf, -math.inf]
    assert upper[0].tolist() == [math.inf, math.inf]
    assert lower[1].isfinite().all()
    assert upper[1].isfinite().all()
    assert certified(model, images, [0, 0], 0.15).tolist() == [False, True]


@BOTH
def test_products_in_a_shorter_type_are_bounded_too(bound):
    """ "medium" lets torch multiply float32 as bfloat16."""
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 3)]
    model, images = nn.Sequential(*layers).eval(), some_images(256)
    exact = bound(model, images, 0.0)
    torch.set_float32_matmul_precision("medium")
    try:
        lower, upper = bound(model, images, 0.0)
        z = predict_logits(model, images)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert (lower <= z).all()
    assert (z <= upper).all()
    assert (upper - lower).mean() > 100 * (exact.upper - exact.lower).mean()


@BOTH
def test_a_convolution_by_a_transform_is_bounded_too(bound):
    """Without oneDNN torch may take Winograd's method for 3 x 3."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * 8, 3)).eval()
    images = some_images(32)
    images[:, :, :2] = 0
    with torch.backends.mkldnn.flags(enabled=False):
        lower, upper = bound(model, images, 0.0)
        z = predict_logits(model, images)
    assert (lower <= z).all()
    assert (z <= upper).all()


@WEIGHTS_IN
def test_a_sum_in_any_order_errs_by_less_than_gamma(dtype):
    """A row of 300 products, summed forwards, backwards and in pairs."""
    generator = private()
    layer = nn.Linear(300, 1).to(dtype)
    x = torch.randn(300, generator=generator).to(dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(1, 300, generator=generator))
        layer.bias.fill_(1.0)
    in_double = nn.Linear(300, 1).double()
    in_double.load_state_dict(layer.state_dict())
    exact = float(in_double(x.double()))
    rounding = Rounding(dtype, dtype, torch.device("cpu"))
    slack = float(rounding.of_layer(in_double, x.double().abs()[None]))
    wide = torch.promote_types(dtype, torch.float32)
    products = layer.weight[0].detach().to(wide) * x.to(wide)

    def one_by_one(values: Tensor) -> Tensor:
        total = torch.zeros((), dtype=wide)
        for value in values:
            total = total + value
        return total

    sums = [one_by_one(products), one_by_one(products.flip(0)), products.sum()]
    for total in sums:
        computed = float((total.to(dtype) + layer.bias.detach()[0]).double())
        assert abs(computed - exact) <= slack
    assert slack < 1000 * torch.finfo(dtype).eps * float(products.abs().sum())


@WEIGHTS_IN
def test_bounds_in_another_type_are_rounded_outwards(dtype):
    values = 100 * torch.randn(10_000, generator=private(), dtype=torch.float64)
    values[:4] = torch.tensor([0.0, 1e-320, 1e300, -1e300], dtype=torch.float64)
    lower, upper = rounded_outwards(values, values, dtype)
    assert lower.dtype == upper.dtype == dtype
    assert (lower.double() <= values).all()
    assert (upper.double() >= values).all()
    near = values[4:].abs() * 2 * torch.finfo(dtype).eps
    assert ((upper.double() - lower.double())[4:] <= 2 * near + 1e-6).all()


def test_a_sum_in_half_precision_rounds_twice():
    """By hand, u = 2^-8: 1 + u + 2^-20 rounds up to 1 + 2u, and with the bias u + 2u^2
    up again to 1 + 4u. One rounding would be allowed about u, and both lose almost 2u.
    """
    u = 2.0**-8
    layer = nn.Linear(3, 1).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, u, 2.0**-20]]))
        layer.bias.fill_(u + 2 * u**2)
    exact = 1 + 2 * u + 2.0**-20 + 2 * u**2
    total = torch.tensor(1 + u + 2.0**-20).bfloat16()
    computed = float(total + layer.bias.detach().bfloat16())
    assert float(total) == 1 + 2 * u
    assert computed == 1 + 4 * u
    rounding = Rounding(torch.bfloat16, torch.bfloat16, torch.device("cpu"))
    slack = float(rounding.of_layer(layer, torch.ones(1, 3).double()).detach())
    assert 1.9 * u < computed - exact <= slack < 4 * u


@pytest.mark.parametrize("terms", [300, 10_000])
def test_the_bounds_own_sums_are_allowed_as_much_as_the_networks(terms):
    """In double both err by up to gamma = n u / (1 - n u) of the sum, each in its own
    order (Higham 2002, section 3.1).
    """
    layer = nn.Linear(terms, 1, bias=False).double()
    nn.init.ones_(layer.weight)
    rounding = Rounding(torch.float64, torch.float64, torch.device("cpu"))
    slack = rounding.of_layer(layer, torch.ones(1, terms).double())
    gamma = terms * 2.0**-53 / (1 - terms * 2.0**-53)
    assert float(slack.detach()) >= 2 * gamma * terms


def test_the_lines_of_a_relu_allow_for_their_own_rounding():
    """-relu(z) is at least -u on [l, u], which its upper line meets at z = u. In double
    the line is computed a few units off, above -u too.
    """
    draws = torch.rand(2, 20_000, 1, generator=private(), dtype=torch.float64)
    box = Box(-draws[0], draws[1])
    rounding = Rounding(torch.float64, torch.float64, torch.device("cpu"))
    row = -torch.ones(1, 1, 1, dtype=torch.float64)
    assert (linear_bound([nn.ReLU()], [box], row) > -box.upper).any()
    least = linear_bound([nn.ReLU()], [box], row, rounding)
    assert (least <= -box.upper).all()
    assert (least >= -box.upper - 1e-13).all()
