"""A device for machines that have none: do a model and its batches meet there?

Inside `fake_device()` torch's "meta" is a device that computes. Its tensors hold their
numbers on the CPU, and are told apart from the CPU's own: an operation that is given
both is refused in CUDA's words, as is a generator of the CPU for numbers of the device.
What CUDA allows is allowed: copies, CPU numbers without dimensions, and CPU positions
that index a tensor of the device. "meta" is the one device beside the CPU that autograd
serves without a driver.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

NAME = "meta"
aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default)
INDEXES = (
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
    aten._unsafe_index_put.default,
)


class OnDevice(Tensor):
    """A tensor of the fake device. `numbers` are what it holds, on the CPU."""

    numbers: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, numbers: Tensor) -> "OnDevice":
        made = Tensor._make_wrapper_subclass(
            cls,
            numbers.shape,
            strides=numbers.stride(),
            storage_offset=numbers.storage_offset(),
            dtype=numbers.dtype,
            device=NAME,
        )
        made.numbers = numbers
        return made

    def tolist(self) -> Any:
        """As on any device: a copy to the host."""
        return self.numbers.tolist()

    def __format__(self, spec: str) -> str:
        return format(self.numbers.detach(), spec)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"OnDevice({self.numbers!r})"

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["numbers"], None

    @staticmethod
    def __tensor_unflatten__(inner: Any, *_: Any) -> "OnDevice":
        return OnDevice(inner["numbers"])

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return computed(func, args, kwargs or {})


class FakeDevice(TorchDispatchMode):
    """Computes everything, and so notices what is made on or copied to the device."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return computed(func, args, kwargs or {})


def computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Return func(*args, **kwargs), on the device where its operands are."""
    operands = tree_flatten((args, kwargs))[0]
    there = any(is_there(operand) for operand in operands)
    asked = kwargs.get("device")
    if asked is not None:
        there = torch.device(asked).type == NAME
    elif there and func not in COPIES:
        refuse_what_does_not_meet(func, args, operands)
    if asked is not None and there:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    held = tree_map(numbers, (args, kwargs))
    result = func(*held[0], **held[1])
    return placed(result, args, kwargs, there)


def placed(result: Any, args: Any, kwargs: Any, there: bool) -> Any:
    """Return the result as the device's, but what was changed in place as itself."""
    known = {
        id(operand.numbers): operand
        for operand in tree_flatten((args, kwargs))[0]
        if isinstance(operand, OnDevice)
    }

    def place(value: Any) -> Any:
        if not isinstance(value, Tensor) or isinstance(value, OnDevice):
            return value
        if id(value) in known:
            return known[id(value)]
        return OnDevice(value) if there else value

    return tree_map(place, result)


def refuse_what_does_not_meet(func: Any, args: Any, operands: list[Any]) -> None:
    """Raise as CUDA would where operands are on two devices."""
    if func in INDEXES:
        positions = {id(operand) for operand in tree_flatten(args[1])[0]}
        operands = [operand for operand in operands if id(operand) not in positions]
    for operand in operands:
        elsewhere = isinstance(operand, Tensor) and not is_there(operand)
        if elsewhere and operand.ndim > 0:
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two "
                f"devices, {NAME} and cpu! ({func})"
            )
        if isinstance(operand, torch.Generator):
            raise RuntimeError(
                f"Expected a '{NAME}' device type for generator ({func})"
            )


def is_there(value: Any) -> bool:
    """Say whether a value is a tensor of the device."""
    return isinstance(value, Tensor) and value.device.type == NAME


def numbers(value: Any) -> Any:
    """Return what a tensor of the device holds; anything else as it is."""
    if isinstance(value, OnDevice):
        return value.numbers
    if is_there(value) and value.numel() == 0:  # torch.tensor([], device=...)
        return torch.empty(value.shape, dtype=value.dtype)
    return value


@contextmanager
def fake_device() -> Iterator[str]:
    """Let "meta" be a device that computes; yield its name."""
    with FakeDevice():
        yield NAME
