"""Must this be computed again? Expensive steps are computed once, and kept on disk.

A step is known by a hash of the code that runs and of its arguments by content (see
`contents`). Its result is one safetensors file (see `stored_results`).
"""

import decimal
import inspect
import os
import sys
import types
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from filelock import FileLock
from platformdirs import user_cache_path

from smallscale.notebook.contents import value_hash
from smallscale.notebook.fingerprints import versions
from smallscale.notebook.loaded_code import Named
from smallscale.notebook.stored_results import read_result, write_result

__all__ = ["cache_folder", "remember", "value_hash"]

P = ParamSpec("P")
R = TypeVar("R")


def cache_folder() -> Path:
    """Return where results are kept; the folder may be deleted at any time.

    It is the folder that SMALLSCALE_CACHE names, or else the user's cache folder.
    """
    named = os.environ.get("SMALLSCALE_CACHE")
    return Path(named).expanduser() if named else user_cache_path("smallscale")


def remember(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function, but its results are kept on disk and read back ever after.

    `remember(train)(model, images, epochs=30)` computes once, whatever the run or
    process.

    A result is known by the function's code as it is loaded, the code and the values
    that this code refers to, the arguments, and the versions of the libraries. When one
    of them changes, it is computed anew. A `Path` argument counts by its name and by
    what it holds, not by the folders above it. What the function reads or changes
    elsewhere does not count, such as a list that was put into a library, or the names
    in a text that it is given to evaluate: pass in what it needs, a seed among it, and
    return what it makes.

    Results are tensors, arrays, tables, numbers, text, None, and lists, tuples and
    dicts of these: return a model's `state_dict()`, not the model. Another result, such
    as a tensor with the graph that computed it, or one for which there is no place, is
    handed back with a warning, and is not kept.

    Raises TypeError for an argument that has no content to go by, such as a generator
    or an open file; pass a seed instead. Raises it too for code that hides what it uses
    behind `eval`, `exec`, `globals`, `sys.modules`, `pickle.loads` or a computed
    import.
    """

    @wraps(function)
    def remembered(*args: P.args, **kwargs: P.kwargs) -> R:
        path = _result_path(function, args, kwargs)
        # A kept result is whole: it is read even where nothing can be written.
        found, result = _kept(path)
        if found:
            return result  # type: ignore[no-any-return]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path.with_suffix(".lock"))
            lock.acquire()
        except (OSError, NotImplementedError, RuntimeError) as error:
            computed = function(*args, **kwargs)
            _warn(function, error, depth=3)
            return computed
        # Two runs that need a result at the same time compute it once.
        try:
            found, result = _kept(path)
            if not found:
                result = _computed(path, function, args, kwargs)
            return result  # type: ignore[no-any-return]
        finally:
            lock.release()

    return remembered


def _kept(path: Path) -> tuple[bool, Any]:
    """Return whether there is an undamaged result, and the result."""
    try:
        return True, read_result(path)
    except ValueError:
        return False, None


def _computed(
    path: Path,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Compute the result and keep it; return it as it will be read ever after."""
    result = function(*args, **kwargs)
    try:
        write_result(path, result)
        return read_result(path)
    except Exception as error:  # whatever keeping it meets, the result is there
        _warn(function, error, depth=4)
        return result


def _warn(function: Callable[..., Any], error: Exception, depth: int) -> None:
    """Say why the result is not kept, at the line that asked for it, `depth` up."""
    message = f"remember did not keep the result of {_name(function)}: {error}"
    warnings.warn(message, stacklevel=depth)


def _result_path(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Path:
    """Return the file in which the result of this call is, or will be, kept."""
    step = Named(_name(function), function)
    arguments = _bound(function, args, kwargs)
    key = value_hash(step, arguments, _modes(), versions())
    name = "".join(sign for sign in _name(function) if sign.isalnum() or sign in "_-")
    return cache_folder() / f"{name[:60]}-{key[:32]}.safetensors"


def _modes() -> list[Any]:
    """Return what torch does otherwise where a mode or a default was set."""
    return [
        torch.get_default_dtype(),
        torch.get_default_device(),
        *_precisions(),
        _flushes_denormals(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        *(_autocast(device) for device in ("cpu", "cuda")),
        *_hooks_of_all_modules(),
        *_decimal_context(),
        np.geterr(),
    ]


def _precisions() -> list[str]:
    """Return with how many bits each backend of torch computes in float32.

    They tell what `torch.set_float32_matmul_precision` has set, too. Its own getter
    raises an error where a backend was set by itself.
    """
    backends: Any = torch.backends
    return [
        part.fp32_precision
        for part in (
            backends,
            backends.mkldnn,
            backends.mkldnn.matmul,
            backends.mkldnn.conv,
            backends.mkldnn.rnn,
            backends.cuda.matmul,
            backends.cudnn,
            backends.cudnn.conv,
            backends.cudnn.rnn,
        )
    ]


def _flushes_denormals() -> bool:
    """Tell whether the smallest numbers are taken for 0; torch has no getter for it."""
    return sys.float_info.min / 2 == 0


def _hooks_of_all_modules() -> list[Any]:
    """Return the hooks that torch calls for every module."""
    found = vars(torch.nn.modules.module)
    names = sorted(name for name in found if name.startswith("_global_"))
    return [list(found[name].values()) for name in names if name.endswith("_hooks")]


def _decimal_context() -> list[Any]:
    """Return how Python's decimal numbers are rounded."""
    context = decimal.getcontext()
    limits = [context.Emin, context.Emax, context.clamp]
    return [context.prec, context.rounding, *limits]


def _autocast(device: str) -> torch.dtype | None:
    """Return the dtype that torch casts to on this device; None if it does not."""
    if not torch.is_autocast_enabled(device):
        return None
    return torch.get_autocast_dtype(device)


def _bound(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments by the function's own names: f(1) and f(x=1) are one step.

    Only a function's code tells these names. What `wraps` copies may tell others.
    """
    if isinstance(function, types.MethodType):
        return _bound(function.__func__, (function.__self__, *args), kwargs)
    given = {f"{place}": value for place, value in enumerate(args)} | kwargs
    if isinstance(function, types.FunctionType):
        bare = types.FunctionType(
            function.__code__,
            function.__globals__,
            function.__name__,
            function.__defaults__,
            function.__closure__,
        )
        bare.__kwdefaults__ = function.__kwdefaults__
        bound = inspect.signature(bare).bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
    return {name: Named(f"the argument {name}", given[name]) for name in given}


def _name(function: Callable[..., Any]) -> str:
    """Return the function's name, or that of its class if it has none."""
    return str(getattr(function, "__name__", type(function).__name__)).strip("<>")
