"""Is a bound refused while torch's own layers may compute something else?

Each way here changes what every plain layer computes and leaves no trace in it. A bound
made all the same would be a false proof.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from smallscale.robustness import certified, crown_bounds, ibp_bounds
from smallscale.robustness.images import layers
from tests.robustness.images.helpers import read, some_images

hooks = nn.modules.module


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8, 6),
        nn.ReLU(inplace=True),
        nn.Linear(6, 3),
    ).eval()


@contextmanager
def replaced(place: Any, name: str, new: Any) -> Iterator[None]:
    """Put something else in the place of torch's own, and torch's own back."""
    of_a_function = name == "__code__"
    there = name in vars(place) or of_a_function
    own = place.__code__ if of_a_function else vars(place).get(name)
    setattr(place, name, new)
    try:
        yield
    finally:
        if there:
            setattr(place, name, own)
        else:
            delattr(place, name)


def late(compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a function that differs only behind the first eight images."""

    def changed(*given: Any, **options: Any) -> Tensor:
        out = compute(*given, **options)
        return torch.cat([out[:8], 1 - 3 * out[8:]])

    return changed


def late_method(owner: type, name: str) -> AbstractContextManager[None]:
    return replaced(owner, name, late(getattr(owner, name)))


def with_code_of_another() -> AbstractContextManager[None]:
    """The function is still the same object."""

    class Linear:
        def forward(self, input):
            return F.linear(input, 2 * self.weight, self.bias)  # noqa: F821

    return replaced(nn.Linear.forward, "__code__", Linear.forward.__code__)


@contextmanager
def registered(register: Callable[..., Any], hook: Any, **how: bool) -> Iterator[None]:
    handle = register(hook, **how)
    try:
        yield
    finally:
        handle.remove()


def after(layer: nn.Module, given: Any, out: Tensor) -> Tensor | None:
    return torch.where(out > 2.2, -out, out) if isinstance(layer, nn.Linear) else None


def before(layer: nn.Module, given: Any) -> Any:
    return (given[0].abs(),)


class Doubling(TorchFunctionMode):
    def __torch_function__(self, function, types, given=(), options=None):
        out = function(*given, **(options or {}))
        return 2 * out if function is nn.functional.linear else out


class Watching(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, given=(), options=None):
        return function(*given, **(options or {}))


class Linear(nn.Linear):
    def forward(self, images: Tensor) -> Tensor:
        return 2 * super().forward(images)


class Inherited(nn.Linear):
    pass


