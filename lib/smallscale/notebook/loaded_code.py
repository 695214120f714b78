"""What does a function, a class or a module do, as it is loaded now?

Each is taken apart into a label and the values inside it, for `contents` to hash. What
runs counts, not the file that it was read from. What comes with an installed library
counts by its name and the library's version.
"""

import _abc
import builtins
import functools
import gc
import importlib
import importlib.util
import inspect
import operator
import pkgutil
import re
import sys
import types
import typing
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from smallscale.notebook.fingerprints import PACKAGE, data_hashes
from smallscale.notebook.libraries import (
    from_library,
    home,
    is_library,
    library_name,
    library_object,
    top_package,
)
from smallscale.notebook.lookups import (
    IMPORTERS,
    READ_AS_TEXT,
    Lookups,
    lookups_of,
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
    "__dynamo_disable",  # where torch keeps what it wraps a dispatch mode in
}
COMPILED_METHODS = (
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)
HAS_DOCSTRING = 0x4000000  # the flag of code objects from Python 3.13 on
# What these read or run cannot be seen in the code that calls them.
HIDING: dict[int, str] = {
    id(function): function.__name__
    for function in (
        *(getattr(builtins, name) for name in ("eval", "exec", "globals")),
        builtins.__import__,
        gc.get_objects,
        gc.get_referrers,
        importlib.import_module,
        importlib.reload,
        inspect.currentframe,
        inspect.getdoc,
        inspect.getmodule,
        inspect.getsource,
        inspect.stack,
        pkgutil.resolve_name,
        sys._getframe,
        typing.get_type_hints,
    )
}
PLAIN = (bool, int, float, str)
MADE_BY_ANYONE = (
    type,
    types.FunctionType,
    types.MethodType,
    functools.partial,
    functools._lru_cache_wrapper,
)
# So do these, which are not imported here: what they read may name any function.
UNPICKLERS = {
    f"{module}.{prefix}{name}": name
    for module, prefix in (("_pickle", ""), ("pickle", "_"))
    for name in ("load", "loads", "Unpickler")
}
Parts = tuple[list[Any], list[Any]]


class NeedsCure(TypeError):
    """Something has no content to go by; the message is what to do about it."""


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
            # `wraps` puts the function that it copies from in place of the cached one.
            held = gc.get_referents(value)
            if not any(thing is value.__wrapped__ for thing in held):
                raise NeedsCure("put @lru_cache above @wraps, not below it")
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
        # A function of `singledispatch`; the rest of what it holds is a cache.
        return label, [dict(_closure(_closure(function)["dispatch"])["registry"])]
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
    Raises NeedsCure where the function's code does not tell what it looks up.
    """
    lookups = lookups_of(function.__code__)
    for name in sorted(lookups.hiding):
        _refuse_hiding(name)
    texts = set(lookups.texts)
    for path in sorted(lookups.paths):
        for value in _found_global(function, path):
            yield ".".join(path), value
            if type(value) is str:
                texts.add(value)
        for place, attribute in enumerate(path):
            if place and attribute in READ_AS_TEXT:
                start = function.__globals__.get(path[0])
                get = operator.attrgetter(".".join(path[1 : place + 1]))
                with suppress(AttributeError):
                    yield f"{'.'.join(path)} as text", get(start)
    for name in sorted(lookups.named_in(texts)):
        for value in _found_global(function, (name,)):
            yield name, value
    package = str(function.__globals__.get("__package__") or "")
    for level, name, members in sorted(lookups.imports):
        for member in members or ("",):
            yield f"{name}.{member}", _imported(package, level, name, member)
    yield from _found_in_imports(lookups, package)


def _found_in_imports(lookups: Lookups, package: str) -> Iterator[tuple[str, Any]]:
    """Yield what the function takes from the modules that it imports itself.

    What is as its library has it is left out: the module's name counts already. A
    library's module that is not loaded yet is as the library has it.
    """
    for local, level, name, member in sorted(lookups.bound):
        module = sys.modules.get(_full_name(package, level, name))
        for path in sorted(lookups.paths | lookups.local_paths):
            attributes = [member, *path[1:]] if member else [*path[1:]]
            if path[0] != local or not attributes:
                continue
            # What is not there yet may be loaded when it is asked for.
            if module is None or attributes[0] not in {"__dict__", *vars(module)}:
                continue
            value = _seen(module, attributes)
            if not _is_the_librarys(value):
                yield ".".join(path), value


def _found_global(function: types.FunctionType, path: tuple[str, ...]) -> list[Any]:
    """Return what a dotted name leads to in a list, which is empty if that is Python's.

    Python's own are the builtins that it has and that nobody has put there.
    """
    name, *attributes = path
    own = name in function.__globals__
    if name == "__file__" or not (own or hasattr(builtins, name)):
        return []
    start = function.__globals__[name] if own else getattr(builtins, name)
    value = _seen(start, attributes)
    return [value] if own or not _is_pythons(value) else []


def _seen(start: Any, attributes: Iterable[str]) -> Any:
    """Return what these attributes lead to; raise NeedsCure if that hides what is used.

    See `_followed`.
    """
    value = _followed(start, attributes)
    _refuse_hiding(_hiding_name(value))
    return value


def _hiding_name(value: Any) -> str:
    """Return the name of what hides what it reads or runs; "" for anything else."""
    if value is sys.modules:
        return "sys.modules"
    if isinstance(value, types.BuiltinFunctionType | types.FunctionType | type):
        full = f"{value.__module__}.{value.__qualname__}"
        return HIDING.get(id(value), "") or UNPICKLERS.get(full, "")
    return HIDING.get(id(value), "")


def _is_pythons(value: Any) -> bool:
    """Tell whether a builtin is Python's, or a notebook's, such as `display`."""
    value = getattr(value, "__func__", value)
    if isinstance(value, types.FunctionType):
        return is_library(home(value))
    return bool(library_name(value))


def _is_the_librarys(value: Any) -> bool:
    """Tell whether a value is a library's own, of which nothing has been changed."""
    if type(value) in PLAIN:
        return False
    if isinstance(value, type) and any(map(_own_methods, value.__mro__)):
        return False
    if library_name(value):
        return True
    # Whoever puts one of these into a library may have made it.
    return not isinstance(value, MADE_BY_ANYONE) and bool(library_object(value))


