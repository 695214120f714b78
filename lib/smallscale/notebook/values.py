"""Is this the argument it was last time? A hash of values by content."""

import hashlib
import inspect
import sys
import sysconfig
import textwrap
import types
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smallscale.notebook.code import PACKAGE, bare, contents_hash, module_hashes, modules, versions


def value_hash(*values: Any) -> str:
    """A hash of arguments by content: numbers, text, containers, arrays, tensors, modules, functions, paths.

    A `Path` counts by what it holds. A function counts by its code and what that code refers to.
    Raises TypeError for anything that has no content to go by, such as a generator or an open file.
    """
    total = hashlib.sha256()
    _feed(total.update, values, set())
    return total.hexdigest()


def _feed(update: Callable[[bytes], None], value: Any, seen: set[int]) -> None:
    def word(*parts: Any) -> None:
        update(("\0".join(map(str, parts)) + "\0").encode())

    match value:
        case None | bool() | int() | float() | complex() | str() | bytes() | range():
            word(type(value).__name__, repr(value))
        case torch.dtype() | torch.device() | np.dtype():
            word("torch", value)
        case list() | tuple():
            word(type(value).__name__, len(value))
            for item in value:
                _feed(update, item, seen)
        case dict():
            word("dict", len(value))
            for item in value.items():
                _feed(update, item, seen)
        case set() | frozenset():
            word("set", *sorted(value_hash(item) for item in value))
        case torch.Tensor():
            flat = value.detach().cpu().contiguous().reshape(-1)
            word("tensor", value.dtype, tuple(value.shape))
            update(flat.view(torch.uint8).numpy().tobytes())
        case np.ndarray() | np.generic() if value.dtype != object:
            word("array", value.dtype, value.shape)
            update(np.ascontiguousarray(value).tobytes())
        case Path():
            word("path", contents_hash(value))
        case torch.nn.Module():
            word("module", repr(value), value.training)
            _feed(update, type(value), seen)
            _feed(update, dict(value.state_dict()), seen)
        case partial():
            _feed(update, [value.func, value.args, value.keywords], seen)
        case type() | types.FunctionType() | types.BuiltinFunctionType() | types.ModuleType():
            if id(value) not in seen:  # recursion ends here
                seen.add(id(value))
                _feed_code(update, value, seen)
        case _ if hasattr(value, "__dataclass_fields__"):
            _feed(update, type(value), seen)
            _feed(update, vars(value), seen)
        case _:
            raise TypeError(
                f"cannot tell a {type(value).__name__} by its content; use numbers, text, lists, dicts, "
                "arrays, tensors, models, functions or paths"
            )


def _feed_code(update: Callable[[bytes], None], value: Any, seen: set[int]) -> None:
    """What a function, class or module does: ours by its code, a library's by its name and version."""
    name = value.__name__ if isinstance(value, types.ModuleType) else str(value.__module__)
    top = name.split(".")[0]
    update(f"code\0{name}\0{getattr(value, '__qualname__', '')}\0".encode())
    if top == PACKAGE.name:
        _feed(update, module_hashes(modules(f"import {name}")), set())
    elif _is_library(top, value):
        update(versions().get(top, "").encode())
    else:
        update(bare(textwrap.dedent(inspect.getsource(value))).encode())
        for referred in _referred(value):
            _feed(update, referred, seen)


def _is_library(top: str, value: Any) -> bool:
    if top in sys.stdlib_module_names and top != "__main__":
        return True
    try:
        file = Path(inspect.getfile(value)).resolve()
    except (TypeError, OSError):
        return top != "__main__"
    return any(file.is_relative_to(sysconfig.get_path(kind)) for kind in ("purelib", "platlib", "stdlib"))


def _referred(value: Any) -> Iterator[Any]:
    """The outside values that a function's (or a class's methods') code names, and its defaults."""
    if isinstance(value, type):
        for member in vars(value).values():
            yield from _referred(getattr(member, "__func__", member))
    elif isinstance(value, types.FunctionType):
        yield [value.__defaults__, value.__kwdefaults__]
        yield from (cell.cell_contents for cell in value.__closure__ or ())
        codes = [value.__code__]
        names: set[str] = set()
        while codes:
            code = codes.pop()
            names.update(code.co_names)
            codes.extend(const for const in code.co_consts if isinstance(const, types.CodeType))
        yield from (value.__globals__[name] for name in sorted(names) if name in value.__globals__)
