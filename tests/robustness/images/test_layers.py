"""Is a layer bounded only where it computes what its weights say?

A bound of anything else is a false proof: such a layer is refused by name.
"""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from smallscale.robustness import certified, crown_bounds, ibp_bounds, pgd
from tests.robustness.images.helpers import private, read, some_images

BOTH = pytest.mark.parametrize("bound", [ibp_bounds, crown_bounds])


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)]
    return nn.Sequential(*layers).eval()


def convolutional() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)]
    return nn.Sequential(*layers).eval()


def pruned(name: str) -> nn.Sequential:
    model = network()
    prune.l1_unstructured(model[1], name, 0.5)
    return model


def normalised(wrap) -> nn.Sequential:
    model = network()
    wrap(model[1])
    return model.eval()


def with_hook(pre: bool, *, whole: bool = False) -> nn.Sequential:
    model = network()
    layer = model if whole else model[2]
    if pre:
        layer.register_forward_pre_hook(lambda layer, given: (2 * given[0],))
    else:
        layer.register_forward_hook(lambda layer, given, out: 2 * out)
    return model


def with_forward(place: int | None) -> nn.Sequential:
    model = network()
    layer = model if place is None else model[place]
    old = layer.forward
    layer.forward = lambda x: 2 * old(x)
    return model


def with_convolution_of_its_own() -> nn.Sequential:
    model = convolutional()
    model[0]._conv_forward = lambda x, w, b: nn.functional.conv2d(x, 2 * w, b)
    return model


def with_plain_attribute() -> nn.Sequential:
    model = network()
    weight = 2 * model[1].weight.data
    del model[1].weight
    model[1].weight = weight
    return model


def with_shadowed_weight() -> nn.Sequential:
    """The parameter is still there, and no longer what the layer uses."""
    model = network()
    object.__setattr__(model[1], "weight", 2 * model[1].weight.data)
    return model


def with_weight(change) -> nn.Sequential:
    model = network()
    model[1].weight = nn.Parameter(change(model[1].weight.data))
    return model


class Tagged(Tensor):
    pass


class Louder(nn.Linear):
    def forward(self, images: Tensor) -> Tensor:
        return 2 * super().forward(images)


class Twice(nn.Sequential):
    def forward(self, images: Tensor) -> Tensor:
        return 2 * super().forward(images)


def quantized() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(
        network(), {nn.Linear}, dtype=torch.qint8
    )


def inner_compiled() -> nn.Sequential:
    model = network()
    model[1].compile(backend="eager")
    return model


