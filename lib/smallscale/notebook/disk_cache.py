"""Must this be computed again? Expensive steps are computed once, and kept on disk.

A step is known by a hash of its code and of its arguments by content. Its result is
stored as tensors and plain JSON in one safetensors file: reading it runs no code.
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
    """Return where results are kept; the folder may be deleted at any time.

    It is the folder that SMALLSCALE_CACHE names, or else the user's cache folder.
    """
    return Path(os.environ.get("SMALLSCALE_CACHE") or user_cache_path("smallscale"))


def remember(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function, but its results are kept on disk and read back ever after.

    `remember(train)(model, images, epochs=30)` computes once, whatever the run or
    process.

    A result is known by the function's code, the code and the values that this code
    refers to, the arguments, and the versions of the libraries below. When one of them
    changes, it is computed anew. A `Path` argument counts by what it holds.

    Results are tensors, arrays, numbers, text, None, and lists, tuples and dicts of
    these: return a model's `state_dict()`, not the model. Another result is handed back
    with a warning, and is not kept.

    Raises TypeError for an argument that has no content to go by, such as a generator
    or an open file; pass a seed instead.
    """

    @wraps(function)
    def remembered(*args: P.args, **kwargs: P.kwargs) -> R:
        path = _result_path(function, inspect.signature(function).bind(*args, **kwargs))
        path.parent.mkdir(parents=True, exist_ok=True)
        # Two runs that need a result at the same time compute it once.
        with FileLock(path.with_suffix(".lock")):
            # There is none, or it is damaged: it is computed (again).
            with suppress(SafetensorError, ValueError, KeyError, OSError):
                kept: R = _read(path)
                return kept
            result = function(*args, **kwargs)
            try:
                _write(path, result)
            except TypeError as error:
                warnings.warn(
                    f"remember did not keep the result of {function.__name__}: {error}",
                    stacklevel=2,
                )
                return result
            written: R = _read(path)
            return written

    return remembered


def _result_path(
    function: Callable[..., Any], arguments: inspect.BoundArguments
) -> Path:
    """Return the file in which the result of this call is, or will be, kept."""
    arguments.apply_defaults()  # f(1) and f(x=1) are one step
    key = value_hash(function, dict(arguments.arguments), versions())
    name = function.__name__.strip("<>")
    return cache_folder() / f"{name}-{key[:32]}.safetensors"


# ---- results as files ----------------------------------------------------------------


def _write(path: Path, result: Any) -> None:
    """Write the result under another name, then rename it. The lock is held."""
    tensors: dict[str, torch.Tensor] = {}
    record = json.dumps(_pack(result, tensors))
    part = path.with_suffix(".part")
    save_file(tensors, part, metadata={"result": record})
    part.replace(path)


def _read(path: Path) -> Any:
    """Return the result that `_write` wrote."""
    with safe_open(path, framework="pt") as file:
        makers: dict[str, Callable[[Any], Any]] = {
            "list": list,
            "tuple": tuple,
            "dict": dict,
            "tensor": file.get_tensor,
            "array": lambda name: file.get_tensor(name).numpy(),
            "scalar": lambda name: file.get_tensor(name).numpy()[()],
        }

        def made(packed: dict[str, Any]) -> Any:
            ((kind, inside),) = packed.items()
            return makers[kind](inside)

        return json.loads(file.metadata()["result"], object_hook=made)


