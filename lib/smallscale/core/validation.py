"""What is refused, and in which words? The argument checks that every theme shares.

A check returns its value in the form that the caller works with, or raises ValueError
with one line: the argument's name, what is allowed, and what was given.
"""

import math
from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TEXT = (str, bytes, bytearray)
COMPLEX = (complex, np.complexfloating)
NO_NUMBERS = (*TEXT, *COMPLEX, np.timedelta64, np.datetime64, bool, np.bool_)
LARGEST_SHOWN = 60  # characters of a given value in a message


def require(holds: Any, message: str) -> None:
    """Raise ValueError with this message unless `holds` is true.

    >>> require(1 + 1 == 3, "the sum must be 3; got 2")
    Traceback (most recent call last):
    ValueError: the sum must be 3; got 2
    """
    if not holds:
        raise ValueError(message)


def one_of(name: str, value: Any, allowed: Iterable[str]) -> str:
    """Return `value`, a word that must be one of those allowed.

    >>> one_of("norm", "l2", ["linf", "l2"])
    'l2'
    """
    words = list(allowed)
    known = isinstance(value, str) and value in words
    listed = ", ".join(words) or "none"
    require(known, f"{name} must be one of {listed}; got {shown(value)}")
    return str(value)


def flag(name: str, value: Any) -> bool:
    """Return `value`, which must be True or False, Python's or numpy's.

    >>> flag("causal", np.True_)
    True
    """
    right = isinstance(value, (bool, np.bool_))
    require(right, f"{name} must be True or False; got {shown(value)}")
    return bool(value)


def whole_number(
    name: str, value: Any, *, least: int = 1, most: float = math.inf
) -> int:
    """Return `value` as int: a whole number in [least, most], of any library.

    True and False are refused, and so is 3.0: a count is written as a count.

    >>> whole_number("steps", np.int64(40))
    40
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

    above, below: bounds that are themselves excluded. NaN, infinity, text, True and
    False are refused.

    >>> finite_number("eps", torch.tensor(0.5), least=0)
    0.5
    """
    number = as_float(value)
    limits = [
        f"at least {least:g}" if least > -math.inf else "",
        f"above {above:g}" if above > -math.inf else "",
        f"at most {most:g}" if most < math.inf else "",
        f"below {below:g}" if below < math.inf else "",
    ]
    bounds = " and ".join(limit for limit in limits if limit)
    wanted = f"a finite number, {bounds}" if bounds else "a finite number"
    inside = least <= number <= most and above < number < below
    good = math.isfinite(number) and inside
    require(good, f"{name} must be {wanted}; got {shown(value)}")
    return number


def finite(name: str, values: Any) -> None:
    """Refuse a tensor, an array or a list that holds NaN or infinity.

    >>> finite("scores", [1.0, math.nan])
    Traceback (most recent call last):
    ValueError: scores must be finite; some values are NaN or infinite
    """
    if isinstance(values, Tensor):
        good = bool(values.isfinite().all())
    else:
        good = bool(np.isfinite(as_array(name, values, dtype=float)).all())
    require(good, f"{name} must be finite; some values are NaN or infinite")


def same_length(**arguments: Any) -> int:
    """Return the common length of these arguments, at least 1.

    >>> same_length(images=np.zeros((3, 8, 8)), labels=[7, 1, 0])
    3
    """
    lengths = [_length(name, values) for name, values in arguments.items()]
    names = _listed(list(arguments))
    good = len(set(lengths)) == 1 and lengths[0] > 0
    got = _listed([str(length) for length in lengths])
    require(good, f"{names} must have the same length, at least 1; got {got}")
    return lengths[0]


def vectors(**arguments: Any) -> list[NDArray[np.float64]]:
    """Return these arguments as float64 arrays (n,) of one length, at least 1.

    A column (n, 1) is refused: beside (n,) it would be broadcast to (n, n).

    >>> vectors(first=[1, 0], second=torch.tensor([1.0, 1.0]))
    [array([1., 0.]), array([1., 1.])]
    """
    same_length(**arguments)
    arrays = [as_array(name, values, dtype=float) for name, values in arguments.items()]
    for name, array in zip(arguments, arrays, strict=True):
        wanted = f"{name} must be a list of numbers, (n,)"
        require(array.ndim == 1, f"{wanted}; got shape {array.shape}: flatten it")
    return arrays


