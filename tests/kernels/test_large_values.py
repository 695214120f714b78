"""Are values near the largest number right, whose weighted mean is an ordinary one?

The expected numbers are those of values 2^-k times as large in double precision, times
2^k. In float32 and bfloat16 the largest number is 3.4e38, in float64 1.8e308.
"""

import math

import pytest
import torch
from torch import Tensor

from smallscale.kernels import attention, large_values
from smallscale.kernels.sight import rescaled
from tests.kernels.test_large_scores import (
    DIFFERENTIABLE,
    EVERY,
    at_level,
    in_double,
    some,
)

LARGEST = torch.finfo(torch.float32).max
WIDE = torch.finfo(torch.float64).max


def finite_and_close(found: list[Tensor], expected: list[Tensor], rtol: float) -> None:
    for ours, exact in zip(found, expected, strict=False):
        assert ours.isfinite().all()
        size = float(exact.abs().max())
        far = (ours.double() / size - exact / size).abs().max()
        assert far < rtol


@pytest.mark.parametrize("level", EVERY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_mean_of_equal_values_is_that_value(
    level: str, dtype: torch.dtype, sign: int
) -> None:
    largest = sign * torch.finfo(dtype).max
    q, k = some(1, 2, 19, 4, dtype=dtype), some(1, 1, 37, 4, seed=1, dtype=dtype)
    v = torch.full_like(k, largest)
    out = attention(q, k, v, level=level, block=16)
    assert out.isfinite().all()
    torch.testing.assert_close(out / largest, torch.ones_like(out))


@pytest.mark.parametrize("level", EVERY)
@pytest.mark.parametrize("causal", [False, True])
def test_values_near_the_largest_number(level: str, causal: bool) -> None:
    q, k, v = (some(1, 1, 40, 4, seed=i, dtype=torch.float32) for i in range(3))
    v = v / v.abs().max() * 3e38
    weight = some(1, 1, 40, 4, seed=3, dtype=torch.float32) * 1e-3
    found = at_level(level, q, k, v, weight, causal, 0.5)
    finite_and_close(found, in_double(q, k, v, weight, causal, 0.5), 1e-4)


@pytest.mark.parametrize("level", DIFFERENTIABLE)
def test_their_gradient_where_products_overflow(level: str) -> None:
    # Values that differ little: dout . v is 6e38 and more, its differences are not.
    q, k, v = (some(1, 1, 40, 4, seed=i, dtype=torch.float32) for i in range(3))
    v = 3e38 + 1e35 * v
    weight = 1 + some(1, 1, 40, 4, seed=3, dtype=torch.float32)
    found = at_level(level, q, k, v, weight, True, 0.5)
    finite_and_close(found, in_double(q, k, v, weight, True, 0.5), 1e-2)


@pytest.mark.parametrize("level", DIFFERENTIABLE)
def test_their_gradient_in_double_precision(level: str) -> None:
    q, k, v = (some(1, 1, 40, 4, seed=i, dtype=torch.float64) for i in range(3))
    weight = 1 + some(1, 1, 40, 4, seed=3, dtype=torch.float64)
    expected = in_double(q, k, v, weight, True, 0.5)
    large = 2.0**1020
    found = at_level(level, q, k, v * large, weight / 16, True, 0.5)
    finite_and_close(found[:2], [expected[0] * large, expected[1]], 1e-9)
    expected_dq = expected[2] / 16
    assert (
        (found[2] / large - expected_dq).abs() < 1e-9 * expected_dq.abs().max()
    ).all()
    finite_and_close(found[4:], [expected[4] / 16], 1e-9)


@pytest.mark.parametrize("level", DIFFERENTIABLE)
def test_how_out_moves_forwards(level: str) -> None:
    q, k, v = (some(1, 1, 20, 4, seed=i, dtype=torch.float32) for i in range(3))
    moves = tuple(some(1, 1, 20, 4, seed=i, dtype=torch.float32) for i in range(3, 6))

    def out_of(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        found: Tensor = attention(q, k, v, level=level, block=16, scale=0.1)
        return found

    large = 1e38
    wide = tuple(x.double() for x in (q, k, v))
    wide_moves = (moves[0].double(), moves[1].double(), moves[2].double() / large)
    expected = torch.func.jvp(out_of, wide, wide_moves)[1] * large
    found = torch.func.jvp(out_of, (q, k, v * large), moves)[1]
    finite_and_close([found], [expected], 1e-4)


@pytest.mark.parametrize("level", EVERY)
def test_infinity_and_nan_are_kept_beside_large_values(level: str) -> None:
    q, k, v = (some(1, 1, 24, 2, seed=i, dtype=torch.float32) for i in range(3))
    v = v.sign() * 0 + LARGEST
    v[0, 0, 20, 0], v[0, 0, 21, 1] = math.inf, math.nan
    out = attention(q, k, v, level=level, block=16, causal=True)
    assert out[0, 0, :20].isfinite().all()
    assert out[0, 0, 20:, 0].isposinf().all()
    assert out[0, 0, 21:, 1].isnan().all()
    torch.testing.assert_close(out[0, 0, :20], v[0, 0, :20])


@pytest.mark.parametrize("level", EVERY)
def test_small_values_beside_large_ones_keep_their_digits(level: str) -> None:
    q, k, v = (some(1, 2, 40, 2, seed=i, dtype=torch.float32) for i in range(3))
    v = v * 1e-30
    alone = attention(q, k, v, level=level, block=16)
    v[:, :, :, 0] = LARGEST
    out = attention(q, k, v, level=level, block=16)
    torch.testing.assert_close(out[..., 1] * 1e30, alone[..., 1] * 1e30)


def test_ordinary_values_are_computed_once() -> None:
    calls = []

    def compute(v: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(v)
        return v.sum(2, keepdim=True), v.new_zeros(1)

    large_values.forward(compute, torch.ones(1, 1, 4, 2))
    large_values.forward(compute, torch.full((1, 1, 4, 2), math.nan))
    assert len(calls) == 2
    large_values.forward(compute, torch.full((1, 1, 4, 2), LARGEST))
    assert len(calls) == 4


def test_second_derivatives_backwards_are_refused_for_them() -> None:
    x = torch.ones(2, requires_grad=True)
    (slope,) = torch.autograd.grad(
        (rescaled(x, 0.5, 1.0) ** 2).sum(), x, create_graph=True
    )
    with pytest.raises(RuntimeError):
        slope.sum().backward()


@pytest.mark.parametrize("level", DIFFERENTIABLE)
def test_the_gradient_of_lse_comes_with_them(level: str) -> None:
    q, k, v = (some(1, 1, 40, 4, seed=i, dtype=torch.float32) for i in range(3))
    v = 3e38 + 1e35 * v
    weight = 1 + some(1, 1, 40, 4, seed=3, dtype=torch.float32)
    moved = 1e36 * some(1, 1, 40, 1, seed=4, dtype=torch.float32)[..., 0]

    def slopes(level: str, *inputs: Tensor) -> list[Tensor]:
        given = [x.requires_grad_() for x in inputs]
        out, lse = attention(*given, level=level, block=16, scale=0.5, return_lse=True)
        heights = (weight.to(out), moved.to(out))
        return list(torch.autograd.grad((out, lse), given, heights))

    expected = slopes("naive", *(x.double() for x in (q, k, v)))
    without = [x.double().requires_grad_() for x in (q, k, v)]
    out = attention(*without, level="naive", scale=0.5)
    plain = torch.autograd.grad(out, without, weight.double())
    assert (expected[0] - plain[0]).abs().max() > 0.01 * plain[0].abs().max()
    finite_and_close(slopes(level, q, k, v), expected, 1e-2)


@pytest.mark.parametrize("level", DIFFERENTIABLE)
def test_how_out_moves_where_products_overflow(level: str) -> None:
    q, k, v = (some(1, 1, 20, 4, seed=i, dtype=torch.float32) for i in range(3))
    v = 3e38 + 1e35 * v
    moves = tuple(40 * some(1, 1, 20, 4, seed=i, dtype=torch.float32) for i in (3, 4))
    still = torch.zeros_like(v)

    def out_of(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        found: Tensor = attention(q, k, v, level=level, block=16, scale=0.5)
        return found

    found = torch.func.jvp(out_of, (q, k, v), (*moves, still))[1]
    wide = [x.double() for x in (q, k, v, *moves, still)]
    expected = torch.func.jvp(out_of, tuple(wide[:3]), tuple(wide[3:]))[1]
    finite_and_close([found], [expected], 1e-2)
