"""Do all levels compute the same attention and gradients, for every allowed shape?"""

import math
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from smallscale.kernels import attention, compiled
from smallscale.kernels.attention import LEVELS

needs_compiler = pytest.mark.skipif(
    bool(compiled.missing()), reason=f"no {compiled.missing()}"
)
needs_triton = pytest.mark.skipif(
    find_spec("triton") is None, reason="triton is not installed"
)
MARKS = {"cpp": [needs_compiler], "triton": [needs_triton]}
EVERY = [pytest.param(level, marks=MARKS.get(level, [])) for level in LEVELS]
DIFFERENTIABLE = [
    pytest.param(level, marks=MARKS.get(level, []))
    for level in LEVELS
    if level != "online"
]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5}
INF = math.inf


def some(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(
        shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).to(dtype)


def qkv(
    n_q: int,
    n_k: int,
    d: int = 8,
    batch: int = 1,
    heads: int = 1,
    kv_heads: int = 1,
    **kind: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    shapes = [
        (batch, heads, n_q, d),
        (batch, kv_heads, n_k, d),
        (batch, kv_heads, n_k, d),
    ]
    q, k, v = (some(*shape, seed=seed, **kind) for seed, shape in enumerate(shapes))
    return q, k, v


def seen(n_q: int, n_k: int, causal: bool, align: str) -> Tensor:
    """Return (n_q, n_k), True where query i sees key j; to be read, not to be fast."""
    ahead = n_k - n_q if align == "bottom-right" else 0
    return torch.tensor(
        [[not causal or j <= i + ahead for j in range(n_k)] for i in range(n_q)]
    ).reshape(n_q, n_k)


def oracle(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    causal: bool = False,
    align: str = "top-left",
    scale: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Return (out, lse) in float64, row by row.

    A row that sees nothing is left out, so it has no gradient.
    """
    q, k, v = q.double(), k.double(), v.double()
    scale = q.shape[3] ** -0.5 if scale is None else scale
    sight = seen(q.shape[2], k.shape[2], causal, align)
    out, lse = torch.zeros_like(q), q.new_full(q.shape[:3], -INF)
    for b, h, i in np.ndindex(*q.shape[:3]):
        keys = sight[i].nonzero().flatten()
        if len(keys):
            kv = h // (q.shape[1] // k.shape[1])
            scores = scale * k[b, kv, keys] @ q[b, h, i]
            out[b, h, i] = scores.softmax(0) @ v[b, kv, keys]
            lse[b, h, i] = scores.logsumexp(0)
    return out, lse


def close(a: Tensor, b: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(a.double(), b.double(), atol=tolerance, rtol=tolerance)


# by hand


@pytest.mark.parametrize("level", EVERY)
def test_two_keys_by_hand(level: str) -> None:
    # Scores ln 3 and 0: weights 3/4 and 1/4, whose sum before division is 4.
    q, k = torch.tensor([[[[1.0]]]]), torch.tensor([[[[math.log(3)], [0.0]]]])
    v = torch.tensor([[[[8.0], [0.0]]]])
    out, lse = attention(q, k, v, level=level, return_lse=True)
    assert out.item() == pytest.approx(6)
    assert lse.item() == pytest.approx(math.log(4))
    # Causal, the query sees only the first key.
    out, lse = attention(q, k, v, level=level, causal=True, return_lse=True)
    assert (out.item(), lse.item()) == (pytest.approx(8), pytest.approx(math.log(3)))
    # Scale 0 makes all scores alike, which gives the mean.
    for scale, expected in ((0.0, 4), (-1.0, 2)):
        out = attention(q, k, v, level=level, scale=scale)
        assert out.item() == pytest.approx(expected)


@pytest.mark.parametrize("level", EVERY)
def test_alignment_and_rows_that_see_nothing_by_hand(level: str) -> None:
    q, k, v = (
        torch.zeros(1, 1, 3, 1),
        torch.zeros(1, 1, 2, 1),
        torch.tensor([[[[2.0], [4.0]]]]),
    )
    out, lse = attention(q, k, v, level=level, causal=True, return_lse=True)
    assert out.flatten().tolist() == pytest.approx([2, 3, 3])
    out, lse = attention(
        q, k, v, level=level, causal=True, align="bottom-right", return_lse=True
    )
    assert out.flatten().tolist() == pytest.approx([0, 2, 3])
    assert lse.flatten().tolist() == pytest.approx([-INF, 0, math.log(2)])
    out = attention(
        k,
        q,
        torch.tensor([[[[2.0], [4.0], [9.0]]]]),
        level=level,
        causal=True,
        align="bottom-right",
    )
    assert out.flatten().tolist() == pytest.approx([3, 5])


# against the oracle


@st.composite
def cases(
    draw: st.DrawFn, longest: int, dtypes: tuple[torch.dtype, ...]
) -> dict[str, Any]:
    kv_heads = draw(st.integers(1, 3))
    sizes = {
        "n_q": draw(st.integers(0, longest)),
        "n_k": draw(st.integers(0, longest)),
        "d": draw(st.integers(1, 20)),
        "batch": draw(st.integers(1, 2)),
        "kv_heads": kv_heads,
        "heads": kv_heads * draw(st.integers(1, 3)),
        "dtype": draw(st.sampled_from(dtypes)),
    }
    options = {
        "causal": draw(st.booleans()),
        "align": draw(st.sampled_from(["top-left", "bottom-right"])),
        "scale": draw(st.sampled_from([None, 0.7, -2.5, 0.0])),
    }
    # Two dimensions whose order in memory is swapped.
    swapped = draw(st.sampled_from([(0, 0), (1, 2), (2, 3), (0, 3)]))
    return {
        "sizes": sizes,
        "options": options,
        "block": draw(st.integers(1, longest + 5)),
        "swapped": swapped,
    }


def agrees(level: str, case: dict[str, Any]) -> None:
    """out, lse and the gradients through both are the oracle's."""
    a, b = case["swapped"]
    inputs = [
        x.transpose(a, b).contiguous().transpose(a, b).requires_grad_()
        for x in qkv(**case["sizes"])
    ]
    tolerance = TOLERANCE[inputs[0].dtype]
    out, lse = attention(
        *inputs, **case["options"], level=level, block=case["block"], return_lse=True
    )
    expected, expected_lse = oracle(*inputs, **case["options"])
    assert out.dtype == inputs[0].dtype
    close(out, expected, tolerance)
    close(lse, expected_lse, tolerance)
    if level == "online" or not expected.requires_grad:
        return
    weight, weight_lse = some(*out.shape, seed=7), some(*lse.shape, seed=8)
    alive = expected_lse > -INF

    def gradients(out: Tensor, lse: Tensor) -> tuple[Tensor, ...]:
        loss = (out.double() * weight).sum() + (
            lse.double()[alive] * weight_lse[alive]
        ).sum()
        return torch.autograd.grad(loss, inputs, materialize_grads=True)

    for ours, theirs in zip(
        gradients(out, lse), gradients(expected, expected_lse), strict=True
    ):
        close(ours, theirs, 20 * tolerance)


@pytest.mark.parametrize(
    "level", ["naive", "online", "tiled", pytest.param("cpp", marks=needs_compiler)]
)
@settings(max_examples=60)
@given(case=cases(40, (torch.float64, torch.float32)))
def test_it_agrees_with_the_oracle(level: str, case: dict[str, Any]) -> None:
    agrees(level, case)


@needs_triton
@settings(max_examples=15)
@given(case=cases(40, (torch.float64, torch.float32)))
def test_triton_agrees_with_the_oracle(case: dict[str, Any]) -> None:
    agrees("triton", case)


@pytest.mark.parametrize("level", EVERY)
@pytest.mark.parametrize("causal", [False, True])
def test_it_agrees_with_torch_at_lengths_of_several_tiles(
    level: str, causal: bool
) -> None:
    n = 300
    q, k, v = (
        x.requires_grad_()
        for x in qkv(n, n, d=16, heads=2, kv_heads=2, dtype=torch.float32)
    )
    theirs = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    ours = attention(q, k, v, causal=causal, level=level)
    close(ours, theirs, 1e-5)
    if level != "online":
        weight = some(*ours.shape, dtype=torch.float32)
        grads = [torch.autograd.grad(out, (q, k, v), weight) for out in (ours, theirs)]
        for a, b in zip(*grads, strict=True):
            close(a, b, 1e-4)


@pytest.mark.parametrize("level", EVERY)
def test_heads_share_keys_as_repeat_interleave_does(level: str) -> None:
    q, k, v = qkv(5, 6, heads=6, kv_heads=2)
    repeated = attention(
        q, k.repeat_interleave(3, 1), v.repeat_interleave(3, 1), level=level
    )
    close(attention(q, k, v, level=level), repeated, 1e-12)
    assert not torch.allclose(
        attention(q, k.repeat(1, 3, 1, 1), v.repeat(1, 3, 1, 1), level=level), repeated
    )


@pytest.mark.parametrize("level", EVERY)
def test_a_row_sees_no_later_key(level: str) -> None:
    q, k, v = qkv(50, 50, dtype=torch.float32)
    before = attention(q, k, v, causal=True, level=level, block=16)
    for x in (k, v):
        x[:, :, 30:] += 1000.0
    after = attention(q, k, v, causal=True, level=level, block=16)
    assert torch.equal(before[:, :, :30], after[:, :, :30])
    assert not torch.allclose(before[:, :, 30:], after[:, :, 30:])


@pytest.mark.parametrize("level", EVERY)
def test_the_block_changes_no_value(level: str) -> None:
    q, k, v = qkv(70, 90, heads=2)
    results = [
        attention(q, k, v, causal=True, align="bottom-right", level=level, block=b)
        for b in (1, 7, 64, 10**6)
    ]
    for result in results[1:]:
        close(result, results[0], 1e-12)


@pytest.mark.parametrize("level", EVERY)
def test_the_same_arguments_give_the_same_bits(level: str) -> None:
    q, k, v = qkv(150, 150, heads=4, kv_heads=2, dtype=torch.float32)
    results = []
    for _ in range(2):
        leaves = [x.clone().requires_grad_() for x in (q, k, v)]
        out = attention(*leaves, causal=True, level=level)
        grads = (
            torch.autograd.grad(out.square().sum(), leaves) if level != "online" else ()
        )
        results.append((out, *grads))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("level", DIFFERENTIABLE)
def test_gradcheck(level: str) -> None:
    inputs = [
        x.requires_grad_()
        for x in (qkv(3, 4, d=1) if level == "triton" else qkv(5, 6, d=3, heads=2))
    ]
    for align in ("top-left", "bottom-right"):

        def both(
            q: Tensor, k: Tensor, v: Tensor, align: str = align
        ) -> tuple[Tensor, Tensor]:
            out, lse = attention(
                q, k, v, causal=True, align=align, level=level, block=2, return_lse=True
            )
            return out, lse

        torch.autograd.gradcheck(both, inputs)


@pytest.mark.parametrize("level", EVERY)
@pytest.mark.parametrize("scale", [3.0, -2.5, -0.3])
def test_scales_of_every_size_agree_with_the_oracle(level: str, scale: float) -> None:
    case = {
        "sizes": {"n_q": 20, "n_k": 24, "d": 4, "heads": 2, "kv_heads": 1},
        "options": {"causal": True, "align": "bottom-right", "scale": scale},
        "block": 8,
        "swapped": (0, 0),
    }
    agrees(level, case)


def test_a_scale_that_would_learn_nothing_is_refused() -> None:
    scale = torch.tensor(0.5, requires_grad=True)
    with pytest.raises(ValueError, match="scale must take no gradient; multiply q"):
        attention(*qkv(4, 4), scale=scale)
    assert attention(*qkv(4, 4), scale=scale.detach()).isfinite().all()


@pytest.mark.parametrize("level", DIFFERENTIABLE)
def test_a_row_that_sees_nothing_has_zero_gradients(level: str) -> None:
    q, k, v = (x.requires_grad_() for x in qkv(40, 10, dtype=torch.float32))
    out, lse = attention(
        q,
        k,
        v,
        causal=True,
        align="bottom-right",
        level=level,
        block=16,
        return_lse=True,
    )
    assert (out[:, :, :30] == 0).all()
    assert (lse[:, :, :30] == -INF).all()
    grads = torch.autograd.grad(
        (out, lse), (q, k, v), (torch.ones_like(out), torch.ones_like(lse))
    )
    assert all(torch.isfinite(g).all() for g in grads)
    assert (grads[0][:, :, :30] == 0).all()
    assert grads[0][:, :, 30:].abs().sum() > 0


@pytest.mark.parametrize("level", DIFFERENTIABLE)
def test_a_query_that_sees_nothing_beside_one_that_is_lost_by_hand(level: str) -> None:
    # Of two keys the three queries see none, the first, and both. The second query's
    # score is infinite, so all that it sees is NaN; it does not see the second key.
    q = torch.tensor([5.0, 1e30, 0.0]).reshape(1, 1, 3, 1).requires_grad_()
    k = torch.tensor([1e30, 0.0]).reshape(1, 1, 2, 1).requires_grad_()
    v = torch.tensor([2.0, 4.0]).reshape(1, 1, 2, 1).requires_grad_()
    how = {"causal": True, "align": "bottom-right", "level": level, "block": 4}
    out, lse = attention(q, k, v, return_lse=True, **how)
    assert out[0, 0, 1].isnan()
    assert out[0, 0, ::2].flatten().tolist() == [0, 3]
    assert lse[0, 0, ::2].tolist() == [-INF, pytest.approx(math.log(2))]
    dq, dk, dv = torch.autograd.grad(out, (q, k, v), torch.ones_like(out))
    assert dq[0, 0, 0] == 0  # exactly
    assert dk[0, 0, 1] == 0  # dS of the third query, times q = 0
    assert dv[0, 0, 1] == 0.5  # the third query's weight


@pytest.mark.parametrize("level", EVERY)
def test_layout_does_not_matter(level: str) -> None:
    q, k, v = qkv(20, 20, batch=2, heads=2, kv_heads=2)
    expected = attention(q, k, v, level=level)
    for a, b in ((1, 2), (2, 3), (0, 2)):
        strided = [x.transpose(a, b).contiguous().transpose(a, b) for x in (q, k, v)]
        close(attention(*strided, level=level), expected, 1e-12)
    wide = k[:, :, :1].expand(-1, -1, 20, -1)  # one key, twenty times: stride 0
    close(
        attention(q, wide, v, level=level), v.mean(2, keepdim=True).expand_as(q), 1e-12
    )


@pytest.mark.parametrize("level", DIFFERENTIABLE)
def test_a_gradient_that_is_one_number_spread_out(level: str) -> None:
    inputs = [x.requires_grad_() for x in qkv(20, 20)]
    # The gradient of a sum arrives with stride 0.
    once = torch.autograd.grad(attention(*inputs, level=level).sum(), inputs)
    again = torch.autograd.grad(
        attention(*inputs, level=level),
        inputs,
        torch.ones(1, 1, 20, 8, dtype=torch.float64),
    )
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))


@pytest.mark.parametrize("level", EVERY)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_keeps_flash_attentions_own_rule(
    level: str, dtype: torch.dtype
) -> None:
    """The error is at most twice that of the plain formula in the same precision.

    For gradients it is at most three times as large.
    """
    exact = qkv(64, 96, d=32, heads=4, kv_heads=2, dtype=dtype)
    truth = [x.double().requires_grad_() for x in exact]
    plain, ours = ([x.clone().requires_grad_() for x in exact] for _ in range(2))
    expected, _ = oracle(*truth, causal=True, align="bottom-right")
    hide = ~seen(64, 96, True, "bottom-right")
    k, v = (x.repeat_interleave(2, 1) for x in plain[1:])
    standard = (plain[0] @ k.mT * 32**-0.5).masked_fill(hide, -INF).softmax(-1) @ v
    out = attention(*ours, causal=True, align="bottom-right", level=level)

    def error(x: Tensor, reference: Tensor) -> float:
        return float((x.double() - reference).abs().max().detach())

    assert out.dtype == dtype
    assert error(out, expected) <= 2 * error(standard, expected)
    if level != "online":
        weight = some(*out.shape, dtype=dtype)
        wanted = torch.autograd.grad(expected, truth, weight.double())
        grads = [
            torch.autograd.grad(y, leaves, weight)
            for y, leaves in ((out, ours), (standard, plain))
        ]
        for mine, theirs, reference in zip(*grads, wanted, strict=True):
            assert error(mine, reference) <= 3 * error(theirs, reference)


@pytest.mark.parametrize("level", EVERY)
@pytest.mark.parametrize("poisoned", range(3))
def test_nan_comes_out_where_torch_lets_it_out(level: str, poisoned: int) -> None:
    for causal in (False, True):
        inputs = qkv(20, 20, dtype=torch.float32)
        inputs[poisoned][0, 0, 4, 2] = math.nan
        theirs = F.scaled_dot_product_attention(*inputs, is_causal=causal)
        assert theirs.isnan().any()
        ours = attention(*inputs, causal=causal, level=level)
        # A value out of sight meets a weight of 0, and torch's 0 * NaN is NaN.
        sight = (
            seen(20, 20, causal, "top-left")[:, 4]
            if poisoned
            else torch.arange(20) == 4
        )
        assert torch.equal(ours.isnan()[:, :, sight], theirs.isnan()[:, :, sight])
        assert ours.isfinite()[:, :, ~sight].all()


@st.composite
def broken_cases(draw: st.DrawFn, longest: int) -> dict[str, Any]:
    """Draw what is broken where: in q, k, v or the gradient of out."""
    places = st.tuples(
        st.integers(0, 3), st.integers(0, 1), st.integers(0, longest - 1)
    )
    return {
        "n_q": draw(st.integers(1, longest)),
        "n_k": draw(st.integers(1, longest)),
        "align": draw(st.sampled_from(["top-left", "bottom-right"])),
        "block": draw(st.integers(1, longest + 5)),
        "kind": draw(st.sampled_from([math.nan, INF, -INF])),
        "places": draw(st.lists(places, min_size=1, max_size=3)),
    }


def results_and_gradients(
    level: str, case: dict[str, Any], inputs: list[Tensor]
) -> list[Tensor]:
    """Return out, lse, dq, dk and dv; the oracle's at level "oracle"."""
    *leaves, weight, weight_lse = [x.clone() for x in inputs]
    leaves = [x.requires_grad_() for x in leaves]
    options = {"causal": True, "align": case["align"]}
    if level == "oracle":
        results = oracle(*leaves, **options)
    else:
        how = {"level": level, "block": case["block"], "return_lse": True}
        results = attention(*leaves, **options, **how)
    if level == "online":
        return list(results)
    # lse is -inf where nothing is seen: no gradient comes from there.
    alive = seen(case["n_q"], case["n_k"], **options).any(1)
    loss_weights = (weight, weight_lse * alive)
    grads = torch.autograd.grad(
        results, leaves, loss_weights, materialize_grads=True, allow_unused=True
    )
    return [*results, *grads]


def keeps_its_sight(level: str, case: dict[str, Any]) -> None:
    """Whatever is finite by the oracle, row by row, is so here, and equal."""
    q, k, v = qkv(case["n_q"], case["n_k"], d=3, heads=2, kv_heads=2)
    inputs = [q, k, v, some(*q.shape, seed=7), some(*q.shape[:3], seed=8)]
    for which, head, row in case["places"]:
        inputs[which][0, head, row % inputs[which].shape[2], 1] = case["kind"]
    expected = results_and_gradients("oracle", case, inputs)
    # A row whose scores are all -inf counts as one that sees nothing.
    lost = expected[1].isneginf().any(1)[0]
    sight = seen(case["n_q"], case["n_k"], True, case["align"])
    assume(not (lost & sight.any(1)).any())
    ours = results_and_gradients(level, case, inputs)
    for mine, wanted in zip(ours, expected, strict=False):
        good = wanted.isfinite()
        assert torch.equal(mine.isfinite(), good)
        close(mine[good], wanted[good], 1e-10)


@pytest.mark.parametrize(
    "level", ["naive", "online", "tiled", pytest.param("cpp", marks=needs_compiler)]
)
@settings(max_examples=60)
@given(case=broken_cases(20))
def test_what_is_broken_reaches_those_who_see_it_alone(
    level: str, case: dict[str, Any]
) -> None:
    keeps_its_sight(level, case)


@needs_triton
@settings(max_examples=15)
@given(case=broken_cases(20))
def test_what_is_broken_reaches_those_who_see_it_alone_in_triton(
    case: dict[str, Any],
) -> None:
    keeps_its_sight("triton", case)


@pytest.mark.parametrize("level", EVERY)
@pytest.mark.parametrize("kind", [math.nan, INF, -INF])
@pytest.mark.parametrize("poisoned", [1, 2])
def test_a_broken_key_or_value_changes_no_bit_of_the_rows_before_it(
    level: str, kind: float, poisoned: int
) -> None:
    # Five queries see keys 0 to 4 of eight; the last three nobody sees.
    for first, n_q in ((30, 50), (5, 5)):
        clean = qkv(n_q, n_q + 3, dtype=torch.float32, heads=4, kv_heads=2)
        broken = [x.clone() for x in clean]
        broken[poisoned][:, 1, first:] = kind
        results = []
        for inputs in (clean, broken):
            leaves = [x.clone().requires_grad_() for x in inputs]
            out, lse = attention(
                *leaves, causal=True, level=level, block=16, return_lse=True
            )
            rows = [out[:, :, :first], lse[:, :, :first]]
            if level != "online":
                weight = some(*out.shape, dtype=torch.float32)
                grads = torch.autograd.grad(out, leaves, weight)
                rows.append(grads[0][:, :, :first])
                if first == n_q:  # nobody sees what is broken
                    rows += grads
                    assert (grads[1][:, :, first:] == 0).all()
                    assert (grads[2][:, :, first:] == 0).all()
            results.append(rows)
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("level", EVERY)
def test_large_scores_do_not_overflow(level: str) -> None:
    q, k, v = qkv(20, 30, dtype=torch.float32)
    out, lse = attention(100 * q, 100 * k, v, level=level, return_lse=True)
    expected, expected_lse = oracle(100 * q, 100 * k, v)
    close(out, expected, 2e-2)  # scores near 10,000 are known to about 1e-3
    torch.testing.assert_close(lse.double(), expected_lse, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("level", EVERY)
def test_nothing_to_attend_to_and_nobody_who_attends(level: str) -> None:
    q, k, v = qkv(3, 0)
    out, lse = attention(q, k, v, level=level, return_lse=True)
    assert (out == 0).all()
    assert (lse == -INF).all()
    q, k, v = (x.requires_grad_() for x in qkv(0, 3))
    out = attention(q, k, v, level=level)
    assert out.shape == (1, 1, 0, 8)
    if level != "online":
        assert all((g == 0).all() for g in torch.autograd.grad(out.sum(), (q, k, v)))
    assert attention(*qkv(3, 3, batch=0), level=level).shape == (0, 1, 3, 8)


def test_arrays_and_lists_are_taken() -> None:
    q, k, v = qkv(3, 4)
    expected = attention(q, k, v)
    assert torch.equal(attention(q.numpy(), k.numpy(), v.numpy()), expected)
    out = attention(q.tolist(), k.tolist(), v.tolist())
    close(out, expected, 1e-6)


def test_online_has_no_backward_and_says_so() -> None:
    q, k, v = (x.requires_grad_() for x in qkv(3, 3))
    with pytest.raises(
        RuntimeError, match="level 'online' has no backward pass; use 'tiled'"
    ):
        attention(q, k, v, level="online").sum().backward()


# memory


@pytest.mark.parametrize("level", ["tiled", pytest.param("cpp", marks=needs_compiler)])
def test_no_matrix_of_scores_is_stored(level: str) -> None:
    """N = 8,192: its scores would take 256 MiB.

    The peak is that of a process of its own, above what it held before.
    """
    # The first call loads code and buffers.
    code = (
        "import resource, torch\n"
        "from smallscale.kernels import attention\n"
        "torch.set_num_threads(1)\n"
        "q, k, v = torch.randn(3, 1, 1, 8192, 64).unbind()\n"
        f"attention(q[:, :, :512], k, v, level={level!r})\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        f"attention(q, k, v, level={level!r})\n"
        "print(peak() - before)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) / 1024 < 16  # MiB; the output itself is 2


# bad input


Q, K = torch.zeros(2, 4, 5, 8), torch.zeros(2, 2, 6, 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"level": "cuda"},
            "level must be one of naive, online, tiled, cpp, triton; got 'cuda'",
        ),
        ({"align": "left"}, "align must be one of top-left, bottom-right; got 'left'"),
        ({"causal": torch.ones(5, 6)}, "causal must be True or False; got tensor"),
        ({"block": 0}, "block must be a whole number, at least 1; got 0"),
        ({"block": -3}, "block must be a whole number, at least 1; got -3"),
        ({"block": 1.5}, "block must be a whole number"),
        ({"scale": math.nan}, "scale must be a finite number, or None"),
        ({"scale": "big"}, "scale must be a finite number, or None"),
        (
            {"q": Q.long()},
            "q, k and v must be of one type, float64, .* got torch.int64",
        ),
        (
            {"q": Q.long(), "k": K.long(), "v": K.long()},
            "q, k and v must be of one type",
        ),
        (
            {"q": Q.double()},
            "of one type, .* got torch.float64, torch.float32, torch.float32",
        ),
        ({"q": Q.to("meta")}, "q, k and v must be on one device; got meta, cpu, cpu"),
        (
            {"q": Q[0]},
            r"q, k and v must be \(batch, heads, n, d\), d at least 1; got \(4, 5, 8\)",
        ),
        ({"q": Q[..., :0], "k": K[..., :0], "v": K[..., :0]}, "d at least 1"),
        ({"v": K[:, :, 1:]}, "k and v must have one shape"),
        ({"v": K[..., 1:]}, "k and v must have one shape"),
        ({"q": Q[:1]}, "q, k and v must agree in batch and d"),
        ({"q": Q[..., 1:]}, "q, k and v must agree in batch and d"),
        ({"q": Q.to_sparse()}, "q must be a dense tensor, .* got torch.sparse_coo"),
        (
            {"q": Q.to(torch.cfloat), "k": K.to(torch.cfloat), "v": K.to(torch.cfloat)},
            "q, k and v must be of one type, .* got torch.complex64",
        ),
        ({"q": Q[:, :3]}, "k's heads must divide q's; got 2 and 3"),
        ({"k": K[:, :0], "v": K[:, :0]}, "k's heads must divide q's; got 0 and 4"),
    ],
)
def test_what_cannot_be_right_says_why_in_one_line(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        attention(**{"q": Q, "k": K, "v": K, **arguments})
    assert "\n" not in str(caught.value)


# speed is measured in benchmarks/attention.py; what must not silently break is that the
# fast backend is the yardstick


def test_the_yardsticks_exist() -> None:
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.MATH):
        with sdpa_kernel(backend):
            assert F.scaled_dot_product_attention(Q, Q, Q).shape == Q.shape


@pytest.mark.parametrize("level", ["online", "tiled", "cpp"])
def test_a_block_longer_than_any_sequence_is_one_tile(level: str) -> None:
    """4 * 2^62 keys in a tile do not fit into a machine word."""
    if level == "cpp" and compiled.missing():
        pytest.skip(compiled.missing())
    q = torch.randn(1, 1, 8, 4, generator=torch.Generator().manual_seed(0))
    whole = attention(q, q, q, level=level, block=8)
    for block in (2**31, 2**62, 10**30):
        assert torch.equal(attention(q, q, q, level=level, block=block), whole)
