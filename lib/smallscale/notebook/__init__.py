"""What a notebook uses: values by scale, figures with words, living source, remembered steps, claims, sliders."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smallscale.notebook.claims import Claims
    from smallscale.notebook.disk_cache import remember
    from smallscale.notebook.exercises import check_guess
    from smallscale.notebook.explorer import explore
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
]

HOMES = {
    "Claims": "claims",
    "at_scale": "scale",
    "check_guess": "exercises",
    "figure": "figures",
    "note": "figures",
    "remember": "disk_cache",
}
HOMES |= {"source": "living_source", "explore": "explorer"}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: the bench, which needs none of them, does not wait for torch."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