def _pack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Return the value as JSON, and put its arrays and tensors into `tensors`.

    In the JSON each is replaced by the name that it has in `tensors`. Every object of
    the JSON has one key, which says what its content is. Raises TypeError for a value
    that cannot be stored.
    """
    match value:
        case None | bool() | int() | float() | str() if _is_plain(value):
            return value
        case list() | tuple() if _is_plain(value):
            return {type(value).__name__: [_pack(item, tensors) for item in value]}
        case dict():
            pairs = value.items()
            return {"dict": [[_pack(k, tensors), _pack(v, tensors)] for k, v in pairs]}
        case torch.Tensor():
            kind = "tensor"
            tensor = value
        case np.ndarray() | np.generic():
            kind = "array" if isinstance(value, np.ndarray) else "scalar"
            tensor = torch.from_numpy(np.ascontiguousarray(value).reshape(value.shape))
        case _:
            raise TypeError(
                f"a {type(value).__name__} cannot be stored; return tensors, arrays, "
                "numbers, text, and lists, tuples or dicts of them (of a model, its "
                "state_dict())"
            )
    name = str(len(tensors))
    tensors[name] = tensor.detach().cpu().contiguous().clone()
    return {kind: name}


def _is_plain(value: Any) -> bool:
    """Tell whether the value's type is Python's own, not one derived from it."""
    return type(value).__module__ == "builtins"


# ---- arguments as hashes -------------------------------------------------------------


def value_hash(*values: Any) -> str:
    """Return a hash of values by content.

    They may be numbers, text, containers, arrays, tensors, models, functions, modules
    and paths. A `Path` counts by what it holds, a function by its code and by what that
    code refers to. Raises TypeError for anything that has no content to go by, such as
    a generator or an open file.
    """
    return _digest(values, set())


def _digest(value: Any, seen: set[int]) -> str:
    """Return the hash of one value; `seen` holds the functions met on the way."""
    parts = [type(value).__name__, *_parts(value, seen)]
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def _parts(value: Any, seen: set[int]) -> Iterable[Any]:
    """Return what tells this value from others of its type.

    The parts are things that `str` tells apart.
    Raises TypeError for a value that has no content to go by.
    """
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
            content = flat.view(torch.uint8).numpy().tobytes()
            return [value.dtype, value.shape, hashlib.sha256(content).hexdigest()]
        case np.ndarray() | np.generic() if value.dtype != object:
            content = np.ascontiguousarray(value).tobytes()
            return [value.dtype, value.shape, hashlib.sha256(content).hexdigest()]
        case Path():
            return [contents_hash(value)]
        case torch.nn.Module():
            weights = _digest([type(value), dict(value.state_dict())], seen)
            return [repr(value), value.training, weights]
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
        f"cannot tell a {type(value).__name__} by its content; use numbers, text, "
        "lists, dicts, arrays, tensors, models, functions or paths"
    )


def _code(value: Any, seen: set[int]) -> list[str]:
    """Return what a function, class or module does.

    What is ours counts by its code, and a library's by its name and version.
    """
    seen.add(id(value))
    is_module = isinstance(value, types.ModuleType)
    module = value.__name__ if is_module else str(value.__module__)
    top = module.split(".")[0]
    if top == PACKAGE.name:
        what = [str(module_hashes(modules(f"import {module}")))]
    elif _is_library(top):
        what = [versions().get(top, "")]
    else:
        what = [bare(textwrap.dedent(inspect.getsource(value)))]
        what += [_digest(referred, seen) for referred in _referred(value)]
    return [module, getattr(value, "__qualname__", ""), *what]


def _is_library(top: str) -> bool:
    """Tell whether this top-level module is Python's own or installed.

    The notebook's own code, and modules beside it, are neither.
    """
    if top == "__main__":
        return False
    if top in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(top), "__file__", None)
    path = Path(file or sysconfig.get_path("stdlib")).resolve()
    installed = ("purelib", "platlib", "stdlib")
    return any(path.is_relative_to(sysconfig.get_path(kind)) for kind in installed)


def _referred(value: Any) -> Iterator[Any]:
    """Yield the outside values that the code of a function or class depends on.

    Of a function: its defaults, its closure, and the globals that it names. Of a class:
    those of its methods.
    """
    if isinstance(value, type):
        for member in vars(value).values():
            yield from _referred(getattr(member, "__func__", member))
    elif isinstance(value, types.FunctionType):
        yield [value.__defaults__, value.__kwdefaults__]
        for cell in value.__closure__ or ():
            yield cell.cell_contents
        for name in sorted(_names(value.__code__)):
            if name in value.__globals__:
                yield value.__globals__[name]


def _names(code: types.CodeType) -> set[str]:
    """Return the names that code, and the code within it, looks up."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names
