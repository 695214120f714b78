"""Does every check take what is right, and refuse the rest with a plain sentence?"""

import math
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from smallscale.core.validation import (
    as_array,
    as_float,
    as_tensor,
    finite,
    finite_number,
    flag,
    one_of,
    require,
    same_length,
    shown,
    type_and_shape,
    vectors,
    whole_number,
)


def refused(message: str) -> Any:
    """Expect a ValueError with exactly this message, on one line."""
    assert "\n" not in message
    return pytest.raises(ValueError, match=f"^{re.escape(message)}$")


def test_require_raises_its_message_unless_what_it_holds_is_true() -> None:
    for true in (True, np.True_, torch.tensor(True), 1):
        require(true, "never said")
    for false in (False, np.False_, torch.tensor(False), 0, None):
        with refused("the words"):
            require(false, "the words")


# words and flags


def test_one_of_takes_the_allowed_words_and_lists_them_otherwise() -> None:
    assert one_of("norm", "l2", ["linf", "l2"]) == "l2"
    assert one_of("norm", np.str_("l2"), {"linf": 1, "l2": 2}) == "l2"
    assert one_of("norm", "l2", (word for word in ("linf", "l2"))) == "l2"
    wanted = "norm must be one of linf, l2; got "
    for given, text in (
        ("L2", "'L2'"),
        ("", "''"),
        (None, "None"),
        (True, "True"),
        (math.nan, "nan"),
        (2, "2"),
        (np.array(["l2"]), "array(['l2'], dtype='<U2')"),
        (["l2"], "['l2']"),
    ):
        with refused(wanted + text):
            one_of("norm", given, ["linf", "l2"])


def test_one_of_says_so_when_nothing_is_allowed() -> None:
    with refused("reader must be one of none; got 'gru'"):
        one_of("reader", "gru", [])


def test_flag_takes_booleans_alone() -> None:
    for true in (True, np.True_):
        assert flag("causal", true) is True
    for false in (False, np.False_):
        assert flag("causal", false) is False
    for given, text in (
        (1, "1"),
        (0.0, "0.0"),
        (None, "None"),
        ("True", "'True'"),
        (math.nan, "nan"),
        (torch.tensor(True), "tensor(True)"),
        (np.array([True]), "array([ True])"),
    ):
        with refused(f"causal must be True or False; got {text}"):
            flag("causal", given)


# numbers


@pytest.mark.parametrize(
    "seven",
    [7, np.int64(7), np.uint8(7), np.array(7), torch.tensor(7), torch.tensor(7).int()],
)
def test_whole_number_takes_integers_of_every_library(seven: Any) -> None:
    number = whole_number("steps", seven, least=7, most=7)
    assert number == 7
    assert type(number) is int


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (0, "0"),
        (-3, "-3"),
        (3.0, "3.0"),
        (2.5, "2.5"),
        (True, "True"),
        (np.True_, "np.True_"),
        (torch.tensor(True), "tensor(True)"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        ("3", "'3'"),
        (None, "None"),
        (np.float64(3), "np.float64(3.0)"),
        (torch.tensor(3.0), "tensor(3.)"),
        (torch.tensor([3]), "tensor([3])"),
        ([3], "[3]"),
        (3 + 0j, "(3+0j)"),
    ],
)
def test_whole_number_refuses_the_rest(given: Any, text: str) -> None:
    with refused(f"steps must be a whole number, at least 1; got {text}"):
        whole_number("steps", given)


def test_whole_number_says_both_ends_of_its_range() -> None:
    assert whole_number("digit", 0, least=0, most=9) == 0
    assert whole_number("digit", 9, least=0, most=9) == 9
    wanted = "digit must be a whole number, at least 0 and at most 9"
    for given in (-1, 10):
        with refused(f"{wanted}; got {given}"):
            whole_number("digit", given, least=0, most=9)


