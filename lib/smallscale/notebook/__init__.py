"""What a notebook uses: scale, figures, source, steps on disk, claims, sliders."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smallscale.notebook.claims import Claims
    from smallscale.notebook.disk_cache import remember
    from smallscale.notebook.exercises import check_guess
    from smallscale.notebook.explorer import explore, still
    from smallscale.notebook.figures import figure, note
    from smallscale.notebook.living_source import source
    from smallscale.notebook.scale import at_scale

__all__ = [
    "Claims",
    "at_scale",
    "check_guess",
    "explore",
    "figure",
    "note",
    "remember",
    "source",
    "still",
]

# Each name, and the module of this package that has it.
_MODULES = {
    "Claims": "claims",
    "at_scale": "scale",
    "check_guess": "exercises",
    "explore": "explorer",
    "figure": "figures",
    "note": "figures",
    "remember": "disk_cache",
    "source": "living_source",
    "still": "explorer",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for.

    The command uses this package too and needs none of these names: it must not wait
    for torch and matplotlib.
    """
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
