"""Are scores near the largest number right, whose softmax is an ordinary one?

Rows whose scores are equal and huge have the weights 1/n; in others the largest score
takes all. In float32 and bfloat16 the largest number is 3.4e38, in float64 1.8e308.
"""

import math
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from smallscale.kernels import attention, compiled
from smallscale.kernels.attention import LEVELS
from smallscale.kernels.parts import merge
from smallscale.kernels.sight import split_scale

needs = {
    "cpp": pytest.mark.skipif(bool(compiled.missing()), reason="no compiler"),
    "triton": pytest.mark.skipif(find_spec("triton") is None, reason="no triton"),
}
EVERY = [
    pytest.param(level, marks=[needs[level]] if level in needs else [])
    for level in LEVELS
]
DIFFERENTIABLE = [level for level in EVERY if level.values != ("online",)]
SIZES = [1e30, 1e37, 3e38, -1e30, -1e37, -3e38]


def some(*shape: int, seed: int = 0, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def in_double(
    q: Tensor, k: Tensor, v: Tensor, weight: Tensor, causal: bool, scale: float
) -> list[Tensor]:
    """Return out, lse, dq, dk and dv by the formula, for inputs far from overflow."""
    leaves = [x.double().requires_grad_() for x in (q, k, v)]
    hidden = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).triu(1) & causal
    scores = scale * leaves[0] @ leaves[1].mT
    scores = scores.masked_fill(hidden, -math.inf)
    out = scores.softmax(-1) @ leaves[2]
    grads = torch.autograd.grad(out, leaves, weight.double())
    return [out, scores.logsumexp(-1), *grads]


def at_level(
    level: str,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    weight: Tensor,
    causal: bool,
    scale: float,
) -> list[Tensor]:
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    how = {"level": level, "block": 16, "return_lse": True, "scale": scale}
    out, lse = attention(*leaves, causal=causal, **how)
    if level == "online":
        return [out, lse]
    return [out, lse, *torch.autograd.grad(out, leaves, weight)]


def agree(found: list[Tensor], expected: list[Tensor], tolerance: float = 1e-4) -> None:
    for ours, exact in zip(found, expected, strict=False):
        # Noise in dS is multiplied by numbers as large as q or k.
        size = max(1.0, float(exact.abs().max().detach()))
        wanted = exact.to(ours.dtype)
        torch.testing.assert_close(ours, wanted, rtol=tolerance, atol=tolerance * size)


@pytest.mark.parametrize("level", EVERY)
@pytest.mark.parametrize("size", SIZES)
def test_equal_and_huge_scores_by_hand(level: str, size: float) -> None:
    # Two keys with the same score: weights 1/2, out (1 + 5) / 2; dv is half of dout
    # each; dS = P * (dP - 3 dout) = (-1, 1) dout, and the keys are 1 both: dq = 0.
    q = torch.full((1, 1, 1, 1), size)
    k = torch.ones(1, 1, 2, 1)
    v = torch.tensor([[[[1.0], [5.0]]]])
    weight = torch.full((1, 1, 1, 1), 0.5)
    out, lse, *grads = at_level(level, q, k, v, weight, False, 1.0)
    assert out.item() == 3
    assert lse.item() == torch.tensor(size).item()  # log 2 is lost in its rounding
    if level != "online":
        dq, dk, dv = grads
        assert dv.flatten().tolist() == [0.25, 0.25]
        assert dq.item() == 0
        assert dk.flatten().tolist() == pytest.approx([-size / 2, size / 2], rel=1e-6)


@pytest.mark.parametrize("level", EVERY)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("causal", [False, True])
def test_huge_scores_agree_with_double_precision(
    level: str, size: float, causal: bool
) -> None:
    n, d = 40, 8
    v, weight = (some(1, 2, n, d, seed=s, dtype=torch.float32) for s in (1, 2))
    root = abs(size) ** 0.5 / 6
    q = some(1, 2, n, d, seed=3, dtype=torch.float32) * root
    k = some(1, 2, n, d, seed=4, dtype=torch.float32) * math.copysign(root, size)
    q[:, :, ::3] *= 1e-30  # ordinary rows between huge ones
    case = (q, k, v, weight, causal, d**-0.5)
    agree(at_level(level, *case), in_double(*case))
    # Exact ties, in rows and between them.
    q = torch.full((1, 1, n, 1), size)
    k = (torch.arange(n) % 5 == 0).float().reshape(1, 1, n, 1) * 0.5 + 0.5
    case = (q, k, v[:, :1, :, :1], weight[:, :1, :, :1], causal, 1.0)
    exact = in_double(*case)
    fits = [x.float().isfinite().all() for x in exact]  # dk may be beyond 3.4e38
    for ours, wanted, fit in zip(at_level(level, *case), exact, fits, strict=False):
        if fit and wanted.abs().max() < 1e38:
            agree([ours], [wanted])