def as_tensor(name: str, values: Any) -> Tensor:
    """Return numbers of any library as a tensor, sharing memory where it can.

    Numbers in another order of bytes are copied into the machine's own. Long doubles,
    which torch has not, are refused.

    >>> as_tensor("images", np.zeros((3, 8, 8))).shape
    torch.Size([3, 8, 8])
    """
    _unmasked(name, values)
    if isinstance(values, np.ndarray):
        longer = values.dtype in (np.longdouble, np.clongdouble)
        longer = longer and values.dtype not in (np.float64, np.complex128)
        least = f"{name} must be of a type that torch has; got {values.dtype}"
        require(not longer, f"{least}: give x.astype(np.float64)")
        if not values.dtype.isnative:  # torch has no other order of bytes
            values = values.astype(values.dtype.newbyteorder("="))
        # Nor negative strides, so a reversed array (x[::-1]) is copied.
        if any(step < 0 for step in values.strides):
            values = values.copy()
    try:
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        wanted = f"{name} must be numbers: a tensor, an array or a list"
        raise ValueError(f"{wanted}; got {type(values).__name__}") from error


def as_array(name: str, values: Any, *, dtype: Any = None) -> np.ndarray:
    """Return numbers of any library, on any device, as a numpy array.

    bfloat16, which numpy has not, becomes float32. Text is refused, and complex numbers
    are where a real dtype is asked for, which would lose their imaginary part.

    >>> as_array("scores", torch.tensor([1, 2]), dtype=float)
    array([1., 2.])
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = values.float() if values.dtype == torch.bfloat16 else values
    _unmasked(name, values)
    wanted = f"{name} must be numbers: an array, a tensor or a list"
    real_wanted = f"{name} must be real numbers; got complex ones: take .real or .imag"
    real = dtype is not None and np.dtype(dtype).kind in "fiu"
    try:
        given = np.asarray(values)
        lost = real and _holds(given, "c", COMPLEX)  # the imaginary part
        array = given if lost else np.asarray(values, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{wanted}; got {type(values).__name__}") from error
    require(not lost, real_wanted)
    require(not _holds(given, "SU", TEXT), f"{wanted}; got text")
    times = f"{wanted}; got {given.dtype}: say how many hours, or days, as numbers"
    require(given.dtype.kind not in "mM", times)
    return array


def _holds(array: np.ndarray, kinds: str, types: tuple[type, ...]) -> bool:
    """Whether an array is of these kinds, or holds such values among its objects."""
    if array.dtype.kind == "O":
        return any(isinstance(each, types) for each in array.flat)
    return array.dtype.kind in kinds


def is_masked(value: Any) -> bool:
    """Whether this is a masked array of numpy with something masked in it.

    >>> is_masked(np.ma.array([1, 2], mask=[False, True])), is_masked([1, 2])
    (True, False)
    """
    return isinstance(value, np.ma.MaskedArray) and bool(np.ma.is_masked(value))


def _unmasked(name: str, values: Any) -> None:
    """Refuse numpy's masked arrays, and lists of them, where something is masked.

    A conversion would bring back what the mask hides.
    """
    listed = values if isinstance(values, (list, tuple)) else [values]
    for each in listed:
        if is_masked(each):
            hidden = np.ma.getmaskarray(each).sum()
            raise ValueError(
                f"{name} must not be masked, {hidden} of {each.size} "
                "are: leave these out with .compressed(), or say what they are with "
                ".filled(value)"
            )


def as_float(value: Any) -> float:
    """Return a Python, numpy or torch number as float; NaN for what is not a number.

    Text is no number, even where it spells one, and neither is True, a complex number,
    a time or what is masked. The check that follows refuses NaN, with the argument's
    name.

    >>> as_float(np.float32(0.5)), as_float("0.5")
    (0.5, nan)
    """
    if is_masked(value) or isinstance(_item(value), NO_NUMBERS):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return math.nan


def type_and_shape(values: Tensor) -> str:
    """Return a tensor's type and shape, for a message.

    >>> type_and_shape(torch.zeros(2, 3))
    'torch.float32, (2, 3)'
    """
    return f"{values.dtype}, {tuple(values.shape)}"


def shown(value: Any) -> str:
    """Return a value as a message shows it: on one line, and cut where it is long.

    >>> shown(torch.zeros(2, 2))
    'tensor([[0., 0.], [0., 0.]])'
    """
    text = " ".join(repr(value).split())
    return text if len(text) <= LARGEST_SHOWN else f"{text[:LARGEST_SHOWN]}…"


def _item(value: Any) -> Any:
    """Return the number in an array or tensor without dimensions, else the value."""
    if is_masked(value):
        return value
    single = isinstance(value, (Tensor, np.ndarray)) and value.ndim == 0
    return value.item() if single else value


def _length(name: str, values: Any) -> int:
    """Return how many rows these values have."""
    try:
        return len(values)
    except TypeError as error:
        wanted = f"{name} must be a tensor, an array or a list"
        raise ValueError(f"{wanted}; got {shown(values)}") from error


def _listed(words: list[str]) -> str:
    """Return words as a sentence lists them: a, b and c."""
    if len(words) < 3:
        return " and ".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
