"""Which names does code look up outside itself? Its steps, as Python compiled them.

Read are globals with the attributes that are taken from them, imports and what they
bind, and texts that code may compute or query with. What the names lead to is for
`loaded_code` to find.
"""

import dis
import itertools
import re
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from smallscale.notebook.libraries import top_package

# What these read or run cannot be seen in the code that calls them. They are told by
# these names where code has them from elsewhere than a global.
HIDING_NAMES = {
    "__import__",
    "_getframe",
    "currentframe",
    "get_type_hints",
    "getdoc",
    "getsource",
    "import_module",
}
IMPORTERS = {"__import__", "import_module"}
# Of code, these count only where they are read.
READ_AS_TEXT = {"__doc__", "__annotations__"}
# These compute what a text says, with the names that stand in it.
EVALUATING = {"eval", "evaluate"}


@dataclass
class Lookups:
    """What code looks up outside itself; that of the code within it is included."""

    # A global's name and the attributes that are taken from it at once.
    paths: set[tuple[str, ...]] = field(default_factory=set)
    # The level of an import, its module and its members.
    imports: set[tuple[int, str, tuple[str, ...]]] = field(default_factory=set)
    # A local's name, and the level, the module and the member that an import gives it.
    bound: set[tuple[str, int, str, str]] = field(default_factory=set)
    # A local's name and the attributes that are taken from it at once.
    local_paths: set[tuple[str, ...]] = field(default_factory=set)
    hiding: set[str] = field(default_factory=set)  # names that hide what is used
    texts: set[str] = field(default_factory=set)
    evaluates: bool = False  # whether it may compute what a text says
    queries: bool = False  # whether it may query a table, where @name is a variable

    def named_in(self, texts: set[str]) -> set[str]:
        """Return the names in these texts that the code may look up."""
        found: set[str] = set()
        for text in texts:
            if self.evaluates:
                found.update(re.findall(r"[^\W\d]\w*", text))
            elif self.queries:
                found.update(re.findall(r"@\s*([^\W\d]\w*)", text))
        return found


@lru_cache(maxsize=10_000)
def lookups_of(code: types.CodeType) -> Lookups:
    """Return what code looks up outside itself."""
    found = Lookups()
    steps = [
        step
        for step in dis.get_instructions(code)
        if step.opname not in ("CACHE", "EXTENDED_ARG", "PUSH_NULL", "PRECALL")
    ]
    in_paths: set[int] = set()  # the places of the steps that take its attributes
    for place, step in enumerate(steps):
        after = steps[place + 1 : place + 3]
        name = step.argval
        is_global = "GLOBAL" in step.opname or step.opname == "LOAD_NAME"
        if is_global or _loads_local(step):
            end = place + 1
            while end < len(steps) and _takes_attribute(steps[end]):
                end += 1
            attributes = tuple(part.argval for part in steps[place + 1 : end])
            # Where one step handles two locals, the last is the one that is loaded.
            path = (name[-1] if isinstance(name, tuple) else name, *attributes)
            if is_global:
                in_paths.update(range(place, end))
            if not (path[-1] in IMPORTERS and _text_given(steps[end : end + 2])):
                (found.paths if is_global else found.local_paths).add(path)
        elif step.opname == "IMPORT_NAME":
            level, members = (before.argval for before in steps[place - 2 : place])
            # `import a.b` gives the code `a`, and `import a.b as c` does not.
            only = bool(members) or after[0].opname == "IMPORT_FROM"
            for module in [name] if only else _outer_and_inner(name):
                found.imports.add((level or 0, module, tuple(members or ())))
            for local, module, member in _bindings(steps[place:], bool(members)):
                found.bound.add((local, level or 0, module, member))
            continue
        if not _names_something(step):
            continue
        if name in IMPORTERS and _text_given(after):
            for module in _outer_and_inner(after[0].argval):
                found.imports.add((0, module, ()))
        elif name in HIDING_NAMES | READ_AS_TEXT and place not in in_paths:
            found.hiding.add(name)
        elif name in EVALUATING and _takes_attribute(step):
            # `model.eval()` computes nothing that a text says.
            found.evaluates |= (after[0].opname, after[0].arg) != ("CALL", 0)
        elif name == "query" and _takes_attribute(step):
            found.queries = True
    for constant in code.co_consts:
        if isinstance(constant, str):
            found.texts.add(constant)
        elif isinstance(constant, types.CodeType):
            inner = lookups_of(constant)
            found.paths |= inner.paths
            found.imports |= inner.imports
            found.bound |= inner.bound
            found.local_paths |= inner.local_paths
            found.hiding |= inner.hiding
            found.texts |= inner.texts
            found.evaluates |= inner.evaluates
            found.queries |= inner.queries
    return found


def _loads_local(step: dis.Instruction) -> bool:
    """Tell whether a step loads a local, or what an outer function has as a local."""
    if "LOAD_FAST" in step.opname:
        return True
    return step.opname.startswith("LOAD_") and "DEREF" in step.opname


def _bindings(
    steps: list[dis.Instruction], has_members: bool
) -> Iterator[tuple[str, str, str]]:
    """Yield the locals that an import binds, each with its module and the member.

    steps: from the import on. `import a.b` binds `a`. `import a.b as c` binds `a.b`,
    and takes `b` from `a` for it.
    """
    module = steps[0].argval
    for before, step in itertools.pairwise(steps):
        if step.opname.startswith("STORE_"):
            # One step may store this local and then handle another.
            local = step.argval[0] if isinstance(step.argval, tuple) else step.argval
            if has_members:
                yield local, module, before.argval
                continue
            is_outermost = before.opname == "IMPORT_NAME"
            yield local, top_package(module) if is_outermost else module, ""
            return
        if step.opname not in ("IMPORT_FROM", "SWAP", "POP_TOP"):
            return
        if has_members and step.opname == "POP_TOP":
            return


def _outer_and_inner(module: str) -> Iterable[str]:
    """Return the names of a module and of the packages that it lies in."""
    return itertools.accumulate(module.split("."), "{}.{}".format)


def _names_something(step: dis.Instruction) -> bool:
    """Tell whether a step looks up a name or an attribute, wherever it is from."""
    looks_up = step.opname.startswith("LOAD_") or step.opname == "IMPORT_FROM"
    return looks_up and step.opname != "LOAD_CONST" and isinstance(step.argval, str)


def _takes_attribute(step: dis.Instruction) -> bool:
    """Tell whether a step takes an attribute or a method of what is there."""
    return step.opname in ("LOAD_ATTR", "LOAD_METHOD")


def _text_given(steps: list[dis.Instruction]) -> bool:
    """Tell whether these steps give one text to a function and call it."""
    if [step.opname for step in steps[:2]] != ["LOAD_CONST", "CALL"]:
        return False
    text, call = steps[:2]
    # A name that begins with a dot is relative.
    return call.arg == 1 and isinstance(text.argval, str) and text.argval[:1] != "."
