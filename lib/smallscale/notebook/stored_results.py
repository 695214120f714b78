"""A result as a file, and back: tensors and plain JSON in one safetensors file.

Reading it runs no code. What would not come back as it was is not written.
"""

import json
import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from smallscale.notebook.contents import value_hash

Tensors = dict[str, torch.Tensor]
ADVICE = (
    "return tensors, arrays, tables, numbers, text, and lists, tuples or dicts of "
    "them (of a model, its state_dict())"
)


def write_result(path: Path, result: Any) -> None:
    """Write the result under another name, then rename it: no reader sees half of it.

    Raises TypeError for a result that cannot be stored, OSError or SafetensorError if
    the folder cannot be written to.
    """
    tensors: Tensors = {}
    record = json.dumps(_pack(result, tensors))
    check = value_hash(path.name, record, tensors)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        save_file(tensors, part, metadata={"result": record, "check": check})
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def read_result(path: Path) -> Any:
    """Return the result that `write_result` wrote.

    Raises ValueError if the file is damaged, or was written for another call.
    """
    try:
        if not path.is_file():
            raise ValueError("it is no file")
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata()
        record = metadata["result"]
        # The names in their first order, as the check was made of them.
        tensors = {str(n): tensors[str(n)] for n in range(len(tensors))}
        if value_hash(path.name, record, tensors) != metadata["check"]:
            raise ValueError("its content has changed")
        return json.loads(record, object_hook=lambda packed: _made(packed, tensors))
    except Exception as error:  # a damaged file may fail in any way
        raise ValueError(f"{path} cannot be read: {error}") from error


def _pack(value: Any, tensors: Tensors) -> Any:
    """Return the value as JSON, and put its arrays and tensors into `tensors`.

    In the JSON each is replaced by the name that it has in `tensors`. Every object of
    the JSON has one key, which says what its content is. Raises TypeError for a value
    that cannot be stored.
    """
    kind = type(value)
    if kind in (type(None), bool, int, float, str):
        return value
    if kind in (list, tuple):
        return {kind.__name__: [_pack(item, tensors) for item in value]}
    if kind in (dict, OrderedDict):
        pairs = [[_pack(k, tensors), _pack(v, tensors)] for k, v in value.items()]
        return {kind.__name__: pairs}
    if kind is torch.nn.Parameter or (kind is torch.Tensor and value.requires_grad):
        return _pack_learnt(value, tensors)
    if kind is torch.Tensor:
        return {"tensor": _add(value, tensors)}
    if kind is np.ndarray:
        return {"array": _add(_tensor_of(value), tensors)}
    if isinstance(value, np.generic) and kind.__module__ == "numpy":
        return {"scalar": _add(_tensor_of(np.asarray(value)), tensors)}
    if kind.__module__.split(".")[0] == "pandas":
        return _pack_table(value, tensors)
    raise TypeError(f"a {kind.__name__} cannot be stored; {ADVICE}")


def _pack_learnt(tensor: torch.Tensor, tensors: Tensors) -> Any:
    """Return a tensor that takes gradients, or a parameter, as JSON, with its gradient.

    Raises TypeError where it carries the graph that computed it.
    """
    if not tensor.is_leaf:
        raise TypeError(
            "a tensor with the graph that computed it cannot be stored; return "
            "x.detach()"
        )
    kind = type(tensor).__name__
    gradient = _pack(tensor.grad, tensors)
    return {"learnt": [kind, _add(tensor, tensors), tensor.requires_grad, gradient]}