@pytest.mark.parametrize(
    "half",
    [0.5, np.float32(0.5), np.array(0.5), torch.tensor(0.5), torch.tensor([0.5])],
)
def test_finite_number_takes_numbers_of_every_library(half: Any) -> None:
    number = finite_number("eps", half)
    assert number == 0.5
    assert type(number) is float


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (np.float32("nan"), "np.float32(nan)"),
        (torch.tensor(math.nan), "tensor(nan)"),
        (10**400, "1" + 59 * "0" + "…"),
        ("0.5", "'0.5'"),
        (b"0.5", "b'0.5'"),
        (None, "None"),
        (1j, "1j"),
        (True, "True"),
        (np.True_, "np.True_"),
        (torch.tensor(False), "tensor(False)"),
        (np.array(True), "array(True)"),
        ([0.5, 1.0], "[0.5, 1.0]"),
        (torch.tensor([0.5, 1.0]), "tensor([0.5000, 1.0000])"),
    ],
)
def test_finite_number_refuses_the_rest(given: Any, text: str) -> None:
    with refused(f"eps must be a finite number; got {text}"):
        finite_number("eps", given)


@pytest.mark.parametrize(
    ("bounds", "inside", "outside", "words"),
    [
        ({"least": 0}, [0, 5], [-1e-9], "at least 0"),
        ({"most": 1}, [1, -5], [1.001], "at most 1"),
        ({"above": 0}, [1e-9], [0, -1], "above 0"),
        ({"below": 0.5}, [0.49], [0.5, 1], "below 0.5"),
        ({"least": 0, "most": 1}, [0, 1], [-1, 2], "at least 0 and at most 1"),
        ({"least": 0, "below": 0.5}, [0], [0.5], "at least 0 and below 0.5"),
        ({"above": 0, "below": 1}, [0.5], [0, 1], "above 0 and below 1"),
    ],
)
def test_finite_number_keeps_to_its_bounds_and_says_them(
    bounds: dict[str, float], inside: list[float], outside: list[float], words: str
) -> None:
    for number in inside:
        assert finite_number("x", number, **bounds) == number
    for number in outside:
        with refused(f"x must be a finite number, {words}; got {number}"):
            finite_number("x", number, **bounds)
    with refused(f"x must be a finite number, {words}; got nan"):
        finite_number("x", math.nan, **bounds)


def test_as_float_is_nan_for_what_is_not_a_number() -> None:
    for number in (0.5, np.float16(0.5), torch.tensor(0.5), np.array(0.5)):
        assert as_float(number) == 0.5
    assert as_float(3) == 3.0
    assert as_float(math.inf) == math.inf
    for other in ("0.5", b"0.5", "nan", None, [], {}, torch.zeros(2), 10**400):
        assert math.isnan(as_float(other))
    for other in (1j, np.complex64(1), np.array(1 + 1j), torch.tensor(1 + 1j)):
        assert math.isnan(as_float(other))


# arrays


def test_finite_names_the_argument_that_is_not() -> None:
    for good in ([0, 1.5], np.zeros((2, 2)), torch.zeros(3), torch.tensor([1]), []):
        finite("scores", good)
    words = "scores must be finite; some values are NaN or infinite"
    for bad in (
        [math.nan, 1.0],
        np.array([[0, -math.inf]]),
        torch.tensor([math.inf]),
        torch.tensor([math.nan]).bfloat16(),
        [None],
    ):
        with refused(words):
            finite("scores", bad)
    numbers = "scores must be numbers: an array, a tensor or a list; got "
    for bad, text in ((["a"], "list"), ("1.5", "text"), ([[1], [1, 2]], "list")):
        with refused(numbers + text):
            finite("scores", bad)


