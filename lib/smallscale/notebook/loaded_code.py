"""What does a function, a class or a module do, as it is loaded now?

Each is taken apart into a label and the values inside it, for `contents` to hash. What
runs counts, not the file that it was read from. What comes with an installed library
counts by its name and the library's version.
"""

import dis
import functools
import importlib
import importlib.util
import re
import sys
import types
import typing
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from smallscale.notebook.fingerprints import PACKAGE, data_hashes
from smallscale.notebook.libraries import (
    from_library,
    home,
    is_library,
    library_name,
    top_package,
)

# What a class or a function carries that its methods do not run.
BOOKKEEPING = {
    "__dict__",
    "__weakref__",
    "__doc__",
    "__module__",
    "__firstlineno__",
    "__static_attributes__",
    "__orig_bases__",
    "__parameters__",
    "__type_params__",
    "__annotate__",
    "__annotate_func__",
    "__annotations_cache__",
    "_abc_impl",
    "_autograd_function_id",
}
COMPILED_METHODS = (
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)
HAS_DOCSTRING = 0x4000000  # the flag of code objects from Python 3.13 on
Parts = tuple[list[Any], list[Any]]


@dataclass(frozen=True)
class Named:
    """A value and where it stands, for the message that refuses it."""

    where: str
    value: Any


@dataclass(frozen=True)
class DataBeside:
    """The data files beside the modules of a package of smallscale."""

    package: str


def code_parts(value: Any) -> Parts | None:
    """Return the label and the insides of code; None if the value is not code."""
    name = library_name(value)
    if name:
        return [name], _patches(value)
    match value:
        case types.CodeType():
            return _code_parts(value)
        case types.FunctionType():
            return _function_parts(value)
        case types.ModuleType():
            return [value.__name__], [_namespace(value)]
        case type():
            return _class_parts(value)
        case types.MethodType():
            return [], [value.__func__, value.__self__]
        case types.BuiltinFunctionType() | types.MethodWrapperType():
            _refuse_compiled(value.__module__)
            return [value.__name__], [value.__self__]
        case staticmethod() | classmethod():
            return [], [value.__func__]
        case property():
            return [], [value.fget, value.fset, value.fdel, _attributes(value)]
        case functools.cached_property():
            return [value.attrname], [value.func]
        case functools.partial():
            inside = [value.func, value.args, value.keywords, _attributes(value)]
            return [], inside
        case functools._lru_cache_wrapper():
            return [], [value.cache_parameters(), _attributes(value)]
        case typing.TypeVar() | typing.ParamSpec():
            return [value.__name__], []
        case types.MemberDescriptorType() | types.GetSetDescriptorType():
            return [value.__name__], [value.__objclass__]
        case DataBeside():
            return [], [data_hashes(value.package)]
    if isinstance(value, COMPILED_METHODS):
        _refuse_compiled(value.__objclass__.__module__)
        return [value.__name__], [value.__objclass__]
    return None


def _refuse_compiled(module: str | None) -> None:
    """Raise TypeError for compiled code that no library brings: it cannot be read."""
    if module and not is_library(module):
        raise TypeError


def _attributes(value: Any) -> dict[str, Any]:
    """Return the attributes that were set on a function, wrapper or property."""
    found = dict(getattr(value, "__dict__", {}))
    return {name: found[name] for name in found if name not in BOOKKEEPING}


# ---- code objects and functions ------------------------------------------------------


def _code_parts(code: types.CodeType) -> Parts:
    """Return what a code object runs: all but its file, its lines and its docstring."""
    label = [
        code.co_name,
        code.co_code,
        code.co_exceptiontable,
        code.co_flags & ~HAS_DOCSTRING,
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount),
        (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars),
    ]
    constants = list(code.co_consts)
    if _has_docstring(code):
        constants[0] = None
    return label, constants


def _has_docstring(code: types.CodeType) -> bool:
    """Tell whether the code's first constant is its docstring."""
    if sys.version_info >= (3, 13):
        return bool(code.co_flags & HAS_DOCSTRING)
    is_function = code.co_flags & 1 and not code.co_name.startswith("<")
    return bool(is_function and code.co_consts and isinstance(code.co_consts[0], str))


def _function_parts(function: types.FunctionType) -> Parts:
    """Return a function's code and what that code works with.

    That is its defaults, its closure, the globals that it names, and the attributes
    that were set on it, such as what `wraps` has wrapped.
    """
    if hasattr(function, "_torchdynamo_orig_callable"):
        raise TypeError  # what torch.compile made holds what this process compiled
    module = home(function)
    name = function.__name__
    label = [name, function.__code__.co_qualname if is_library(module) else ""]
    if hasattr(function, "registry") and module == "functools":
        # A function of `singledispatch`; the rest of its closure is a cache.
        return label, [dict(function.registry)]
    inside: list[Any] = [
        function.__code__,
        Named(f"a default of {name}", function.__defaults__),
        Named(f"a default of {name}", function.__kwdefaults__),
        Named(f"an attribute of {name}", _attributes(function)),
        Named(f"the closure of {name}", _closure(function)),
    ]
    if not is_library(module):
        for path, value in _globals(function):
            inside += [path, Named(f"the global {path} of {name}", value)]
    if top_package(module) == PACKAGE.name:
        inside.append(_data_beside(module))
    return label, inside