REFUSED = {
    "pruned weight": (lambda: pruned("weight"), "Linear.*hook.*prune.remove"),
    "pruned bias": (lambda: pruned("bias"), "Linear.*hook.*prune.remove"),
    "old weight norm": (
        lambda: normalised(nn.utils.weight_norm),
        "Linear.*hook.*remove_weight_norm",
    ),
    "old spectral norm": (
        lambda: normalised(nn.utils.spectral_norm),
        "Linear.*hook.*remove_spectral_norm",
    ),
    "new weight norm": (
        lambda: normalised(parametrizations.weight_norm),
        "ParametrizedLinear.*remove_parametrizations",
    ),
    "new spectral norm": (
        lambda: normalised(parametrizations.spectral_norm),
        "ParametrizedLinear.*remove_parametrizations",
    ),
    "orthogonal": (
        lambda: normalised(parametrizations.orthogonal),
        "ParametrizedLinear.*remove_parametrizations",
    ),
    "hook": (lambda: with_hook(pre=False), "ReLU.*hook"),
    "pre-hook": (lambda: with_hook(pre=True), "ReLU.*hook"),
    "hook on the whole": (lambda: with_hook(False, whole=True), "Sequential.*hook"),
    "forward of a layer": (lambda: with_forward(1), "Linear.*forward of its own"),
    "forward of a ReLU": (lambda: with_forward(2), "ReLU.*forward of its own"),
    "forward of all": (lambda: with_forward(None), "Sequential.*forward of its own"),
    "convolution": (with_convolution_of_its_own, "Conv2d.*_conv_forward of its own"),
    "attribute": (with_plain_attribute, "Linear.*not its plain parameter or buffer"),
    "shadowed": (with_shadowed_weight, "Linear.*not its plain parameter or buffer"),
    "sparse": (
        lambda: with_weight(lambda weight: weight.to_sparse_csr()),
        "Linear.*not its plain parameter or buffer",
    ),
    "tensor subclass": (
        lambda: with_weight(lambda weight: weight.as_subclass(Tagged)),
        "Linear.*not its plain parameter or buffer",
    ),
    "subclass": (lambda: nn.Sequential(nn.Flatten(), Louder(16, 3)), "got Louder"),
    "container": (lambda: Twice(*network()), "got Twice"),
    "quantized": (quantized, "Linear, Conv2d.*got DynamicQuantizedLinear"),
    "compiled layer": (inner_compiled, "Linear.*compiled forward"),
    "compiled": (lambda: torch.compile(network(), backend="eager"), "OptimizedModule"),
    "batch norm": (lambda: nn.Sequential(nn.BatchNorm2d(1), *network()), "BatchNorm2d"),
    "dropout": (lambda: nn.Sequential(nn.Dropout(0.5), *network()), "Dropout"),
    "pooling": (
        lambda: nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True), nn.Flatten()),
        "MaxPool2d",
    ),
    "two types": (
        lambda: nn.Sequential(network(), nn.Linear(3, 3).bfloat16()),
        "all of its weights in one type.*torch.bfloat16, torch.float32",
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REFUSED)
def test_what_may_compute_something_else_is_refused_by_name(name):
    build, message = REFUSED[name]
    model = build()
    for ask in (
        ibp_bounds,
        crown_bounds,
        lambda model, images, eps: certified(model, images, [0], eps),
    ):
        with pytest.raises(ValueError, match=message) as error:
            ask(model, some_images(1), 0.1)
        assert "\n" not in str(error.value)


def test_autocast_is_refused():
    """It rounds the weights, which the bounds would not know of."""
    with (
        torch.autocast("cpu", torch.bfloat16),
        pytest.raises(ValueError, match=r"model must not run under torch\.autocast"),
    ):
        certified(network(), some_images(2), [0, 1], 0.1)


def test_a_convolution_of_images_without_channels_is_refused():
    """It would take the batch for channels, and mix the images."""
    torch.manual_seed(0)
    mixing = nn.Sequential(
        nn.Conv2d(3, 3, 3, padding=1), nn.Flatten(), nn.Linear(16, 3)
    )
    images = some_images(3).squeeze(1)
    with pytest.raises(ValueError, match=r"keep each image apart.*Conv2d"):
        crown_bounds(mixing, images, 0.1)


def tied() -> nn.Sequential:
    torch.manual_seed(0)
    layer, relu = nn.Linear(16, 16), nn.ReLU(inplace=True)
    last = nn.Linear(16, 3)
    return nn.Sequential(nn.Flatten(), layer, relu, layer, relu, last).eval()


def weight_in_a_buffer() -> nn.Sequential:
    model = network()
    weight = model[1].weight.data
    del model[1].weight
    model[1].register_buffer("weight", weight)
    return model


def pruned_for_good() -> nn.Sequential:
    model = pruned("weight")
    prune.remove(model[1], "weight")
    return model


def on_the_last_dimension() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(20, 3)
    ).eval()


def on_the_last_dimension_of_channels() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        nn.Linear(4, 5),
        nn.ReLU(),
        nn.Flatten(2),
        nn.Linear(20, 6),
        nn.Flatten(),
        nn.ReLU(),
        nn.Linear(12, 3),
    ).eval()


