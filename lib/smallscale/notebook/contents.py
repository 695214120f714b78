"""Are two values the same, in this process or in another? A hash of what they hold.

A value is taken apart into a label and the values inside it, these in turn, and so on.
The hash is that of all labels in the order met. A thing that is met again counts by the
number that it had, so that recursion ends and shared parts count as shared (see `met`).
"""

import copyreg
import datetime
import decimal
import enum
import hashlib
import io
import logging
import random
import struct
import sys
import types
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch

from smallscale.notebook.fingerprints import contents_hash
from smallscale.notebook.libraries import from_library, library_object
from smallscale.notebook.loaded_code import Named, NeedsCure, Parts, code_parts
from smallscale.notebook.met import Met

# Of these, two values are the same if they read the same.
TOLD_BY_REPR = {
    str,
    bytes,
    bool,
    type(None),
    range,
    type(...),
    type(NotImplemented),
    torch.dtype,
    torch.device,
    torch.layout,
}
# Equal values of these are one and the same: nobody can change them.
IMMUTABLE = (
    tuple,
    frozenset,
    decimal.Decimal,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    np.generic,
    types.CodeType,
    types.MethodType,
    types.BuiltinFunctionType,
)
# What these give next is not in them, or is used up by whoever asks.
WITHOUT_CONTENT = (
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
    types.FrameType,
    types.TracebackType,
    io.IOBase,
    random.Random,
    np.random.Generator,
    np.random.RandomState,
    np.random.BitGenerator,
    torch.Generator,
)
# The class of such a value says nothing beyond the label.
BUILT_IN = (
    list,
    tuple,
    dict,
    set,
    frozenset,
    np.ndarray,
    torch.Tensor,
    types.CodeType,
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    types.ModuleType,
    type,
)
# A library's note of Python's `hash`, which is another in each process: transformers
# has it to see whether settings were changed, and the settings count themselves.
OF_THIS_PROCESS = {"_original_object_hash"}
# What an enum notes of its members; the name and the value count.
ENUM_NOTES = {"_name_", "_value_", "_sort_order_", "__objclass__", "_inverted_"}
# Where a table has its content, its settings and what it has computed already.
TABLE_NOTES = {
    "_attrs",
    "_cache",
    "_cacher",
    "_codes",
    "_data",
    "_flags",
    "_id",
    "_is_copy",
    "_item_cache",
    "_levels",
    "_mgr",
    "_name",
    "_names",
    "_no_setting_name",
    "_range",
    "_references",
    "sortorder",
}
USUAL_CURE = (
    "use numbers, text, lists, dicts, arrays, tensors, models, functions or paths, "
    "and a seed in place of a generator"
)


class Refusal(TypeError):
    """A value has no content to go by; the message says which, and the cure."""


@dataclass(slots=True)
class Begun:
    """A tuple or a frozen set whose items are being hashed by themselves."""

    value: Any
    total: Any  # the hash of all that comes before it
    events: int


def value_hash(*values: Any) -> str:
    """Return a hash of values by content.

    They may be numbers, text, containers, arrays, tensors, tables, models, functions,
    classes, objects, modules and paths. A `Path` counts by its name and what it holds,
    a function by its loaded code and by what that code refers to. Raises TypeError for
    anything that has no content to go by, such as a generator or an open file.

    >>> value_hash([1, 2]) == value_hash([1, 2]) != value_hash([1, 2.0])
    True
    """
    try:
        return _hash(values, Met())
    except RecursionError as error:
        raise Refusal(
            "cannot tell sets that are nested so deeply by their content; use lists or "
            "tuples, which may be nested to any depth"
        ) from error


def _hash(value: Any, met: Met) -> str:
    """Return the hash of a value; `met` holds the things met before it."""
    total = hashlib.sha256()
    todo = [("", value)]
    while todo:
        where, value = todo.pop()
        if isinstance(value, Named):
            where = value.where
            value = value.value
        inside: list[Any] = []
        label: list[Any]
        plain = _plain_text(value)
        if plain is not None:
            label = [type(value).__name__, plain]
        elif type(value) is tuple and (texts := _plain_texts(value)) is not None:
            label = ["tuple of plain values", *texts]
        elif type(value) is Begun:
            label = [_ended(value, total.hexdigest(), met)]
            total = value.total
        elif id(value) in met.digests:
            label = [met.digests[id(value)][0]]
        elif (number := met.number(value)) is not None:
            label = ["again", number]
        else:
            if isinstance(value, tuple | frozenset):
                todo.append(("", Begun(value, total, met.events)))
                total = hashlib.sha256()
            label, inside = _parts(value, met, where)
        # With the number of values inside, the order of the labels tells the tree.
        text = repr((label, len(inside))).encode()
        total.update(b"%d:" % len(text) + text)
        todo += [(where, item) for item in reversed(inside)]
    return total.hexdigest()