def test_same_length_returns_it_or_lists_what_was_given() -> None:
    assert same_length(images=torch.zeros(3, 8), labels=[1, 2, 3]) == 3
    assert same_length(x=np.zeros(2), y=(1, 2), z="ab") == 2
    assert same_length(images=[0]) == 1
    with refused(
        "images and labels must have the same length, at least 1; got 3 and 2"
    ):
        same_length(images=torch.zeros(3), labels=np.zeros(2))
    with refused("x, y and z must have the same length, at least 1; got 1, 1 and 2"):
        same_length(x=[1], y=[1], z=[1, 2])
    with refused("x and y must have the same length, at least 1; got 0 and 0"):
        same_length(x=[], y=torch.zeros(0))
    for given, text in ((3, "3"), (None, "None"), (torch.tensor(3), "tensor(3)")):
        with refused(f"y must be a tensor, an array or a list; got {text}"):
            same_length(x=[1], y=given)


def test_vectors_are_of_one_length_and_one_dimension() -> None:
    one, two = vectors(one=[True, False], two=torch.tensor([1, 2]))
    assert (one.tolist(), two.tolist()) == ([1.0, 0.0], [1.0, 2.0])
    with refused("x and y must have the same length, at least 1; got 2 and 1"):
        vectors(x=[1, 2], y=[1])
    words = "y must be a list of numbers, (n,); got shape (2, 1): flatten it"
    with refused(words):
        vectors(x=[1, 2], y=[[1], [2]])


def test_as_tensor_takes_every_library_and_shares_memory() -> None:
    array = np.arange(3.0)
    tensor = as_tensor("x", array)
    assert tensor.dtype == torch.float64
    array[0] = 7
    assert tensor[0] == 7
    assert as_tensor("x", tensor) is tensor
    assert as_tensor("x", [[1, 2]]).tolist() == [[1, 2]]
    assert as_tensor("x", True).dtype == torch.bool
    assert as_tensor("x", math.nan).isnan()


def test_as_tensor_takes_a_reversed_array() -> None:
    images = np.arange(6.0).reshape(2, 3)
    assert as_tensor("x", images[::-1]).tolist() == [[3, 4, 5], [0, 1, 2]]
    assert as_tensor("x", images[:, ::-1]).tolist() == [[2, 1, 0], [5, 4, 3]]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("abc", "str"),
        (None, "NoneType"),
        ([[1], [1, 2]], "list"),
        (["a"], "list"),
        (np.array(["a"]), "ndarray"),
        (np.array([None]), "ndarray"),
        ({1: 2}, "dict"),
    ],
)
def test_as_tensor_refuses_what_is_not_numbers(given: Any, text: str) -> None:
    words = f"x must be numbers: a tensor, an array or a list; got {text}"
    with refused(words):
        as_tensor("x", given)


def test_as_array_takes_every_library() -> None:
    assert as_array("x", torch.ones(2, requires_grad=True)).tolist() == [1, 1]
    half = as_array("x", torch.tensor([0.5]).bfloat16())
    assert half.dtype == np.float32
    assert half.tolist() == [0.5]
    assert as_array("x", [1, 2], dtype=np.float32).dtype == np.float32
    array = np.zeros(3)
    assert as_array("x", array) is array
    assert as_array("x", True).dtype == bool
    assert np.isnan(as_array("x", [None, 1], dtype=float)).tolist() == [True, False]


@pytest.mark.parametrize("dtype", [None, float])
@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([[1], [1, 2]], "list"),
        (np.array(["1", "2"]), "text"),
        ("1.5", "text"),
        (b"1", "text"),
        ([1, "2"], "text"),
        (np.array(["1", 2], dtype=object), "text"),
        (pd.Series([1, b"2"]), "text"),
    ],
)
def test_as_array_refuses_what_is_not_numbers(
    given: Any, text: str, dtype: Any
) -> None:
    words = f"x must be numbers: an array, a tensor or a list; got {text}"
    with refused(words):
        as_array("x", given, dtype=dtype)


def test_as_array_refuses_what_cannot_become_its_type() -> None:
    words = "x must be numbers: an array, a tensor or a list; got "
    with refused(words + "list"):
        as_array("x", ["one"], dtype=float)
    with refused(words + "dict"):
        as_array("x", {}, dtype=float)


