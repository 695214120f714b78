"""Which models can be bounded? Those whose layers compute exactly what they say.

A bound reads a layer's weight and works with the formula W x + b. So it is a proof only
where the layer uses that weight, as it is, in that formula. Whatever may change this is
refused by name: another class, a forward of its own, a hook, a weight that something
computes anew (pruning, weight norm, spectral norm, quantization), and whatever changes
torch's own layers (see `untouched`).
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from smallscale.core.validation import require, shown
from smallscale.robustness.images.norms import FLOAT_TYPES
from smallscale.robustness.images.untouched import check_torch_is_untouched

KNOWN = "Linear, Conv2d (padded by a number of zeros), ReLU and Flatten"
PLAIN_TENSORS = (Tensor, nn.Parameter)

PARAMETRIZED = (
    "a weight that a parametrization computes; make it a plain parameter first: "
    "torch.nn.utils.parametrize.remove_parametrizations(layer, name)"
)
HOOKED = (
    "a forward hook, which may change what it computes; remove the hook first, where "
    "it prunes or normalises a weight by torch.nn.utils.prune.remove, "
    "remove_weight_norm or remove_spectral_norm"
)
COMPUTED_WEIGHT = (
    "a weight or bias that is not its plain parameter or buffer; "
    "store the weight it uses as nn.Parameter first"
)
WITHOUT_NUMBERS = (
    "a weight on the meta device, which holds no numbers; "
    "load the weights first: model.to_empty(device='cpu'), then load_state_dict"
)


def layers_of(model: nn.Module) -> list[nn.Module]:
    """Return the layers in a row, nested ones unpacked.

    Raises ValueError, which names the layer, for one that has no bounds here, and for
    one that may compute something other than its weights say.
    """
    check_torch_is_untouched()
    return list(_checked_layers(model))


def in_double(layer: nn.Module) -> nn.Module:
    """Return a layer of the same kind, with the same weights in double precision."""
    twin: nn.Module = object.__new__(type(layer))
    vars(twin).update(vars(layer))
    weights = {name: getattr(layer, name, None) for name in ("weight", "bias")}
    vars(twin)["_buffers"] = {}
    vars(twin)["_parameters"] = {
        name: None if value is None else value.detach().to(torch.float64, copy=True)
        for name, value in weights.items()
    }
    return twin


def _checked_layers(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers in a row, each checked by itself."""
    module = isinstance(model, nn.Module)
    name = str(model).splitlines()[0] if module else shown(model)
    known = f"model must be an nn.Sequential of {KNOWN}"
    # The class of a parametrized layer is one of its own.
    parametrized = module and hasattr(model, "parametrizations")
    require(_has_bounds(model) or parametrized, f"{known}; got {name}")
    reason = PARAMETRIZED if parametrized else _why_not_plain(model)
    require(not reason, f"{known}, each used as it is; got {name} with {reason}")
    if isinstance(model, nn.Sequential):
        for layer in model:
            yield from _checked_layers(layer)
    else:
        yield model


def _has_bounds(layer: nn.Module) -> bool:
    if type(layer) is nn.Conv2d:
        return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return type(layer) in (nn.Sequential, nn.Linear, nn.ReLU, nn.Flatten)


def _why_not_plain(layer: nn.Module) -> str:
    """Return what may make a layer compute something other than it says, or ""."""
    if layer._forward_pre_hooks or layer._forward_hooks:
        return HOOKED
    for name in vars(layer):
        if callable(getattr(type(layer), name, None)):
            return f"a {name} of its own; remove it: del layer.{name}"
    if getattr(layer, "_compiled_call_impl", None) is not None:
        return "a compiled forward; bound the model before it is compiled"
    if isinstance(layer, nn.Linear | nn.Conv2d):
        values = [getattr(layer, name, None) for name in ("weight", "bias")]
        registered = [*layer._parameters.values(), *layer._buffers.values()]
        if not all(_is_plain(value, registered) for value in values):
            return COMPUTED_WEIGHT
        if any(value is not None and value.is_meta for value in values):
            return WITHOUT_NUMBERS
    return ""


def _is_plain(value: object, registered: list[Tensor | None]) -> bool:
    """Say whether a weight is a real, dense tensor that its layer has registered."""
    if value is None:
        return True  # no bias
    if not isinstance(value, Tensor) or not any(value is each for each in registered):
        return False
    dense = type(value) in PLAIN_TENSORS and value.layout == torch.strided
    return dense and value.dtype in FLOAT_TYPES
