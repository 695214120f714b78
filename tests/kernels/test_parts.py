"""Do parts of the keys, merged, give the attention over all of them?"""

import math

import pytest
import torch
from torch import Tensor

from smallscale.kernels import attention
from smallscale.kernels.parts import merge, ring_attention, split_attention


def inputs(n: int, d: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 2, 2, n, d, generator=generator, dtype=torch.float64)
    return [part.clone().requires_grad_() for part in x]


def test_two_keys_by_hand() -> None:
    first = torch.tensor([[1.0]]), torch.tensor([math.log(1.0)])
    second = torch.tensor([[5.0]]), torch.tensor([math.log(3.0)])
    out, lse = merge(first, second)
    assert out.tolist() == [[pytest.approx((1 * 1 + 3 * 5) / 4)]]
    assert lse.tolist() == [pytest.approx(math.log(4))]


def test_no_key_and_large_scores() -> None:
    none = torch.zeros(1, 2), torch.tensor([-math.inf])
    out, lse = merge(none, none)
    assert (out.tolist(), lse.tolist()) == ([[0, 0]], [-math.inf])
    far = torch.ones(1, 2), torch.tensor([800.0])  # e^800 is infinite
    near = torch.zeros(1, 2), torch.tensor([800.0])
    out, lse = merge(far, near)
    assert out.tolist() == [[pytest.approx(0.5, abs=1e-4)] * 2]
    assert lse.tolist() == [pytest.approx(800 + math.log(2))]


@pytest.mark.parametrize("parts", [1, 2, 5, 12])
def test_split_is_whole_with_its_gradients(parts: int) -> None:
    x = inputs(12)
    whole = attention(*x, return_lse=True)
    merged = split_attention(*x, parts)
    for ours, exact in zip(merged, whole, strict=True):
        torch.testing.assert_close(ours, exact)
    weight = torch.arange(3.0, dtype=torch.float64)
    ours = torch.autograd.grad((merged[0] * weight).sum() + merged[1].sum(), x)
    exact = torch.autograd.grad((whole[0] * weight).sum() + whole[1].sum(), x)
    for one, other in zip(ours, exact, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("causal", [False, True])
def test_a_ring_is_whole(causal: bool) -> None:
    x = inputs(12)
    out, busy = ring_attention(*x, 4, causal=causal)
    torch.testing.assert_close(out, attention(*x, causal=causal))
    assert busy == ([4, 3, 2, 1] if causal else [4, 4, 4, 4])


def test_what_cannot_be_split() -> None:
    x = inputs(6)
    with pytest.raises(ValueError, match="parts must be at most the keys; got 7"):
        split_attention(*x, 7)
    with pytest.raises(ValueError, match="machines must divide N"):
        ring_attention(*x, 4)
    with pytest.raises(ValueError, match="N_q = N_k"):
        ring_attention(x[0][:, :, :3], *x[1:], 3)


def test_merged_parts_keep_the_type_of_out() -> None:
    half = torch.ones(1, 2, dtype=torch.float16), torch.zeros(1)
    out, lse = merge(half, half)
    assert (out.dtype, lse.dtype) == (torch.float16, torch.float32)