@pytest.mark.parametrize("dtype", [float, np.float32, int])
@pytest.mark.parametrize(
    "given",
    [
        np.array([1 + 5j]),
        torch.tensor([1 + 5j]),
        [1, 1 + 5j],
        np.array([np.complex128(1 + 5j)], dtype=object),
    ],
)
def test_no_imaginary_part_is_lost(given: Any, dtype: Any) -> None:
    with refused("x must be real numbers; got complex ones: take .real or .imag"):
        as_array("x", given, dtype=dtype)
    assert as_array("x", given, dtype=complex).tolist()[-1] == 1 + 5j


@pytest.mark.parametrize("kind", [">f8", ">f4", ">i4", ">i2", ">c16"])
def test_as_tensor_takes_every_order_of_bytes(kind: str) -> None:
    numbers = as_tensor("x", np.array([1, 258], dtype=kind))
    assert numbers.tolist() == [1, 258]  # 258 is 513 read the other way round
    assert numbers.dtype == as_tensor("x", np.array([1], dtype=kind[1:])).dtype


def test_as_tensor_says_what_to_do_with_long_doubles() -> None:
    if np.longdouble == np.float64 or np.finfo(np.longdouble).bits == 64:
        pytest.skip("a long double is a double on this machine")
    long = np.zeros(2, dtype=np.longdouble)
    words = f"x must be of a type that torch has; got {long.dtype}"
    with refused(f"{words}: give x.astype(np.float64)"):
        as_tensor("x", long)


@pytest.mark.parametrize("kind", ["M8[h]", "m8[s]", "M8[ns]"])
def test_a_time_is_no_number(kind: str) -> None:
    """Read as a float it is a count of whatever unit it happens to have."""
    times = np.array([1, 2], dtype=kind)
    numbers = "x must be numbers: an array, a tensor or a list; got "
    for given in (times, list(times), pd.Series(times)):
        with pytest.raises(ValueError, match=numbers):
            as_array("x", given, dtype=float)
        with pytest.raises(ValueError, match=numbers):
            finite("x", given)
    with pytest.raises(ValueError, match="x must be a finite number"):
        finite_number("x", times[0])


MASKED = np.ma.array([1.0, 0.0, 3.0], mask=[False, True, True])


@pytest.mark.parametrize("masked", [MASKED, [MASKED, MASKED], MASKED[:, None]])
@pytest.mark.parametrize(
    "take",
    [as_array, as_tensor, finite, lambda name, values: vectors(**{name: values})],
)
def test_what_is_masked_is_not_brought_back(take: Any, masked: Any) -> None:
    words = (
        "x must not be masked, 2 of 3 are: leave these out with .compressed(), or say "
        "what they are with .filled(value)"
    )
    with refused(words):
        take("x", masked)


def test_a_mask_that_hides_nothing_is_no_matter() -> None:
    whole = np.ma.array([1.0, 2.0])
    assert as_array("x", whole).tolist() == as_tensor("x", whole).tolist() == [1, 2]
    assert as_array("x", MASKED.compressed()).tolist() == [1]


def test_a_masked_number_is_no_number() -> None:
    five = np.ma.array(5, mask=True)
    for number in (np.ma.masked, five):
        with pytest.raises(ValueError, match="steps must be a whole number"):
            whole_number("steps", number)
        with pytest.raises(ValueError, match="eps must be a finite number"):
            finite_number("eps", number)


# the words of a message


def test_type_and_shape() -> None:
    assert type_and_shape(torch.zeros(2, 0).half()) == "torch.float16, (2, 0)"
    assert type_and_shape(torch.tensor(True)) == "torch.bool, ()"


def test_shown_is_one_line_and_cut_where_it_is_long() -> None:
    assert shown("a\nb") == r"'a\nb'"
    assert shown(torch.zeros(2, 2)) == "tensor([[0., 0.], [0., 0.]])"
    assert shown("x" * 58) == repr("x" * 58)
    assert shown("x" * 59) == "'" + "x" * 59 + "…"