def _ended(begun: Begun, digest: str, met: Met) -> str:
    """Return the hash of a tuple or a frozen set, and note it for the next time.

    Equal ones are one and the same where nothing in them can change. Of others, one
    that is met again counts by its number, so that shared parts are hashed once.
    """
    if met.events == begun.events:
        met.digests[id(begun.value)] = (digest, begun.value)
    else:
        met.meet(begun.value)
    return digest


def _parts(value: Any, met: Met, where: str) -> Parts:
    """Return the label of a value and the values inside it."""
    try:
        shared = [] if isinstance(value, IMMUTABLE) else met.meet(value)
        known = _known_parts(value, met, where)
        label, inside = known or ([], _object_parts(value))
    except (Refusal, RecursionError):
        raise
    except Exception as error:  # what others wrote to take it apart may fail anyhow
        raise Refusal(_refusal(value, where, error)) from error
    kind = type(value)
    if kind not in BUILT_IN:
        inside = [kind, *inside]
    return [kind.__name__, *shared, *label], inside


def _refusal(value: Any, where: str, error: Exception) -> str:
    """Return the message that refuses a value without content."""
    place = f" ({where})" if where else ""
    cure = str(error) if isinstance(error, NeedsCure) else USUAL_CURE
    return f"cannot tell a {type(value).__name__} by its content{place}; {cure}"


def _plain_text(value: Any) -> str | None:
    """Return the text of a plain value that tells it from others of its type."""
    kind = type(value)
    if kind is int:
        return hex(value)
    if kind is float:  # the bits: -0.0 is not 0.0, and a nan may have a payload
        return struct.pack("<d", value).hex()
    if kind is complex:
        return struct.pack("<dd", value.real, value.imag).hex()
    return repr(value) if kind in TOLD_BY_REPR else None


def _plain_texts(values: tuple[Any, ...]) -> list[Any] | None:
    """Return the types and the texts of plain values; None if one is not plain."""
    texts = []
    for value in values:
        text = _plain_text(value)
        if text is None:
            return None
        texts.append((type(value).__name__, text))
    return texts


def _known_parts(value: Any, met: Met, where: str) -> Parts | None:
    """Return the label and insides of a value of a known kind; None for others."""
    if type(value) in (list, tuple):  # most values are in these
        return [], [*value]
    for thing in (value, getattr(value, "__self__", None)):  # or a method of such
        if isinstance(thing, WITHOUT_CONTENT):
            raise TypeError
    known = code_parts(value)
    if known:
        return known
    known = _pandas_parts(value)
    if known:
        label, inside = known
        return label, [*inside, _set_on_table(value)]
    match value:
        case torch.nn.Module():
            return [], [_module_attributes(value)]
        case torch.Tensor():
            known = _tensor_parts(value)
        case np.ma.MaskedArray():
            known = _masked_parts(value)
        case np.ndarray():
            known = _array_parts(value)
        case np.generic():
            known = _array_parts(np.asarray(value))
        case np.dtype():
            return [repr(value), str(value.metadata)], []
        case enum.Enum():
            return [value._name_], [value._value_, _without(ENUM_NOTES, vars(value))]
        case dict():
            factory = getattr(value, "default_factory", None)
            pairs = [item for pair in dict.items(value) for item in pair]
            known = [], [factory, *pairs]
        case types.MappingProxyType():
            return [], [dict(value)]
        case list() | tuple():
            known = [], [*value]
        case set() | frozenset():
            known = _set_parts(value, met, where), []
        case bytearray():
            known = [bytes(value)], []
        case Path():
            return _path_parts(value), [_own_attributes(value)]
        case PurePath():
            return [str(value)], [_own_attributes(value)]
        case logging.Logger():
            return [value.name], []
        case _:
            return None
    label, inside = known
    if not from_library(type(value)) or type(value).__module__ == "collections":
        inside = [*inside, _attributes(value)]
    return label, inside


