"""Is this the argument it was last time? A hash of values by content."""

import hashlib
import inspect
import sys
import sysconfig
import textwrap
import types
from collections.abc import Iterable, Iterator
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
    return _digest(values, set())


def _digest(value: Any, seen: set[int]) -> str:
    parts = [type(value).__name__, *_parts(value, seen)]
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def _parts(value: Any, seen: set[int]) -> Iterable[Any]:
    """What makes this value differ from others of its type, as things that `str` tells apart."""
    match value:
        case None | bool() | int() | float() | complex() | str() | bytes() | range():
            return [repr(value)]
        case torch.dtype() | torch.device() | np.dtype():
            return [value]
        case list() | tuple():
            return [_digest(item, seen) for item in value]
        case dict():
            return [_digest(item, seen) for item in value.items()]
        case set() | frozenset():
            return sorted(value_hash(item) for item in value)
        case torch.Tensor():
            flat = value.detach().cpu().contiguous().reshape(-1)
            return [value.dtype, value.shape, hashlib.sha256(flat.view(torch.uint8).numpy().tobytes()).hexdigest()]
        case np.ndarray() | np.generic() if value.dtype != object:
            return [value.dtype, value.shape, hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
        case Path():
            return [contents_hash(value)]
        case torch.nn.Module():
            return [repr(value), value.training, _digest([type(value), dict(value.state_dict())], seen)]
        case partial():
            return [_digest([value.func, value.args, value.keywords], seen)]
        case type() | types.FunctionType() | types.BuiltinFunctionType() | types.ModuleType():
            return [] if id(value) in seen else _code(value, seen)  # recursion ends here
        case _ if hasattr(value, "__dataclass_fields__"):
            return [_digest([type(value), vars(value)], seen)]
    raise TypeError(
        f"cannot tell a {type(value).__name__} by its content; use numbers, text, lists, dicts, "
        "arrays, tensors, models, functions or paths"
    )


def _code(value: Any, seen: set[int]) -> list[str]:
    """What a function, class or module does: ours by its code, a library's by its name and version."""
    seen.add(id(value))
    name = value.__name__ if isinstance(value, types.ModuleType) else str(value.__module__)
    top = name.split(".")[0]
    if top == PACKAGE.name:
        what = [str(module_hashes(modules(f"import {name}")))]
    elif _is_library(top, value):
        what = [versions().get(top, "")]
    else:
        what = [bare(textwrap.dedent(inspect.getsource(value)))]
        what += [_digest(referred, seen) for referred in _referred(value)]
    return [name, getattr(value, "__qualname__", ""), *what]


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
