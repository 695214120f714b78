"""Can one work with what was given? Each check raises ValueError with one line that says what cannot be."""

from collections.abc import Iterable
from typing import Any

import numpy as np


def require(holds: Any, message: str) -> None:
    """Raise the message unless it holds."""
    if not holds:
        raise ValueError(message)


def one_of(name: str, value: Any, known: Iterable[str]) -> int:
    """For a choice by name: its position."""
    known = list(known)
    require(
        value in known,
        f"{name} must be one of {', '.join(known) or 'none'}; got {value!r}",
    )
    return known.index(value)


def whole(name: str, value: Any, least: int) -> int:
    """For a whole number, Python's or numpy's; True is none."""
    right = (
        isinstance(value, (int, np.integer))
        and not isinstance(value, bool)
        and value >= least
    )
    require(right, f"{name} must be a whole number of at least {least}; got {value!r}")
    return int(value)


def finite(name: str, values: Any) -> np.ndarray:
    """For finite numbers in any shape, also a tensor's: a copy, float64."""
    array = np.array(
        values.detach().cpu().numpy() if hasattr(values, "detach") else values,
        dtype=float,
    )
    require(np.isfinite(array).all(), f"{name} must be finite; got NaN or infinity")
    return array