def _set_parts(items: Iterable[Any], met: Met, where: str) -> list[Any]:
    """Return the hashes of a set's items, and which things are in them.

    Each is hashed by itself, so that their order does not count.
    """
    hashed: list[tuple[str, Met | None]] = []
    for item in items:
        plain = _plain_text(item)
        if plain is not None:
            hashed.append((f"{type(item).__name__} {plain}", None))
        else:
            part = Met(met)
            hashed.append((_hash(Named(where, item), part), part))
    hashed.sort(key=lambda pair: pair[0])
    return [(digest, met.adopt(part)) if part else digest for digest, part in hashed]


def _path_parts(path: Path) -> list[str]:
    """Return a path's name and what it holds, wherever it lies.

    A `~` in front is the home folder, unless there is a folder of that name.
    """
    if not path.exists():
        with suppress(RuntimeError):  # raised where nobody knows the home folder
            path = path.expanduser()
    if not path.exists():
        return [path.name, "nothing"]
    return [path.name, "file" if path.is_file() else "folder", contents_hash(path)]


# ---- tensors, arrays and models ------------------------------------------------------


def _tensor_parts(tensor: torch.Tensor) -> Parts:
    """Return a tensor's dtype, shape and numbers, wherever and however it lies.

    Whether it takes gradients, the gradient that it has and its hooks count too.
    """
    hooks = list((tensor._backward_hooks or {}).values())
    label: list[Any] = [str(tensor.dtype), tuple(tensor.shape), str(tensor.layout)]
    label += [tensor.requires_grad, tensor.is_quantized]
    if tensor.grad_fn is not None:
        raise NeedsCure("it carries the graph that computed it: pass x.detach()")
    inside = [tensor.grad, hooks, dict(vars(tensor))]
    bare = tensor.detach()
    if bare.is_meta or bare.is_nested:
        raise TypeError
    if bare.is_quantized:
        scales = [bare.q_scale(), bare.q_zero_point()]
        return label, [*inside, bare.int_repr(), *scales]
    if bare.layout == torch.sparse_coo:
        pieces: list[Any] = [bare.is_coalesced(), bare._indices(), bare._values()]
        return label, [*inside, *pieces]
    if bare.layout in (torch.sparse_csr, torch.sparse_bsr):
        pieces = [bare.crow_indices(), bare.col_indices(), bare.values()]
        return label, [*inside, *pieces]
    if bare.layout in (torch.sparse_csc, torch.sparse_bsc):
        pieces = [bare.ccol_indices(), bare.row_indices(), bare.values()]
        return label, [*inside, *pieces]
    flat = bare.as_subclass(torch.Tensor).cpu().resolve_conj().resolve_neg()
    content = flat.contiguous().reshape(-1).view(torch.uint8).numpy()
    return [*label, _bytes_hash(content)], inside


def _masked_parts(array: np.ma.MaskedArray[Any, Any]) -> Parts:
    """Return the numbers of a masked array, those behind the mask too, and the mask."""
    mask = np.ma.getmaskarray(array)
    fill = np.asarray(array.fill_value)
    return [array.hardmask], [array.data, np.asarray(mask), fill]


def _array_parts(array: np.ndarray[Any, Any]) -> Parts:
    """Return an array's dtype, shape and content, however it lies."""
    label = [repr(array.dtype), array.shape]
    array = array.view(np.ndarray)
    if array.dtype.names is not None:
        # Field by field: what lies between the fields is left over from other things.
        return label, [array[name] for name in array.dtype.names]
    if array.dtype.hasobject or array.dtype.kind == "T":
        return label, array.reshape(-1).tolist()
    content = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
    if array.dtype.char in "gG" and np.finfo(np.longdouble).nmant == 63:
        # Of the 16 bytes of such a number, ten hold it.
        content = content.reshape(-1, np.dtype(np.longdouble).itemsize)[:, :10]
    return [*label, _bytes_hash(np.ascontiguousarray(content))], []


def _bytes_hash(content: np.ndarray[Any, Any]) -> str:
    """Return the hash of an array of bytes."""
    return hashlib.sha256(content.data).hexdigest()


