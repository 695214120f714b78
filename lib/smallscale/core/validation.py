"""What is refused, and in which words? The argument checks that every theme shares.

A check returns its value in the form that the caller works with, or raises ValueError with
one line: the argument's name, what is allowed, and what was given.
"""

import math
from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

LARGEST_SHOWN = 60  # characters of a given value in a message


def require(holds: Any, message: str) -> None:
    """Raise ValueError with this message unless `holds` is true."""
    if not holds:
        raise ValueError(message)


def one_of(name: str, value: Any, allowed: Iterable[str]) -> str:
    """Return `value`, a word that must be one of those allowed."""
    words = list(allowed)
    known = isinstance(value, str) and value in words
    require(known, f"{name} must be one of {', '.join(words) or 'none'}; got {value!r}")
    return str(value)


def flag(name: str, value: Any) -> bool:
    """Return `value`, which must be True or False, Python's or numpy's."""
    right = isinstance(value, (bool, np.bool_))
    require(right, f"{name} must be True or False; got {shown(value)}")
    return bool(value)


def whole_number(
    name: str, value: Any, *, least: int = 1, most: float = math.inf
) -> int:
    """Return `value` as int: a whole number in [least, most], of any library.

    True and False are refused, and so is 3.0: a count is written as a count.
    """
    number = _item(value)
    whole = isinstance(number, Integral) and not isinstance(number, (bool, np.bool_))
    end = "" if most == math.inf else f" and at most {most}"
    wanted = f"{name} must be a whole number, at least {least}{end}"
    require(whole and least <= number <= most, f"{wanted}; got {shown(value)}")
    return int(number)


def finite_number(
    name: str,
    value: Any,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """Return `value` as float: a finite number, least <= value <= most.

    above, below: bounds that are themselves excluded. NaN and infinity are refused.
    """
    number = as_float(value)
    inside = least <= number <= most and above < number < below
    limits = [
        f"at least {least:g}" if least > -math.inf else "",
        f"above {above:g}" if above > -math.inf else "",
        f"at most {most:g}" if most < math.inf else "",
        f"below {below:g}" if below < math.inf else "",
    ]
    allowed = ", ".join(["a finite number", " and ".join(filter(None, limits))])
    message = f"{name} must be {allowed.rstrip(', ')}; got {shown(value)}"
    require(math.isfinite(number) and inside, message)
    return number


def finite(name: str, values: Any) -> None:
    """Refuse a tensor, an array or a list that holds NaN or infinity."""
    if isinstance(values, Tensor):
        good = bool(values.isfinite().all())
    else:
        good = bool(np.isfinite(np.asarray(values, dtype=float)).all())
    require(good, f"{name} must be finite; some values are NaN or infinite")


def same_length(**arguments: Any) -> int:
    """Return the common length of these arguments, at least 1."""
    lengths = [len(each) for each in arguments.values()]
    names = _listed(list(arguments))
    good = len(set(lengths)) == 1 and lengths[0] > 0
    got = _listed([str(length) for length in lengths])
    require(good, f"{names} must have the same length, at least 1; got {got}")
    return lengths[0]


def as_tensor(name: str, values: Any) -> Tensor:
    """Return numbers of any library as a tensor, sharing memory where it can."""
    try:
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = type(values).__name__
        raise ValueError(
            f"{name} must be numbers: a tensor, an array or a list; got {kind}"
        ) from error


def as_array(name: str, values: Any, *, dtype: Any = None) -> np.ndarray:
    """Return numbers of any library, on any device, as a numpy array."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = values.float() if values.dtype == torch.bfloat16 else values
    try:
        return np.asarray(values, dtype=dtype)
    except (TypeError, ValueError) as error:
        kind = type(values).__name__
        raise ValueError(
            f"{name} must be numbers: an array, a tensor or a list; got {kind}"
        ) from error


def as_float(value: Any) -> float:
    """Return a Python, numpy or torch number as float; NaN for what is not a number.

    NaN is no answer: the check that follows refuses it, with the argument's name.
    """
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return math.nan


def type_and_shape(values: Tensor) -> str:
    """Return a tensor's type and shape, for a message."""
    return f"{values.dtype}, {tuple(values.shape)}"


def shown(value: Any) -> str:
    """Return a value as a message shows it: on one line, and cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= LARGEST_SHOWN else f"{text[:LARGEST_SHOWN]}…"


def _item(value: Any) -> Any:
    """Return the one number in an array or tensor without dimensions, else the value."""
    single = isinstance(value, (Tensor, np.ndarray)) and value.ndim == 0
    return value.item() if single else value


def _listed(words: list[str]) -> str:
    return (
        " and ".join(words)
        if len(words) < 3
        else f"{', '.join(words[:-1])} and {words[-1]}"
    )