functional = nn.functional
CHANGED: dict[str, tuple[Callable[[], AbstractContextManager[Any]], str]] = {
    "hook after": (
        lambda: registered(hooks.register_module_forward_hook, after),
        "a global forward hook is registered.*remove",
    ),
    "hook after, always called": (
        lambda: registered(hooks.register_module_forward_hook, after, always_call=True),
        "a global forward hook is registered.*remove",
    ),
    "hook before": (
        lambda: registered(hooks.register_module_forward_pre_hook, before),
        "a global forward pre-hook is registered.*remove",
    ),
    "Linear": (
        lambda: late_method(nn.Linear, "forward"),
        r"torch\.nn\.Linear\.forward has been replaced",
    ),
    "ReLU": (
        lambda: late_method(nn.ReLU, "forward"),
        r"torch\.nn\.ReLU\.forward has been replaced",
    ),
    "ReLU by another layer's": (
        lambda: replaced(nn.ReLU, "forward", nn.Sigmoid.forward),
        r"torch\.nn\.ReLU\.forward has been replaced",
    ),
    "Flatten": (
        lambda: late_method(nn.Flatten, "forward"),
        r"torch\.nn\.Flatten\.forward has been replaced",
    ),
    "Conv2d": (
        lambda: late_method(nn.Conv2d, "forward"),
        r"torch\.nn\.Conv2d\.forward has been replaced",
    ),
    "Conv2d's inner function": (
        lambda: late_method(nn.Conv2d, "_conv_forward"),
        r"torch\.nn\.Conv2d\._conv_forward has been replaced",
    ),
    "Sequential": (
        lambda: late_method(nn.Sequential, "forward"),
        r"torch\.nn\.Sequential\.forward has been replaced",
    ),
    "Sequential's order": (
        lambda: replaced(
            nn.Sequential, "__iter__", lambda self: iter([*self._modules.values()])
        ),
        r"torch\.nn\.Sequential\.__iter__ has been replaced",
    ),
    "every call": (
        lambda: late_method(nn.Module, "__call__"),
        r"torch\.nn\.Module\.__call__ has been replaced",
    ),
    "every inner call": (
        lambda: late_method(nn.Module, "_call_impl"),
        r"torch\.nn\.Module\._call_impl has been replaced",
    ),
    "the call of one class": (
        lambda: late_method(nn.Linear, "__call__"),
        r"torch\.nn\.Linear\.__call__ has been replaced",
    ),
    "what a layer holds": (
        lambda: replaced(
            nn.Module, "__getattr__", lambda self, name: self._parameters[name]
        ),
        r"torch\.nn\.Module\.__getattr__ has been replaced",
    ),
    "each attribute": (
        lambda: replaced(nn.ReLU, "__getattribute__", object.__getattribute__),
        r"torch\.nn\.ReLU\.__getattribute__ has been replaced",
    ),
    "weights by a property": (
        lambda: replaced(
            nn.Linear, "weight", property(lambda self: self._parameters["weight"])
        ),
        r"torch\.nn\.Linear\.weight has been replaced",
    ),
    "the code of a forward": (
        with_code_of_another,
        r"torch\.nn\.Linear\.forward has been replaced",
    ),
    "a class": (
        lambda: replaced(nn, "Linear", Linear),
        r"torch\.nn\.Linear has been replaced",
    ),
    "a class that adds nothing": (
        lambda: replaced(nn, "Linear", Inherited),
        r"torch\.nn\.Linear has been replaced",
    ),
    "relu": (
        lambda: replaced(functional, "relu", late(functional.relu)),
        r"torch\.nn\.functional\.relu has been replaced",
    ),
    "linear": (
        lambda: replaced(functional, "linear", late(functional.linear)),
        r"torch\.nn\.functional\.linear has been replaced",
    ),
    "linear by another": (
        lambda: replaced(functional, "linear", functional.bilinear),
        r"torch\.nn\.functional\.linear has been replaced",
    ),
    "conv2d": (
        lambda: replaced(functional, "conv2d", late(functional.conv2d)),
        r"torch\.nn\.functional\.conv2d has been replaced",
    ),
    "what relu asks first": (
        lambda: replaced(functional, "has_torch_function_unary", lambda x: False),
        r"torch\.nn\.functional\.has_torch_function_unary has been replaced",
    ),
    "torch.relu": (
        lambda: replaced(torch, "relu", torch.abs),
        r"torch\.relu has been replaced",
    ),
    "torch.relu_": (
        lambda: replaced(torch, "relu_", torch.abs_),
        r"torch\.relu_ has been replaced",
    ),
    "a tensor's flatten": (
        lambda: replaced(Tensor, "flatten", late(Tensor.flatten)),
        r"torch\.Tensor\.flatten has been replaced",
    ),
    "what a file calls F": (
        lambda: replaced(nn.modules.linear, "F", torch.special),
        r"torch\.nn\.Linear\.forward has been replaced",
    ),
    "a mode of functions": (Doubling, "the mode Doubling is on.*outside of it"),
    "a mode of operations": (Watching, "the mode Watching is on.*outside of it"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_what_changes_torchs_layers_is_refused_by_name(name):
    change, message = CHANGED[name]
    model, images = network(), some_images(9)
    labels = read(model, images)
    asked = {
        "ibp": lambda: ibp_bounds(model, images, 0.1),
        "crown": lambda: crown_bounds(model, images, 0.1),
        "certified": lambda: certified(model, images, labels, 0.1),
    }
    before_it = certified(model, images, labels, 0.01)
    for ask in asked.values():
        said = ""
        # pytest's own comparison must not run while torch is changed.
        with change():
            try:
                ask()
            except ValueError as error:
                said = str(error)
        assert said.startswith("model must be computed by torch's own layers; ")
        assert "\n" not in said
        with pytest.raises(ValueError, match=message):
            raise ValueError(said)
    assert torch.equal(certified(model, images, labels, 0.01), before_it)


def test_the_false_proof_by_a_global_hook():
    """The ninth image is read wrong as it is, and was proved to be read right."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).eval()
    with torch.no_grad():
        model[1].weight.copy_(torch.eye(3, 4))
        model[1].bias.copy_(torch.tensor([1.5, 0.0, 0.0]))
    images = torch.full((9, 1, 2, 2), 0.5)
    images[8, 0, 0, 0] = 0.9  # its first logit is 2.4
    labels = torch.zeros(9, dtype=torch.int64)
    assert certified(model, images, labels, 0.05).all()
    with registered(hooks.register_module_forward_hook, after):
        assert read(model, images).tolist() == [0] * 8 + [1]
        with pytest.raises(ValueError, match="global forward hook"):
            certified(model, images, labels, 0.05)


@pytest.mark.parametrize("place", [0, 8, 300])
def test_every_image_is_compared_with_what_the_layers_say(place, monkeypatch):
    """For a change that no look at torch's functions finds."""
    monkeypatch.setattr(layers, "check_torch_is_untouched", lambda: None)
    model, images = network(), 0.5 * some_images(301)
    images[place] = 1.0

    def of_bright(layer: nn.Module, given: Any, out: Tensor) -> Tensor:
        bright = given[0].flatten(1).mean(1) == 1
        return torch.where(bright[(..., *[None] * (out.dim() - 1))], out + 1, out)

    message = "model must compute what its layers' weights say"
    with registered(hooks.register_module_forward_hook, of_bright):
        for bound in (ibp_bounds, crown_bounds):
            with pytest.raises(ValueError, match=message):
                bound(model, images, 0.1)


def test_what_changes_no_output_is_let_be():
    """Hooks of the backward pass, and a default device, which is a mode too."""
    model, images = network(), some_images(4)
    expected = crown_bounds(model, images, 0.1)

    def count(layer: nn.Module, inner: Any, outer: Any) -> None:
        pass

    with registered(hooks.register_module_full_backward_hook, count):
        found = crown_bounds(model, images, 0.1)
    with torch.device("cpu"):
        again = crown_bounds(model, images, 0.1)
    for each in (found, again):
        for end, same in zip(each, expected, strict=True):
            assert torch.equal(end, same)
