"""What is refused, and in which words? Checks that several of the theme's functions share; each raises ValueError."""

from math import inf
from typing import Any

import numpy as np
import torch
from torch import Tensor


def require(holds: Any, message: str) -> None:
    """Raise ValueError with the message where something does not hold."""
    if not holds:
        raise ValueError(message)


def require_not_negative(**numbers: float) -> None:
    """Numbers by name: each finite, 0 or above."""
    for name, value in numbers.items():
        require(
            0 <= value < inf, f"{name} must be a finite number, at least 0; got {value}"
        )


def require_counts(**numbers: float) -> None:
    """Numbers by name: each whole, 1 or above."""
    for name, value in numbers.items():
        require(
            value >= 1 and value == int(value),
            f"{name} must be a whole number, at least 1; got {value}",
        )


def require_finite(**arrays: Any) -> None:
    """Tensors or arrays by name: no NaN, nothing infinite."""
    for name, values in arrays.items():
        finite = torch.as_tensor(values).isfinite().all()
        require(finite, f"{name} must be finite; some values are NaN or infinite")


def as_array(values: Any) -> np.ndarray:
    """A tensor, wherever it is, or what NumPy takes, as an array."""
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
