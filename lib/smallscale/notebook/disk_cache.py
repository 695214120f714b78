"""Must this be computed again? Expensive steps, computed once across runs and processes.

A step is known by a hash of its code and arguments by content. A result is stored as tensors and plain JSON in one
safetensors file: reading it back runs no code.
"""

import hashlib
import inspect
import json
import os
import sys
import sysconfig
import textwrap
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from filelock import FileLock
from platformdirs import user_cache_path
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from smallscale.notebook.fingerprints import (
    PACKAGE,
    bare,
    contents_hash,
    module_hashes,
    modules,
    versions,
)

P = ParamSpec("P")
R = TypeVar("R")


def cache_folder() -> Path:
    """Where results are kept: SMALLSCALE_CACHE, else the user's cache folder. It may be deleted at any time."""
    return Path(os.environ.get("SMALLSCALE_CACHE") or user_cache_path("smallscale"))


def remember(function: Callable[P, R]) -> Callable[P, R]:
    """`remember(train)(model, images, epochs=30)` computes once, and reads the result back ever after.

    The key is the function's code, the code and values it refers to, its arguments, and the versions of the
    libraries below it; change one and it is computed anew. A `Path` argument counts by what it holds.
    Results are tensors, arrays, numbers, text, None, and lists, tuples and dicts of these: return a model's
    `state_dict()`, not the model. Another result is handed back with a warning, and not kept.
    An argument that has no content to go by (a generator, an open file) raises TypeError; pass a seed.
    """

    @wraps(function)
    def remembered(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = inspect.signature(function).bind(*args, **kwargs)
        bound.apply_defaults()  # f(1) and f(x=1) are one step
        key = value_hash(function, dict(bound.arguments), versions())
        path = (
            cache_folder() / f"{function.__name__.strip('<>')}-{key[:32]}.safetensors"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(
            path.with_suffix(".lock")
        ):  # two runs that need it at once compute it once
            with suppress(
                SafetensorError, ValueError, KeyError, OSError
            ):  # none, or damaged: it is computed (again)
                return _read(path)
            result = function(*args, **kwargs)
            try:
                _write(path, result)
            except TypeError as error:
                warnings.warn(
                    f"remember did not keep the result of {function.__name__}: {error}",
                    stacklevel=2,
                )
                return result
            return _read(path)

    return remembered


def _write(path: Path, result: Any) -> None:
    tensors: dict[str, torch.Tensor] = {}
    record = json.dumps(_pack(result, tensors))
    part = path.with_suffix(".part")  # the lock is held, so it has no other writer
    save_file(tensors, part, metadata={"result": record})
    part.replace(path)


def _read(path: Path) -> Any:
    with safe_open(path, framework="pt") as file:
        makers: dict[str, Callable[[Any], Any]] = {
            "list": list,
            "tuple": tuple,
            "dict": dict,
        }
        makers |= {
            "tensor": file.get_tensor,
            "array": lambda name: file.get_tensor(name).numpy(),
        }
        makers |= {"scalar": lambda name: file.get_tensor(name).numpy()[()]}

        def made(record: dict[str, Any]) -> Any:
            ((kind, inside),) = record.items()
            return makers[kind](inside)

        return json.loads(file.metadata()["result"], object_hook=made)


def _pack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The value as JSON, each array or tensor replaced by the name it is stored under."""
    match value:
        case None | bool() | int() | float() | str() if (
            type(value).__module__ == "builtins"
        ):
            return value
        case list() | tuple() if type(value) in (list, tuple):
            return {type(value).__name__: [_pack(item, tensors) for item in value]}
        case dict():
            return {
                "dict": [
                    [_pack(k, tensors), _pack(v, tensors)] for k, v in value.items()
                ]
            }
        case torch.Tensor():
            kind, tensor = "tensor", value
        case np.ndarray() | np.generic():
            kind = "array" if isinstance(value, np.ndarray) else "scalar"
            tensor = torch.from_numpy(np.ascontiguousarray(value).reshape(value.shape))
        case _:
            raise TypeError(
                f"a {type(value).__name__} cannot be stored; return tensors, arrays, numbers, text, and lists, "
                "tuples or dicts of them (of a model, its state_dict())"
            )
    name = str(len(tensors))
    tensors[name] = tensor.detach().cpu().contiguous().clone()
    return {kind: name}


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
            return [
                value.dtype,
                value.shape,
                hashlib.sha256(flat.view(torch.uint8).numpy().tobytes()).hexdigest(),
            ]
        case np.ndarray() | np.generic() if value.dtype != object:
            return [
                value.dtype,
                value.shape,
                hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest(),
            ]
        case Path():
            return [contents_hash(value)]
        case torch.nn.Module():
            return [
                repr(value),
                value.training,
                _digest([type(value), dict(value.state_dict())], seen),
            ]
        case partial():
            return [_digest([value.func, value.args, value.keywords], seen)]
        case (
            type()
            | types.FunctionType()
            | types.BuiltinFunctionType()
            | types.ModuleType()
        ):
            return (
                [] if id(value) in seen else _code(value, seen)
            )  # recursion ends here
        case _ if hasattr(value, "__dataclass_fields__"):
            return [_digest([type(value), vars(value)], seen)]
    raise TypeError(
        f"cannot tell a {type(value).__name__} by its content; use numbers, text, lists, dicts, "
        "arrays, tensors, models, functions or paths"
    )


def _code(value: Any, seen: set[int]) -> list[str]:
    """What a function, class or module does: ours by its code, a library's by its name and version."""
    seen.add(id(value))
    name = (
        value.__name__ if isinstance(value, types.ModuleType) else str(value.__module__)
    )
    top = name.split(".")[0]
    if top == PACKAGE.name:
        what = [str(module_hashes(modules(f"import {name}")))]
    elif _is_library(top):
        what = [versions().get(top, "")]
    else:
        what = [bare(textwrap.dedent(inspect.getsource(value)))]
        what += [_digest(referred, seen) for referred in _referred(value)]
    return [name, getattr(value, "__qualname__", ""), *what]


def _is_library(top: str) -> bool:
    """Whether this top-level module is Python's or installed, and not the notebook's own or beside it."""
    file = Path(
        getattr(sys.modules.get(top), "__file__", None) or sysconfig.get_path("stdlib")
    ).resolve()
    installed = any(
        file.is_relative_to(sysconfig.get_path(kind))
        for kind in ("purelib", "platlib", "stdlib")
    )
    return top != "__main__" and (top in sys.stdlib_module_names or installed)


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
            codes.extend(
                const for const in code.co_consts if isinstance(const, types.CodeType)
            )
        yield from (
            value.__globals__[name]
            for name in sorted(names)
            if name in value.__globals__
        )