@pytest.mark.parametrize("level", EVERY)
@pytest.mark.parametrize("scale", [100.0, -2.0])
def test_a_scale_above_one_overflows_no_query(level: str, scale: float) -> None:
    q = some(1, 1, 40, 1, dtype=torch.float32).sign() * 1e37  # 100 q is infinite
    k, v, weight = (some(1, 1, 40, 1, seed=s, dtype=torch.float32) for s in (1, 2, 3))
    case = (q, 1e-3 * k, v, weight, False, scale)
    agree(at_level(level, *case), in_double(*case))


@pytest.mark.parametrize("level", EVERY)
def test_a_scale_below_one_overflows_no_product(level: str) -> None:
    # q k = 1e39 is infinite, the score 1.25e38 is not.
    q, k = torch.full((1, 1, 2, 1), 1e20), torch.full((1, 1, 3, 1), 1e19)
    v, weight = torch.arange(3.0).reshape(1, 1, 3, 1), torch.ones(1, 1, 2, 1)
    out, lse, *_ = at_level(level, q, k, v, weight, False, 0.125)
    assert out.flatten().tolist() == [1, 1]
    assert lse.flatten().tolist() == pytest.approx([1.25e38] * 2)


@pytest.mark.parametrize("level", EVERY)
@pytest.mark.parametrize(
    ("dtype", "size"), [(torch.float64, 1.7e308), (torch.bfloat16, 3e38)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_numbers_of_other_types(
    level: str, dtype: torch.dtype, size: float, sign: int
) -> None:
    q = torch.full((1, 1, 3, 1), sign * size, dtype=dtype)
    k = torch.tensor([1.0, 0.5, 0.5], dtype=dtype).reshape(1, 1, 3, 1)
    v = torch.tensor([8.0, 2.0, 4.0], dtype=dtype).reshape(1, 1, 3, 1)
    out, lse, *grads = at_level(level, q, k, v, torch.ones_like(q), False, 1.0)
    assert out.flatten().tolist() == [8.0 if sign > 0 else 3.0] * 3
    assert lse.isfinite().all()
    if level != "online":
        dv = grads[2].flatten().tolist()
        assert dv == ([3.0, 0.0, 0.0] if sign > 0 else [0.0, 1.5, 1.5])


@pytest.mark.parametrize("level", EVERY)
def test_scores_beyond_the_largest_number_give_what_torch_gives(level: str) -> None:
    q, k = torch.full((1, 1, 2, 1), 1e30), torch.full((1, 1, 2, 1), 1e30)
    k[0, 0, 1] = -1e30  # scores inf and -inf
    v = torch.tensor([[[[1.0], [5.0]]]])
    for sign in (1, -1):
        inputs = (sign * q, k.abs() if sign < 0 else k, v)
        with sdpa_kernel(SDPBackend.MATH):
            theirs = scaled_dot_product_attention(*inputs)
        ours = attention(*inputs, level=level)
        torch.testing.assert_close(ours, theirs, equal_nan=True)


@pytest.mark.parametrize("level", DIFFERENTIABLE)
def test_a_huge_row_changes_no_bit_of_the_others(level: str) -> None:
    clean = [some(1, 1, 20, 4, seed=s, dtype=torch.float32) for s in range(3)]
    weight = some(1, 1, 20, 4, seed=3, dtype=torch.float32)
    results = []
    for size in (1.0, 1e30):
        leaves = [x.clone() for x in clean]
        leaves[0][0, 0, 7] *= size
        leaves = [x.requires_grad_() for x in leaves]
        out = attention(*leaves, causal=True, level=level, block=8)
        dq = torch.autograd.grad(out, leaves, weight)[0]
        results.append([torch.cat([x[:, :, :7], x[:, :, 8:]], 2) for x in (out, dq)])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_derivatives_forward_of_equal_and_huge_scores_by_hand() -> None:
    # As above; v moves by (2, 4), so out moves by 3.
    q, k = torch.full((1, 1, 1, 1), 1e30), torch.ones(1, 1, 2, 1)
    v, dv = torch.tensor([[[[1.0], [5.0]]]]), torch.tensor([[[[2.0], [4.0]]]])
    for level in ("naive", "tiled"):
        _, moved = torch.func.jvp(
            lambda x, level=level: attention(q, k, x, scale=1.0, level=level),
            (v,),
            (dv,),
        )
        assert moved.item() == 3


def test_parts_with_equal_and_huge_scores_weigh_alike() -> None:
    first = torch.tensor([[1.0]]), torch.tensor([3e38])
    second = torch.tensor([[5.0]]), torch.tensor([3e38])
    out, lse = merge(first, second)
    assert out.tolist() == [[3.0]]
    assert lse.tolist() == first[1].tolist()


@pytest.mark.parametrize("scale", [0.0, 0.125, -0.3, 1.0, 100.0, -2.0])
def test_a_scale_is_split(scale: float) -> None:
    before, after = split_scale(scale)
    assert before * after == pytest.approx(scale)
    assert abs(before) <= 1 <= after
