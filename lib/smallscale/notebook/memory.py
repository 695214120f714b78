"""Must this be computed again? Expensive steps, computed once across runs and processes.

A result is stored as tensors and plain JSON in one safetensors file: reading it back runs no code.
"""

import inspect
import json
import os
import tempfile
import warnings
from collections.abc import Callable
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
            if path.exists():
                try:
                    return _read(path)
                except (SafetensorError, ValueError, KeyError, OSError):
                    pass  # a damaged file is computed again
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
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as stream:
        part = Path(stream.name)
    try:
        save_file(tensors, part, metadata={"result": record})
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _read(path: Path) -> Any:
    with safe_open(path, framework="pt") as file:
        return _unpack(json.loads(file.metadata()["result"]), file.get_tensor)


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


def _unpack(record: Any, tensor: Callable[[str], torch.Tensor]) -> Any:
    if not isinstance(record, dict):
        return record
    ((kind, inside),) = record.items()
    match kind:
        case "list":
            return [_unpack(item, tensor) for item in inside]
        case "tuple":
            return tuple(_unpack(item, tensor) for item in inside)
        case "dict":
            return {_unpack(k, tensor): _unpack(v, tensor) for k, v in inside}
        case "tensor":
            return tensor(inside)
        case "array":
            return tensor(inside).numpy()
        case "scalar":
            return tensor(inside).numpy()[()]
    raise ValueError(f"unknown kind of stored value: {kind}")
