"""Must this be computed again? Expensive steps, computed once across runs and processes.

A result is stored as tensors and plain JSON in one safetensors file: reading it back runs no code.
"""

import inspect
import json
import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from filelock import FileLock
from platformdirs import user_cache_path
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from smallscale.notebook.code import versions
from smallscale.notebook.values import value_hash

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
        path = cache_folder() / f"{function.__name__.strip('<>')}-{key[:32]}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # two runs that need it at once compute it once
            with suppress(SafetensorError, ValueError, KeyError, OSError):  # none, or damaged: it is computed (again)
                return _read(path)
            result = function(*args, **kwargs)
            try:
                _write(path, result)
            except TypeError as error:
                warnings.warn(f"remember did not keep the result of {function.__name__}: {error}", stacklevel=2)
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
        makers: dict[str, Callable[[Any], Any]] = {"list": list, "tuple": tuple, "dict": dict}
        makers |= {"tensor": file.get_tensor, "array": lambda name: file.get_tensor(name).numpy()}
        makers |= {"scalar": lambda name: file.get_tensor(name).numpy()[()]}

        def made(record: dict[str, Any]) -> Any:
            ((kind, inside),) = record.items()
            return makers[kind](inside)

        return json.loads(file.metadata()["result"], object_hook=made)


def _pack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The value as JSON, each array or tensor replaced by the name it is stored under."""
    match value:
        case None | bool() | int() | float() | str() if type(value).__module__ == "builtins":
            return value
        case list() | tuple() if type(value) in (list, tuple):
            return {type(value).__name__: [_pack(item, tensors) for item in value]}
        case dict():
            return {"dict": [[_pack(k, tensors), _pack(v, tensors)] for k, v in value.items()]}
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
