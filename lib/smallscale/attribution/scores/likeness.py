"""Are two models the same code with the same settings?

One model's code serves all that are trained together, so whatever it reads beside its
parameters and buffers must be the same in each: numbers, arrays, functions, sets, and
what those hold in turn.
"""

import dataclasses
import types
import weakref
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# What torch keeps of a module beside its settings.
_OF_TORCH = set(vars(nn.Module())) | {"training"}
# Of that, what is run with the module.
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def unlike(one: nn.Module, other: nn.Module) -> str:
    """Return the first part or setting that is not the same in two models, or "".

    Registered parameters and buffers are not compared: each model has its own.

    >>> unlike(nn.LeakyReLU(0.1), nn.LeakyReLU(0.2))
    'negative_slope'
    """
    compare = _Comparison(one, other)
    theirs = dict(other.named_modules(remove_duplicate=False))
    for name, part in one.named_modules(remove_duplicate=False):
        match = theirs.pop(name, None)
        where = f"{name}." if name else ""
        if type(match) is not type(part):
            return f"{where}{type(part).__name__}"
        mine, its = ({**vars(each)} for each in (part, match))
        for key in sorted((mine.keys() | its.keys()) - _OF_TORCH):
            if key not in mine or key not in its or not compare(mine[key], its[key]):
                return f"{where}{key}"
        for key in _HOOKS:
            if not compare([*mine[key].values()], [*its[key].values()]):
                return f"{where}{key.strip('_')}"
    return next(iter(theirs), "")