@BOTH
@pytest.mark.parametrize(
    "build",
    [
        tied,
        weight_in_a_buffer,
        pruned_for_good,
        on_the_last_dimension,
        on_the_last_dimension_of_channels,
    ],
)
def test_what_is_accepted_is_bounded_rightly(bound, build):
    model, images = build(), some_images(5)
    for eps in (0.0, 0.05, 0.3):
        lower, upper = bound(model, images, eps)
        assert (lower <= upper).all()
        for draw in range(60):
            change = 2 * torch.rand(images.shape, generator=private(draw)) - 1
            change = change.sign() if draw % 2 else change
            with torch.no_grad():
                z = model((images + eps * change).clamp(0, 1))
            assert (lower <= z).all()
            assert (z <= upper).all()
    # And not by being wide: at eps 0 there is room for rounding alone.
    lower, upper = bound(model, images, 0.0)
    assert (upper - lower).max() < 1e-4


@BOTH
@pytest.mark.parametrize("inplace", [False, True])
def test_a_relu_in_place_is_bounded_as_any_other(bound, inplace):
    """It must not write into the box before it, which CROWN's lines are made from."""
    plain, written = network(), network()
    written[2] = nn.ReLU(inplace=inplace)
    images = some_images(4)
    for end, expected in zip(
        bound(written, images, 0.2), bound(plain, images, 0.2), strict=True
    ):
        assert torch.equal(end, expected)


def test_no_pruned_image_is_certified_and_broken():
    """Half of the weights pruned for good: what is proved, no attack finds."""
    model, images = network(), some_images(60)
    for parameter in model.parameters():
        nn.init.normal_(parameter, generator=private())
    prune.l1_unstructured(model[1], "weight", 0.5)
    prune.remove(model[1], "weight")
    labels = read(model, images)
    proved = certified(model, images, labels, 0.1)
    broken = read(model, pgd(model, images, labels, 0.1, restarts=3)) != labels
    assert proved.any()
    assert broken.any()
    assert not (proved & broken).any()


def with_buffers(dtype: torch.dtype, *names: str) -> nn.Sequential:
    model = network()
    for layer in (model[1], model[3]):
        for name in names:
            value = getattr(layer, name).detach().to(dtype)
            delattr(layer, name)
            layer.register_buffer(name, value)
    return model


def with_a_buffer_of_a_graph() -> nn.Sequential:
    model = network()
    weight = 1.0 * model[1].weight  # has a gradient to pass on
    del model[1].weight
    model[1].register_buffer("weight", weight)
    return model


@BOTH
def test_a_weight_that_has_a_graph_is_bounded_as_its_numbers(bound):
    images = some_images(4)
    found, plain = bound(with_a_buffer_of_a_graph(), images, 0.1), network()
    for end, expected in zip(found, bound(plain, images, 0.1), strict=True):
        assert torch.equal(end, expected)


@BOTH
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model": with_buffers(torch.float64, "weight", "bias")},
            "images must be in the type of the model's weights, torch.float64.*float32",
        ),
        (
            {"model": with_buffers(torch.float64, "weight")},
            "model must hold all of its weights in one type.*float32, torch.float64",
        ),
        ({"model": network().to("meta")}, "model must be.*Linear.*meta device"),
        ({"model": None}, "model must be an nn.Sequential.*got None"),
        ({"model": ""}, "model must be an nn.Sequential.*got ''"),
        ({"model": nn.Linear}, "model must be an nn.Sequential.*got <class"),
        ({"images": torch.rand(3, 1, 5, 5)}, "model must take images.*3, 1, 5, 5"),
        ({"images": None}, "images must be numbers.*got NoneType"),
        ({"images": "abc"}, "images must be numbers.*got str"),
        ({"images": torch.tensor(0.5)}, r"images must be floating-point.*got.*\(\)"),
        ({"images": some_images(3).to_sparse()}, "images must be a dense.*sparse_coo"),
        ({"bounds": None}, "bounds must be .*got None"),
        ({"bounds": (0, 1, 2)}, r"bounds must be .*got \(0, 1, 2\)"),
    ],
)
def test_odd_arguments_are_refused_in_our_words(bound, change, message):
    given = {"model": network(), "images": some_images(3), "eps": 0.1} | change
    with pytest.raises(ValueError, match=message) as error:
        bound(**given)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=message):
        certified(**given, labels=[0, 1, 2])
