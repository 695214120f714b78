"""How much work is this run meant to do? Whoever runs the notebook chooses one word."""

from typing import Any

SCALES = ("tiny", "small", "medium", "full")


def at_scale(
    scale: str, *, tiny: Any, small: Any, medium: Any = None, full: Any = None
) -> Any:
    """Return the value for this scale; where it is None, the nearest smaller scale's.

    >>> at_scale("full", tiny=1, small=10, medium=100)
    100

    Raises ValueError for a scale that is none of tiny, small, medium, full.
    """
    check_scale(scale)
    given = (tiny, small, medium, full)[: SCALES.index(scale) + 1]
    return next((value for value in reversed(given) if value is not None), None)


def check_scale(scale: str) -> None:
    """Raise ValueError for an unknown scale.

    It does not stand with the other checks, which import torch: the command starts
    without that.
    """
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}; got {scale!r}")
