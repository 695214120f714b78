"""What does a package show? Its functions, even where a module has the same name."""

from types import ModuleType
from typing import Any


class Face(ModuleType):
    """A package whose functions keep their names.

    `smallscale.kernels` has a function `attention`, written in its module `attention`.
    Whoever loads that module puts it into the package under its name, in the function's
    place. A package that is a Face keeps the function:

        sys.modules[__name__].__class__ = Face
    """

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, unless it would put a module in the place of a function."""
        is_function = callable(self.__dict__.get(name))
        if not (is_function and isinstance(value, ModuleType)):
            super().__setattr__(name, value)
