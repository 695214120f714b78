"""Is this Python's own, or an installed library's? Then a name and a version tell it.

A module is a library's if it lies where libraries are installed, and a release has put
it there. The notebook's own code, the modules beside it, and smallscale are no
libraries: their content counts.
"""

import functools
import hashlib
import importlib.metadata
import importlib.util
import sys
import sysconfig
import types
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from smallscale.notebook.fingerprints import PACKAGE

# These keep results or show how far a step is; no result depends on how they do it.
ONLY_LOOKING_ON = {
    f"{PACKAGE.name}.{name}"
    for name in (
        "core.progress",
        "notebook.contents",
        "notebook.disk_cache",
        "notebook.fingerprints",
        "notebook.libraries",
        "notebook.loaded_code",
        "notebook.lookups",
        "notebook.met",
        "notebook.stored_results",
    )
}
# What these add to the code that they compile has no file.
COMPILERS = ("_cython_", "pybind11_builtins")


def is_library(module: str) -> bool:
    """Tell whether this module is Python's own or installed."""
    return module in ONLY_LOOKING_ON or _is_installed(top_package(module))


def from_library(cls: type) -> bool:
    """Tell whether a class is Python's own or an installed library's."""
    module = cls.__module__
    # Some classes of C have a descriptor here, which says where objects are from.
    return not isinstance(module, str) or is_library(module)


def library_name(value: Any) -> str:
    """Return a library's name for its own function, class or module; "" for others.

    The version is part of the name. A thing that only says that it is a library's,
    such as a function behind `wraps`, is not.
    """
    if isinstance(value, types.ModuleType):
        if not is_library(value.__name__):
            return ""
        return f"{value.__name__} {_version(top_package(value.__name__))}"
    module = getattr(value, "__module__", None)
    path = getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(path, str):
        return ""
    if not is_library(module) or _found(module, path) is not value:
        return ""
    if isinstance(value, types.FunctionType) and not is_library(home(value)):
        return ""
    return f"{module}:{path} {_version(top_package(module))}"


def library_object(value: Any) -> str:
    """Return the name of an object that a library made for all; "" for others.

    `scipy.stats.beta` is one, and `numpy.add`: each counts as its library does.
    """
    module, name = _objects_by_id(len(sys.modules)).get(id(value), ("", ""))
    if not module or _found(module, name) is not value or not is_library(module):
        return ""
    return f"{module}:{name} {_version(top_package(module))}"


def home(function: types.FunctionType) -> str:
    """Return the module that a function was defined in, whatever `wraps` says."""
    return str(function.__globals__.get("__name__", ""))


def top_package(module: str) -> str:
    """Return the name of the outermost package of a module."""
    return module.partition(".")[0]


@functools.cache
def _is_installed(top: str) -> bool:
    """Tell whether a top-level module is Python's, or a release has installed it."""
    if not _lies_installed(top):
        return False
    places = _places(top)
    if not any(_for_installs(place) for place in places):
        return True
    # What was compiled cannot be read: it is left to whoever put it there.
    readable = all(place.is_dir() or place.suffix == ".py" for place in places)
    return not readable or bool(_releases(top))


def _lies_installed(top: str) -> bool:
    """Tell whether a top-level module lies with Python or the installed libraries."""
    if top in ("", "__main__", "__mp_main__", PACKAGE.name):
        return False
    if top.startswith(COMPILERS):
        return True
    places = _places(top)
    if not places:  # it is part of the interpreter, or it was made by hand
        return top in sys.stdlib_module_names
    standard = sysconfig.get_path("stdlib")
    return any(
        _for_installs(place)
        or place.is_relative_to(standard)
        or place.resolve().is_relative_to(Path(standard).resolve())
        for place in places
    )


def _for_installs(place: Path) -> bool:
    """Tell whether a file or a folder lies where releases are installed."""
    return bool({"site-packages", "dist-packages"} & set(place.parts))


def _places(top: str) -> list[Path]:
    """Return the file or the folders of a top-level module, whether loaded or not."""
    module = sys.modules.get(top)
    if module:
        found = [getattr(module, "__file__", None), *getattr(module, "__path__", [])]
    else:
        spec = importlib.util.find_spec(top)
        has_file = spec is not None and spec.has_location
        found = [spec.origin] if spec and has_file else []
        found += (spec.submodule_search_locations or []) if spec else []
    return [Path(place) for place in found if place]


def _found(module: str, path: str) -> Any:
    """Return what a loaded module has under a dotted path, or None."""
    value: Any = sys.modules.get(module)
    for name in path.split("."):
        # As it is written: no attribute is computed for this.
        inside = getattr(value, "__dict__", {})
        if name not in inside:
            return None
        value = inside[name]
    return value


@functools.lru_cache(maxsize=1)
def _objects_by_id(loaded: int) -> dict[int, tuple[str, str]]:
    """Return the module and the name of each object in a library's module, by its id.

    Of several names, that in the outermost module counts. `loaded`, the number of
    modules, renews what is cached.
    """
    found: dict[int, tuple[str, str]] = {}
    lies_installed = functools.cache(_lies_installed)
    for key in sorted(sys.modules, key=lambda key: (key.count("."), key)):
        module = sys.modules.get(key)
        if isinstance(module, types.ModuleType) and lies_installed(top_package(key)):
            for name, value in list(vars(module).items()):
                found.setdefault(id(value), (key, name))
    return found


@functools.cache
def _version(top: str) -> str:
    """Return the version of a library, as it is loaded."""
    if top in sys.stdlib_module_names:
        return ""  # that of Python counts for all
    told = getattr(sys.modules.get(top), "__version__", None)
    versions = [told] if isinstance(told, str) else []
    for release in _releases(top):
        if not versions:
            versions.append(f"{release.name} {release.version}")
        if release.read_text("direct_url.json"):
            # From a folder or a repository: the version does not tell the code.
            record = release.read_text("RECORD") or ""
            versions.append(hashlib.sha256(record.encode()).hexdigest())
    return ", ".join(versions)


def _releases(top: str) -> list[importlib.metadata.Distribution]:
    """Return the installed releases that brought a top-level module."""
    with suppress(importlib.metadata.PackageNotFoundError):
        return [importlib.metadata.distribution(top)]
    names = sorted(set(_names_of_releases().get(top, [])))
    return [importlib.metadata.distribution(name) for name in names]


@functools.cache
def _names_of_releases() -> Mapping[str, list[str]]:
    """Return the installed releases by the modules that they bring; it is slow."""
    return importlib.metadata.packages_distributions()
