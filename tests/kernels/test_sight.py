"""Is the careful path taken where finite numbers could still make one that is not?"""

import math

import pytest
import torch

from smallscale.kernels import attention
from smallscale.kernels.sight import all_finite, bounded


def test_one_broken_number_is_found() -> None:
    x = torch.zeros(2, 3)
    assert all_finite(x, x)
    for value in (math.nan, math.inf, -math.inf):
        x[1, 1] = value
        assert not all_finite(torch.zeros(1), x)
        assert not bounded(x, torch.ones(1, 3))
    assert bounded(torch.zeros(0, 3), torch.ones(1, 3))
    # Each product is 2e38, the sum of three is infinite.
    assert not bounded(torch.full((1, 3), 1e19), torch.full((1, 3), 2e19))


def test_the_bound_holds_under_vmap_for_all_that_it_goes_over() -> None:
    a, b = torch.ones(3, 2, 4), torch.ones(2, 4)
    a[2, 0, 0] = math.inf
    found = []
    torch.vmap(lambda x: found.append(bounded(x, b)) or x.sum())(a)
    torch.vmap(lambda x: found.append(bounded(x, b)) or x.sum())(a[:2])
    assert found == [False, True]


@pytest.mark.parametrize("level", ["naive", "tiled"])
def test_products_of_finite_numbers_that_overflow_out_of_sight(level: str) -> None:
    """dout v^T is infinite where the weight is 0: 0 * inf is NaN, unless left out."""
    q, k, v = torch.zeros(3, 1, 1, 4, 2).unbind()
    q, k, v = (x.clone().requires_grad_() for x in (q, k, v))
    with torch.no_grad():
        v[0, 0, 3] = 1e30
    dout = torch.zeros(1, 1, 4, 2)
    dout[0, 0, 0] = 1e30  # query 0 does not see key 3
    out = attention(q, k, v, causal=True, level=level, block=4)
    for gradient in torch.autograd.grad(out, (q, k, v), dout):
        assert gradient.isfinite().all()