def _add(tensor: torch.Tensor, tensors: Tensors) -> str:
    """Put a tensor into `tensors` and return the name that it has there."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
        what = "complex" if tensor.is_complex() else "sparse or quantized"
        raise TypeError(f"a {what} tensor cannot be stored; {ADVICE}")
    name = str(len(tensors))
    tensors[name] = tensor.detach().cpu().contiguous().clone()
    return name


def _tensor_of(array: np.ndarray[Any, Any]) -> torch.Tensor:
    """Return an array as a tensor; raise TypeError where torch has no such dtype."""
    try:
        return torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape))
    except (TypeError, ValueError) as error:
        message = f"an array of dtype {array.dtype.str} cannot be stored; {ADVICE}"
        raise TypeError(message) from error


def _made(packed: dict[str, Any], tensors: Tensors) -> Any:
    """Return the value that `_pack` packed, whose insides are made already."""
    makers: dict[str, Callable[[Any], Any]] = {
        "list": list,
        "tuple": tuple,
        "dict": dict,
        "OrderedDict": OrderedDict,
        "tensor": lambda name: tensors[name],
        "learnt": lambda packed: _made_learnt(packed, tensors),
        "array": lambda name: tensors[name].numpy(),
        "scalar": lambda name: tensors[name].numpy()[()],
        "column": _made_column,
        "index": _made_index,
        "series": _made_series,
        "frame": _made_frame,
    }
    ((kind, inside),) = packed.items()
    return makers[kind](inside)


def _made_learnt(packed: list[Any], tensors: Tensors) -> torch.Tensor:
    kind, name, requires_grad, gradient = packed
    if kind == "Parameter":
        made: torch.Tensor = torch.nn.Parameter(tensors[name], requires_grad)
    else:
        made = tensors[name].requires_grad_(requires_grad)
    made.grad = gradient
    return made


# ---- tables --------------------------------------------------------------------------


def _pack_table(value: Any, tensors: Tensors) -> Any:
    """Return a table, a column or an index as JSON that comes back as it was."""
    import pandas

    own: Tensors = {}
    match value:
        case pandas.DataFrame() if type(value) is pandas.DataFrame:
            packed = _packed_frame(value, own)
        case pandas.Series() if type(value) is pandas.Series:
            packed = _packed_series(value, own)
        case pandas.Index():
            packed = _packed_index(value, own)
        case _:
            raise TypeError(f"a {type(value).__name__} cannot be stored; {ADVICE}")
    text = json.dumps(packed)
    again = json.loads(text, object_hook=lambda inside: _made(inside, own))
    if value_hash(again) != value_hash(value):
        raise TypeError(
            f"a {type(value).__name__} with these columns would not come back as it "
            "was; keep numbers, text, dates and categories in it"
        )
    # The names that its arrays have among the others.
    start = len(tensors)
    tensors |= {str(start + int(name)): own[name] for name in own}
    return json.loads(text, object_hook=lambda inside: _renamed(inside, start))


def _renamed(packed: dict[str, Any], start: int) -> dict[str, Any]:
    """Return packed JSON whose arrays are numbered from `start` on."""
    ((kind, inside),) = packed.items()
    if kind in ("tensor", "array", "scalar"):
        inside = str(start + int(inside))
    return {kind: inside}


def _packed_frame(frame: Any, tensors: Tensors) -> Any:
    columns = [
        _packed_column(frame.iloc[:, place].array, tensors)
        for place in range(frame.shape[1])
    ]
    names = _packed_index(frame.columns, tensors)
    index = _packed_index(frame.index, tensors)
    return {"frame": [names, index, columns, _pack(dict(frame.attrs), tensors)]}


def _made_frame(packed: list[Any]) -> Any:
    import pandas

    names, index, columns, attrs = packed
    frame = pandas.DataFrame(dict(enumerate(columns)), index=index)
    frame.columns = names
    frame.attrs.update(attrs)
    return frame


def _packed_series(series: Any, tensors: Tensors) -> Any:
    return {
        "series": [
            _pack(series.name, tensors),
            _packed_index(series.index, tensors),
            _packed_column(series.array, tensors),
            _pack(dict(series.attrs), tensors),
        ]
    }


def _made_series(packed: list[Any]) -> Any:
    import pandas

    name, index, column, attrs = packed
    series = pandas.Series(column, index=index, name=name)
    series.attrs.update(attrs)
    return series


def _packed_index(index: Any, tensors: Tensors) -> Any:
    """Return an index as its kind, its names, and its values or its range."""
    import pandas

    names = _pack(list(index.names), tensors)
    match index:
        case pandas.MultiIndex():
            levels = [index.get_level_values(i) for i in range(index.nlevels)]
            inside = [_packed_column(level.array, tensors) for level in levels]
        case pandas.RangeIndex():
            inside = [index.start, index.stop, index.step]
        case _:
            inside = [_packed_column(index.array, tensors)]
    frequency = getattr(index, "freqstr", None)
    return {"index": [type(index).__name__, names, inside, frequency]}


def _made_index(packed: list[Any]) -> Any:
    import pandas

    kind, names, inside, frequency = packed
    if kind == "MultiIndex":
        return pandas.MultiIndex.from_arrays(inside, names=names)
    if kind == "RangeIndex":
        return pandas.RangeIndex(*inside, name=names[0])
    index = pandas.Index(inside[0], name=names[0])
    if frequency:
        index.freq = frequency
    return index


def _packed_column(array: Any, tensors: Tensors) -> Any:
    """Return a column as its dtype and its values, as numbers or as a list."""
    import pandas

    dtype = str(array.dtype)
    match array.dtype:
        case pandas.CategoricalDtype():
            categories = _packed_column(array.categories.array, tensors)
            codes = _pack(np.array(array.codes), tensors)
            inside = [codes, categories, bool(array.ordered)]
        case np.dtype() if array.dtype.kind in "biuf":
            inside = [_pack(np.array(array), tensors)]
        case np.dtype() if array.dtype.kind in "mM":
            inside = [_pack(np.array(array).view(np.int64), tensors)]
        case pandas.DatetimeTZDtype():
            inside = [_pack(np.array(array.asi8), tensors)]
        case _:
            missing = pandas.isna(array) & (array.dtype != object)
            items = array.astype(object)
            values = [None if out else x for x, out in zip(items, missing, strict=True)]
            inside = [_pack(values, tensors)]
    return {"column": [dtype, *inside]}


def _made_column(packed: list[Any]) -> Any:
    import pandas

    dtype, values, *rest = packed
    if dtype == "category":
        categories, ordered = rest
        return pandas.Categorical.from_codes(values, categories, ordered=ordered)
    if dtype.startswith(("datetime64[", "timedelta64[")):
        zone = dtype.partition(", ")[2].rstrip("]")
        if not zone:
            return pandas.array(values.view(dtype))
        unit = dtype[len("datetime64[") :].partition(",")[0]
        moments = pandas.DatetimeIndex(values.view(f"datetime64[{unit}]"), tz="UTC")
        return moments.tz_convert(zone).array
    if dtype == "object":
        column = np.empty(len(values), dtype=object)
        column[:] = values
        return column
    if isinstance(values, np.ndarray):
        return values
    return pandas.array(values, dtype=dtype)