def _module_attributes(module: torch.nn.Module) -> dict[str, Any]:
    """Return all that a module holds: weights, buffers, flags, settings and hooks.

    Hooks are numbered by torch through the whole process; here, through the module.
    """
    found = _attributes(module)
    hooks = [
        name for name in found if "_hooks" in name and isinstance(found[name], dict)
    ]
    numbers = sorted({number for name in hooks for number in found[name]})
    ranks = {number: rank for rank, number in enumerate(numbers)}
    for name in hooks:
        pairs = found[name].items()
        found[name] = {ranks[number]: hook for number, hook in pairs}
    return found


# ---- tables --------------------------------------------------------------------------


def _pandas_parts(value: Any) -> Parts | None:
    """Return the label and insides of a table, a column or an index; None for others.

    pandas is not imported for this: who has no pandas has none of its tables.
    """
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return None
    match value:
        case pandas.DataFrame():
            columns = [value.iloc[:, i].array for i in range(value.shape[1])]
            inside = [value.columns, value.index, columns, dict(value.attrs)]
            return [value.shape, repr(value.flags)], inside
        case pandas.Series():
            inside = [value.name, value.index, value.array, dict(value.attrs)]
            return [repr(value.flags)], inside
        case pandas.MultiIndex():
            levels = [value.get_level_values(i).array for i in range(value.nlevels)]
            return [], [list(value.names), levels]
        case pandas.Index():
            frequency = str(getattr(value, "freq", None))
            return [frequency], [value.name, value.array]
        case pandas.Categorical():
            inside = [value.codes, value.categories.array]
            return [value.ordered], inside
        case pandas.api.extensions.ExtensionArray():
            if isinstance(value.dtype, np.dtype):
                # How a table's columns lie in its memory does not count.
                return _array_parts(value.to_numpy())
            return [repr(value.dtype)], list(value.astype(object))
        case pandas.CategoricalDtype():
            return [value.ordered], [value.categories]
        case pandas.api.extensions.ExtensionDtype():
            return [repr(value)], []
    return None


def _set_on_table(value: Any) -> dict[str, Any]:
    """Return the attributes that were set on a table, a column or an index."""
    pandas = sys.modules["pandas"]
    if not isinstance(value, pandas.DataFrame | pandas.Series | pandas.Index):
        return {}
    return _without(TABLE_NOTES, getattr(value, "__dict__", {}))


# ---- objects -------------------------------------------------------------------------


def _object_parts(value: Any) -> list[Any]:
    """Return what is inside an object of any other class.

    That is its attributes, and what its class gives out to make a copy of it. Raises
    TypeError if it cannot be copied, as it then holds what cannot be seen.
    """
    made_elsewhere = from_library(type(value))
    if made_elsewhere and isinstance(value, Iterator):
        raise TypeError
    name = library_object(value)
    if name:
        return [name]
    reducer = copyreg.dispatch_table.get(type(value))
    copied: Any = reducer(value) if reducer else value.__reduce_ex__(4)
    if isinstance(copied, str):  # a name under which no library has it
        raise TypeError
    recipe = [list(part) if isinstance(part, Iterator) else part for part in copied]
    if not made_elsewhere:
        return [_attributes(value), recipe]
    return [
        _without(OF_THIS_PROCESS, part) if type(part) is dict else part
        for part in recipe
    ]


def _without(names: set[str], state: dict[Any, Any]) -> dict[Any, Any]:
    """Return a state without what these names stand for."""
    return {name: state[name] for name in state if name not in names}


def _attributes(value: Any) -> dict[str, Any]:
    """Return an object's attributes, those in `__slots__` included."""
    return {**getattr(value, "__dict__", {}), **_slots(value, type(value).__mro__)}


def _own_attributes(value: Any) -> dict[str, Any]:
    """Return the attributes without those that a library's class keeps in slots."""
    own = [cls for cls in type(value).__mro__ if not from_library(cls)]
    return {**getattr(value, "__dict__", {}), **_slots(value, own)}


def _slots(value: Any, classes: Iterable[type]) -> dict[str, Any]:
    """Return what an object has in the `__slots__` of these of its classes."""
    found: dict[str, Any] = {}
    for cls in classes:
        if "__slots__" not in vars(cls):
            continue
        for name, member in vars(cls).items():
            if isinstance(member, types.MemberDescriptorType) and hasattr(value, name):
                found[f"{cls.__name__}.{name}"] = member.__get__(value)
    return found