def _refuse_hiding(name: str) -> None:
    """Raise NeedsCure for a name through which code uses what cannot be seen."""
    if not name:
        return
    if name in IMPORTERS:
        cure = "import with a statement, or give the module's name as one text"
    elif name in READ_AS_TEXT | {"getdoc", "getsource", "get_type_hints"}:
        cure = "keep the text in a variable of its own"
    else:
        cure = "name what is used in the code itself, or pass it in"
    raise NeedsCure(f"what its code uses through {name} cannot be seen: {cure}")


def _followed(value: Any, attributes: Iterable[str]) -> Any:
    """Return what code sees that takes these attributes, as far as through modules."""
    for attribute in attributes:
        if isinstance(value, type) and from_library(value):
            # What was set on a library's class counts if it is plain.
            inner = vars(value).get(attribute)
            return inner if type(inner) in PLAIN else value
        if not isinstance(value, types.ModuleType):
            break
        try:
            inner = getattr(value, attribute)
        except AttributeError:
            break
        if inner is sys.modules:
            return inner
        if attribute == "__dict__" and is_library(value.__name__):
            _refuse_hiding(attribute)
        # A library's own state, such as `warnings.filters`, is not the step's.
        is_state = not callable(inner) and not isinstance(
            inner, types.ModuleType | bool | int | float | str
        )
        if is_state and is_library(value.__name__):
            break
        value = inner
    return value


def _imported(package: str, level: int, name: str, member: str) -> Any:
    """Return what an import inside a function gives it, or None where it fails."""
    full = _full_name(package, level, name)
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


def _full_name(package: str, level: int, name: str) -> str:
    """Return a module's name with the dots of a relative import resolved."""
    return importlib.util.resolve_name("." * level + name, package) if level else name


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
    if "_abc_impl" in vars(cls):
        # The classes that were registered as its subclasses, by weak references.
        inside.append({known() for known in _abc._get_dump(cls)[0]})
    if not from_library(cls) and top_package(cls.__module__) == PACKAGE.name:
        inside.append(_data_beside(cls.__module__))
    return [cls.__name__], inside


def _patches(value: Any) -> list[Any]:
    """Return what of a library's class and its bases is not the library's."""
    if not isinstance(value, type):
        return []
    bases = [base for base in value.__bases__ if library_name(base)]
    return [*_own_methods(value), *bases]


def _own_methods(cls: type) -> list[Any]:
    """Return the names and the functions of a class that no library has put there."""
    return [
        [name, member]
        for name, member in sorted(vars(cls).items())
        if isinstance(member, types.FunctionType) and not is_library(home(member))
    ]


def _namespace(module: types.ModuleType) -> dict[str, Any]:
    """Return all that a module holds, in the order of the names."""
    names = sorted(name for name in vars(module) if not name.startswith("__"))
    label = module.__name__
    return {name: Named(f"{label}.{name}", vars(module)[name]) for name in names}