@functools.cache
def _data_beside(module: str) -> DataBeside:
    """Return the data files that a module's code may read, one value a package."""
    is_package = hasattr(sys.modules.get(module), "__path__")
    return _data_of(module if is_package else module.rpartition(".")[0])


@functools.cache
def _data_of(package: str) -> DataBeside:
    return DataBeside(package)


def _closure(function: types.FunctionType) -> dict[str, Any]:
    """Return the values of a function's free variables; those not yet set are out."""
    names = function.__code__.co_freevars
    found = {}
    for name, cell in zip(names, function.__closure__ or (), strict=True):
        with suppress(ValueError):
            found[name] = cell.cell_contents
    return found


def _globals(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield what the function looks up outside itself, each with its dotted name.

    `helpers.scale` is what the module `helpers` has under `scale`, not the module.
    """
    paths, imports = _lookups(function.__code__)
    for path in paths:
        if path[0] in function.__globals__ and path[0] != "__file__":
            value = _followed(function.__globals__[path[0]], path[1:])
            yield ".".join(path), value
    package = str(function.__globals__.get("__package__") or "")
    for level, name, members in imports:
        for member in members or ("",):
            yield f"{name}.{member}", _imported(package, level, name, member)


def _followed(value: Any, attributes: tuple[str, ...]) -> Any:
    """Return what code sees that takes these attributes, as far as through modules."""
    for attribute in attributes:
        if not isinstance(value, types.ModuleType):
            break
        try:
            inner = getattr(value, attribute)
        except AttributeError:
            break
        # A library's own state, such as `sys.modules`, is not the step's.
        is_state = not callable(inner) and not isinstance(
            inner, types.ModuleType | bool | int | float | str
        )
        if is_state and is_library(value.__name__):
            break
        value = inner
    return value


def _imported(package: str, level: int, name: str, member: str) -> Any:
    """Return what an import inside a function gives it, or None where it fails."""
    full = importlib.util.resolve_name("." * level + name, package) if level else name
    if is_library(full):
        return full
    with suppress(ImportError):
        module = importlib.import_module(full)
        if member and member != "*":
            with suppress(ImportError):
                importlib.import_module(f"{full}.{member}")
            return getattr(module, member, None)
        return module
    return None


@lru_cache(maxsize=10_000)
def _lookups(
    code: types.CodeType,
) -> tuple[list[tuple[str, ...]], list[tuple[int, str, tuple[str, ...]]]]:
    """Return the globals that code looks up, and the imports that it makes.

    The code within it counts too. A global is a tuple of its name and the attributes
    taken from it at once; an import has its level, its module and its members.
    """
    paths = set()
    imports = set()
    steps = [
        step
        for step in dis.get_instructions(code)
        if step.opname not in ("CACHE", "EXTENDED_ARG")
    ]
    for place, step in enumerate(steps):
        if "GLOBAL" in step.opname or step.opname == "LOAD_NAME":
            path = [step.argval]
            for after in steps[place + 1 :]:
                if after.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
                    break
                path.append(after.argval)
            paths.add(tuple(path))
        elif step.opname == "IMPORT_NAME":
            level, members = (before.argval for before in steps[place - 2 : place])
            imports.add((level or 0, step.argval, tuple(members or ())))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner_paths, inner_imports = _lookups(constant)
            paths.update(inner_paths)
            imports.update(inner_imports)
    return sorted(paths), sorted(imports)


# ---- classes and modules -------------------------------------------------------------


def _class_parts(cls: type) -> Parts:
    """Return a class's bases, metaclass and members, methods and values alike."""
    members = _attributes(cls)
    # Annotations count as text: what they name need not exist.
    hints = repr(members.pop("__annotations__", {}))
    inside: list[Any] = [
        re.sub(r" at 0x[0-9a-fA-F]+", "", hints),
        list(cls.__bases__),
        type(cls),
    ]
    for name in sorted(members):
        inside += [name, Named(f"{cls.__name__}.{name}", members[name])]
    if not from_library(cls) and top_package(cls.__module__) == PACKAGE.name:
        inside.append(_data_beside(cls.__module__))
    return [cls.__name__], inside


def _patches(value: Any) -> list[Any]:
    """Return the methods of a library's class that are not the library's."""
    if not isinstance(value, type):
        return []
    return [
        [name, member]
        for name, member in sorted(vars(value).items())
        if isinstance(member, types.FunctionType) and not is_library(home(member))
    ]


def _namespace(module: types.ModuleType) -> dict[str, Any]:
    """Return all that a module holds, in the order of the names."""
    names = sorted(name for name in vars(module) if not name.startswith("__"))
    label = module.__name__
    return {name: Named(f"{label}.{name}", vars(module)[name]) for name in names}