class _Comparison:
    """Compares what two models hold. A part of the one is as its namesake is."""

    def __init__(self, one: nn.Module, other: nn.Module) -> None:
        self.names = [
            {id(part): name for name, part in model.named_modules()}
            for model in (one, other)
        ]
        self.under_way: set[tuple[int, int]] = set()

    def __call__(self, one: Any, other: Any) -> bool:
        """Whether two values are the same; what hides all it holds is left to a trial.

        What is met again inside itself is the same as far as that goes.
        """
        if one is other or (id(one), id(other)) in self.under_way:
            return True
        if type(one) is not type(other):
            return False
        self.under_way.add((id(one), id(other)))
        try:
            return self._same(one, other)
        finally:
            self.under_way.discard((id(one), id(other)))

    def _same(self, one: Any, other: Any) -> bool:
        if isinstance(one, Tensor):
            return one.dtype == other.dtype and _same_array(one, other)
        if isinstance(one, np.ndarray) and one.dtype != object:
            return one.dtype == other.dtype and _same_numbers(one, other)
        if isinstance(one, torch.Generator):
            return torch.equal(one.get_state(), other.get_state())
        if isinstance(one, np.ndarray):
            return one.shape == other.shape and self(one.tolist(), other.tolist())
        if isinstance(one, Mapping):
            same_keys = one.keys() == other.keys()
            same_values = same_keys and all(self(one[key], other[key]) for key in one)
            return same_values and self._same_attributes(one, other)
        if isinstance(one, (list, tuple, deque)):
            same_length = len(one) == len(other)
            pairs = zip(one, other, strict=False)
            same_items = same_length and all(self(*pair) for pair in pairs)
            return same_items and self._same_attributes(one, other)
        if isinstance(one, (set, frozenset)):
            return self._same_sets(list(one), list(other))
        if isinstance(one, nn.Module):
            return self._same_modules(one, other)
        if isinstance(one, types.FunctionType):
            return self._same_functions(one, other)
        if isinstance(one, types.MethodType):
            same_function = self(one.__func__, other.__func__)
            return same_function and self(one.__self__, other.__self__)
        if isinstance(one, partial):
            parts = ((each.func, each.args, each.keywords) for each in (one, other))
            return self(*parts)
        if isinstance(one, types.CellType):
            return self(_content(one), _content(other))
        if isinstance(one, weakref.ref):
            return self(one(), other())
        return self._same_objects(one, other)

    def _same_inside(self, one: Any, other: Any) -> bool:
        """Whether what two objects hold is the same, as far as it is to be seen."""
        if not self._same_attributes(one, other):
            return False
        if _attributes(one) and _is_plain(one):
            return True
        try:
            parts = [each.__reduce_ex__(4) for each in (one, other)]
        except Exception:
            return True  # left to a trial
        return self(*parts)

    def _same_attributes(self, one: Any, other: Any) -> bool:
        """Whether the attributes of two objects are the same, where they have any."""
        mine, its = _attributes(one), _attributes(other)
        return not (mine or its) or self(mine, its)

    def _same_sets(self, one: list[Any], other: list[Any]) -> bool:
        """Whether each member has one of its own in the other set, in any order."""
        for member in one:
            match = (i for i, its in enumerate(other) if self(member, its))
            found = next(match, None)
            if found is None:
                return False
            other.pop(found)
        return not other

    def _same_modules(self, one: nn.Module, other: nn.Module) -> bool:
        """Whether both are one part of the models, or of no model and alike inside."""
        names = [self.names[0].get(id(one)), self.names[1].get(id(other))]
        if names != [None, None]:
            return names[0] == names[1]
        return self._same_inside(one, other)

    def _same_functions(
        self, one: types.FunctionType, other: types.FunctionType
    ) -> bool:
        """Whether two functions run the same code on the same values."""
        if not self._same_code(one.__code__, other.__code__):
            return False
        values = (
            [each.__defaults__, each.__kwdefaults__, each.__closure__, vars(each)]
            for each in (one, other)
        )
        if not self(*values):
            return False
        mine, its = one.__globals__, other.__globals__
        if mine is its:
            return True
        named = _names_in(one.__code__)
        return self(*({name: of.get(name) for name in named} for of in (mine, its)))

    def _same_code(self, one: types.CodeType, other: types.CodeType) -> bool:
        """Whether two functions' codes are the same, wherever they are written."""
        if one.co_code != other.co_code or len(one.co_consts) != len(other.co_consts):
            return False
        for mine, its in zip(one.co_consts, other.co_consts, strict=True):
            are_codes = all(isinstance(each, types.CodeType) for each in (mine, its))
            alike = self._same_code if are_codes else self
            if not alike(mine, its):
                return False
        names = ((each.co_names, each.co_varnames) for each in (one, other))
        return self(*names)

    def _same_objects(self, one: Any, other: Any) -> bool:
        """Whether two objects of a class of their own say or look that they are."""
        if isinstance(one, (float, complex, np.generic)) and one != one:
            return bool(other != other)
        try:
            if bool(one == other):
                return True
        except Exception:  # it holds arrays
            return self._same_inside(one, other)
        says = "__eq__" in {
            name for kind in type(one).__mro__[:-1] for name in vars(kind)
        }
        if says and not dataclasses.is_dataclass(one):
            return False
        if isinstance(one, (type, types.ModuleType, types.BuiltinFunctionType)):
            return False
        return self._same_inside(one, other)


def _same_array(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same, NaN where the other has it."""
    if one.shape != other.shape or one.device != other.device:
        return False
    if one.layout != torch.strided:
        one, other = one.to_dense(), other.to_dense()
    return bool(((one == other) | ((one != one) & (other != other))).all())


def _same_numbers(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    """Whether two arrays hold the same, NaN where the other has it."""
    if one.shape != other.shape:
        return False
    return bool(((one == other) | ((one != one) & (other != other))).all())


def _attributes(value: Any) -> dict[str, Any]:
    """Return what an object holds by name, in its dictionary and in its slots."""
    held = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                held[name] = getattr(value, name)
    return held


def _content(cell: types.CellType) -> tuple[Any, ...]:
    """Return what a closure's cell holds; it may be empty still."""
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _names_in(code: types.CodeType) -> set[str]:
    """Return the global names that a code may read, those in its inner codes too."""
    inner = (each for each in code.co_consts if isinstance(each, types.CodeType))
    return {*code.co_names}.union(*map(_names_in, inner))


def _is_plain(value: Any) -> bool:
    """Whether an object is all that its attributes are."""
    return not any("__reduce__" in vars(kind) for kind in type(value).__mro__[:-1])
