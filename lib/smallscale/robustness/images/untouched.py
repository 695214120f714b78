"""Does the call of a layer run torch's own code, and nothing else?

A bound is a proof about the formula of torch's layers. A layer's own attributes do not
tell whether torch still computes it: a class may have been given another forward, a
hook may be called after every layer, and a mode may stand between each function and its
result. What the call of a plain layer runs through is looked up here, and each part of
it must be the one that torch was built with.

Taken for granted: what is compiled into torch computes what its name says.
"""

import inspect
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, ModuleType
from typing import Any

import torch
from torch import nn
from torch.nn.modules import activation, container, conv, flatten, linear, module
from torch.utils import _python_dispatch
from torch.utils._device import DeviceContext

functional = torch.nn.functional
# Files of torch whose private names have no types.
_module: Any = module
_overrides: Any = torch.overrides
_functional: Any = functional

# Methods that the call of a layer runs through: of which class they are, by which name,
# in which file of torch, and the name under which they are written there.
METHODS: tuple[tuple[type[nn.Module], str, ModuleType, str], ...] = (
    (nn.Module, "__call__", module, "Module._wrapped_call_impl"),
    (nn.Module, "_call_impl", module, "Module._call_impl"),
    (nn.Module, "__getattr__", module, "Module.__getattr__"),
    (nn.Sequential, "__iter__", container, "Sequential.__iter__"),
    (nn.Sequential, "forward", container, "Sequential.forward"),
    (nn.Linear, "forward", linear, "Linear.forward"),
    (nn.Conv2d, "forward", conv, "Conv2d.forward"),
    (nn.Conv2d, "_conv_forward", conv, "Conv2d._conv_forward"),
    (nn.ReLU, "forward", activation, "ReLU.forward"),
    (nn.Flatten, "forward", flatten, "Flatten.forward"),
)
LAYERS: tuple[type[nn.Module], ...] = (
    nn.Sequential,
    nn.Linear,
    nn.Conv2d,
    nn.ReLU,
    nn.Flatten,
)
# Attributes that a layer keeps itself: on its class they would answer in their place.
OF_THE_LAYER = (
    *("weight", "bias", "stride", "padding", "dilation", "groups", "padding_mode"),
    *("inplace", "start_dim", "end_dim", "_parameters", "_buffers", "_modules"),
    *("_forward_hooks", "_forward_pre_hooks"),
)
# Functions that these methods call, compiled into torch.
COMPILED: tuple[tuple[str, Any, str], ...] = (
    ("torch.nn.functional", functional, "linear"),
    ("torch.nn.functional", functional, "conv2d"),
    ("torch", torch, "relu"),
    ("torch", torch, "relu_"),
    ("torch.Tensor", torch.Tensor, "flatten"),
)


def check_torch_is_untouched() -> None:
    """Refuse to bound any model while torch's layers may not compute their formulas.

    Raises ValueError, which names what was replaced, registered or entered.
    """
    found = _hook_of_all_layers() or _replaced() or _mode()
    if found:
        raise ValueError(f"model must be computed by torch's own layers; {found}")


def _hook_of_all_layers() -> str:
    """Return what is registered to change the outputs of every layer, or ""."""
    # Hooks of the backward pass change no output.
    hooks = {
        "forward hook": _module._global_forward_hooks,
        "forward pre-hook": _module._global_forward_pre_hooks,
    }
    for name, registered in hooks.items():
        if registered:
            return (
                f"a global {name} is registered, which may change what they compute: "
                "call remove() of the handle that its registration returned"
            )
    return ""


def _replaced() -> str:
    """Return which method or function of torch's was replaced, or ""."""
    restore = "has been replaced: restore it, or start Python afresh"
    for owner in LAYERS:
        if getattr(nn, owner.__name__, None) is not owner:
            return f"{_name_of(owner)} {restore}"
        for method in ("__call__", "_call_impl", "__getattr__", "__iter__", "forward"):
            defined_by = _class_that_defines(owner, method)
            listed = [row[:2] for row in METHODS]
            if defined_by is not None and (defined_by, method) not in listed:
                return f"{_name_of(owner)}.{method} {restore}"
        for name in ("__getattribute__", *OF_THE_LAYER):
            if _class_that_defines(owner, name) not in (None, object):
                return f"{_name_of(owner)}.{name} {restore}"
    for owner, method, file, written_as in METHODS:
        if not _is_written_in(file, written_as, inspect.getattr_static(owner, method)):
            return f"{_name_of(owner)}.{method} {restore}"
    if not _is_written_in(functional, "relu", functional.relu):
        return f"torch.nn.functional.relu {restore}"
    for shown, place, name in COMPILED:
        if not _is_compiled(name, inspect.getattr_static(place, name, None)):
            return f"{shown}.{name} {restore}"
    # relu asks by this name whether something else is to compute it.
    asks = "has_torch_function_unary"
    if not _is_compiled(f"_{asks}", getattr(_functional, asks, None)):
        return f"torch.nn.functional.{asks} {restore}"
    return ""


def _mode() -> str:
    """Return which mode stands between torch's functions and their results, or ""."""
    # A default device is such a mode too; it only says where new tensors are made.
    functions = _overrides._get_current_function_mode_stack()
    modes = [each for each in functions if not isinstance(each, DeviceContext)]
    modes += _python_dispatch._get_current_dispatch_mode_stack()
    if modes:
        name = type(modes[-1]).__name__
        return (
            f"the mode {name} is on, which may change what they compute: "
            "ask for bounds outside of it"
        )
    return ""


def _class_that_defines(owner: type, name: str) -> type | None:
    """Return the class from which the owner, or one it inherits from, has the name."""
    return next((each for each in owner.__mro__ if name in vars(each)), None)


def _is_written_in(file: ModuleType, written_as: str, function: Any) -> bool:
    """Say whether a function is the one that stands in this file by this name."""
    if type(function) is not FunctionType:
        return False
    code = function.__code__
    here = function.__globals__ is vars(file) and code.co_filename == file.__file__
    # What this file calls F and torch must be these.
    reached = vars(file).get("F", functional), vars(file).get("torch", torch)
    return here and code.co_qualname == written_as and reached == (functional, torch)


def _is_compiled(name: str, function: Any) -> bool:
    """Say whether a function is compiled into torch by this name."""
    compiled = isinstance(function, BuiltinFunctionType | MethodDescriptorType)
    return compiled and function.__name__ == name


def _name_of(owner: type) -> str:
    return f"torch.nn.{owner.__name__}"
