"""Does attention keep its word inside autocast, torch.func and torch.compile?"""

import math
from importlib.util import find_spec
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import grad, jacfwd, jacrev, jvp, vjp, vmap

from smallscale.attribution import influence, trak
from smallscale.attribution.scores import curvature
from smallscale.kernels import attention, compiled

MARKS = {
    "cpp": [pytest.mark.skipif(bool(compiled.missing()), reason="no compiler")],
    "triton": [pytest.mark.skipif(find_spec("triton") is None, reason="no triton")],
}


def levels(*names: str) -> Any:
    marked = [pytest.param(name, marks=MARKS.get(name, [])) for name in names]
    return pytest.mark.parametrize("level", marked)


EVERY = levels("naive", "online", "tiled", "cpp", "triton")
DIFFERENTIABLE = levels("naive", "tiled", "cpp", "triton")
FAST = levels("tiled", "cpp", "triton")


def qkv(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Return 4 heads of 7 queries and 2 of 9 keys, of length 5."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 4, 7, 5), (2, 2, 9, 5), (2, 2, 9, 5)]
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
        for shape in shapes
    ]


def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return causal attention, aligned at the bottom right, as one writes it down."""
    k, v = (x.repeat_interleave(2, 1) for x in (k, v))
    hidden = torch.ones(7, 9, dtype=torch.bool).triu(3)
    scores = (q @ k.mT / math.sqrt(5)).masked_fill(hidden, -math.inf)
    return scores.softmax(-1) @ v


def ours(level: str, **options: Any) -> Any:
    def attend(q: Tensor, k: Tensor, v: Tensor) -> Any:
        how = {"causal": True, "align": "bottom-right", "block": 4} | options
        return attention(q, k, v, level=level, **how)

    return attend


def close(a: Any, b: Any) -> None:
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


# autocast


@EVERY
@pytest.mark.parametrize("lower", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64]
)
def test_autocast_changes_nothing_forward_or_backward(
    level: str, lower: torch.dtype, dtype: torch.dtype
) -> None:
    results = []
    for enabled in (False, True):
        leaves = [x.requires_grad_() for x in qkv(dtype)]
        with torch.autocast("cpu", dtype=lower, enabled=enabled):
            out, lse = ours(level, return_lse=True)(*leaves)
            grads = ()
            if level != "online":
                both = (torch.ones_like(out), torch.ones_like(lse))
                grads = torch.autograd.grad((out, lse), leaves, both)
        assert out.dtype == dtype
        assert lse.dtype == torch.promote_types(dtype, torch.float32)
        results.append((out, lse, *grads))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@EVERY
def test_autocast_takes_the_types_that_its_layers_return(level: str) -> None:
    """A norm of q and k returns float32 inside, where a linear layer's v is 16 bits."""
    q, k, v = qkv()
    low = v.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = ours(level)(q, k, low)
    assert torch.equal(out, ours(level)(q, k, low.float()))
    with pytest.raises(ValueError, match="q, k and v must be of one type"):
        ours(level)(q, k, low)


@DIFFERENTIABLE
def test_a_block_trains_under_autocast(level: str) -> None:
    torch.manual_seed(0)
    project, x = nn.Linear(6, 12), torch.randn(2, 5, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        q, k, v = project(x).view(2, 5, 3, 4).transpose(1, 2)[:, :, None].unbind(1)
        out = attention(q, k, v, level=level, causal=True)
        loss = out.float().square().mean()
        loss.backward()
    assert out.dtype == torch.bfloat16
    assert project.weight.grad is not None
    assert project.weight.grad.dtype == torch.float32
    assert project.weight.grad.abs().sum() > 0


# torch.func


@EVERY
def test_vmap_is_the_loop_over_any_dimension(level: str) -> None:
    q, k, v = qkv(torch.float64)
    many = torch.stack([q, 2 * q, -q], dim=2)  # (2, 4, 3, 7, 5)
    attend = ours(level, return_lse=True)
    out, lse = vmap(attend, in_dims=(2, None, None), out_dims=(1, 0))(many, k, v)
    for i, each in enumerate((q, 2 * q, -q)):
        wanted, wanted_lse = attend(each, k, v)
        close(out[:, i], wanted)
        close(lse[i], wanted_lse)
    inner = vmap(ours(level), in_dims=(None, 0, None))
    nested = vmap(inner, in_dims=(0, None, None))
    two, three = torch.stack([q, -q]), torch.stack([k, 2 * k, -k])
    out = nested(two, three, v)
    assert out.shape[:2] == (2, 3)
    close(out[1, 2], ours(level)(-q, -k, v))


@DIFFERENTIABLE
def test_gradients_of_each_example_at_once(level: str) -> None:
    q, k, v = qkv(torch.float64)
    target = torch.randn(q.shape, generator=torch.Generator().manual_seed(1))

    def loss_by(attend: Any) -> Any:
        def loss(k: Tensor, q: Tensor, v: Tensor, target: Tensor) -> Tensor:
            q, k, v = (x[None] for x in (q, k, v))
            return (attend(q, k, v) - target).square().sum()

        return vmap(grad(loss, argnums=(0, 1)), in_dims=(None, 0, 0, 0))

    examples = (k[0], q, v, target)
    close(loss_by(ours(level))(*examples), loss_by(plain)(*examples))


@DIFFERENTIABLE
def test_forward_and_backward_mode_agree_with_plain_torch(level: str) -> None:
    inputs = tuple(qkv(torch.float64))
    moves = tuple(torch.cos(3 * x) for x in inputs)
    attend = ours(level)
    close(jvp(attend, inputs, moves), jvp(plain, inputs, moves))
    weight = torch.sin(inputs[0])
    close(vjp(attend, *inputs)[1](weight), vjp(plain, *inputs)[1](weight))
    q, k, v = inputs
    only_k = jvp(lambda k: attend(q, k, v), (k,), (moves[1],))  # the others stay
    close(only_k, jvp(lambda k: plain(q, k, v), (k,), (moves[1],)))
    few = q[:1, :, :2, :2], k[:1, :, :2, :2], v[:1, :, :2, :2]
    # Aligned at the bottom right and square: a mask of the diagonal.
    forward, backward = (each(attend, argnums=1)(*few) for each in (jacfwd, jacrev))
    close(forward, backward)


@DIFFERENTIABLE
def test_lse_moves_with_the_scores_and_not_where_nothing_is_seen(level: str) -> None:
    q, k, v = (x[:, :2] for x in qkv(torch.float64))
    attend = ours(level, return_lse=True)
    # Seven queries and three keys: the first four queries see nothing.
    q, k, v = q, k[:, :, :3], v[:, :, :3]
    inputs, moves = (q, k, v), (q.cos(), k.cos(), v.cos())
    (_, lse), (dout, dlse) = jvp(attend, inputs, moves)
    assert (lse[:, :, :4] == -math.inf).all()
    assert (dlse[:, :, :4] == 0).all()
    assert (dout[:, :, :4] == 0).all()
    step = 1e-6
    ahead, behind = (
        attend(*[x + sign * step * dx for x, dx in zip(inputs, moves, strict=True)])
        for sign in (1, -1)
    )
    for moved, plus, minus in zip((dout, dlse), ahead, behind, strict=True):
        change = (plus - minus)[:, :, 4:] / (2 * step)
        torch.testing.assert_close(moved[:, :, 4:], change, rtol=1e-6, atol=1e-8)


@FAST
def test_second_derivatives_are_refused_in_one_line(level: str) -> None:
    q, k, v = qkv(torch.float64)
    attend = ours(level)
    said = f"level '{level}' has no second derivatives; use level 'naive'"
    leaf = q.clone().requires_grad_()
    (first,) = torch.autograd.grad(attend(leaf, k, v).sum(), leaf, create_graph=True)
    with pytest.raises(RuntimeError, match=said):
        first.sum().backward()

    def gradient(q: Tensor) -> Tensor:
        return grad(lambda q: attend(q, k, v).square().sum())(q)

    with pytest.raises(RuntimeError, match=said):
        jvp(gradient, (q,), (q,))
    with pytest.raises(RuntimeError, match=said):
        grad(lambda q: gradient(q).sum())(q)


def test_naive_has_second_derivatives_in_every_order_of_modes() -> None:
    q, k, v = qkv(torch.float64)

    def curvature_along(attend: Any) -> Tensor:
        def loss(q: Tensor) -> Tensor:
            return attend(q, k, v).square().sum()

        return jvp(grad(loss), (q,), (q.cos(),))[1]

    close(curvature_along(ours("naive")), curvature_along(plain))
    leaves = [x.requires_grad_() for x in (q[:1, :2, :2], k[:1, :1, :3], v[:1, :1, :3])]
    torch.autograd.gradgradcheck(ours("naive"), leaves)


def test_online_says_that_it_has_no_backward_inside_torch_func() -> None:
    q, k, v = qkv()
    with pytest.raises(RuntimeError, match="no backward pass; use 'tiled'"):
        grad(lambda q: ours("online")(q, k, v).sum())(q)


# attribution


class Reader(nn.Module):
    """Reads five numbers with one layer of causal attention, and guesses a class."""

    def __init__(self, level: str, width: int = 4) -> None:
        super().__init__()
        self.level = level
        self.embed = nn.Linear(1, width)
        self.project = nn.Linear(width, 3 * width)
        self.head = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.project(self.embed(x[..., None])).chunk(3, dim=-1)
        q, k, v = (part[:, None] for part in parts)  # one head
        out = attention(q, k, v, causal=True, level=self.level, block=16)
        return self.head(out[:, 0, -1])


@FAST
@pytest.mark.parametrize("largest_dense", [4096, 0])  # H built, or by products
def test_influence_takes_a_model_that_uses_the_level(
    level: str, largest_dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curvature, "LARGEST_DENSE", largest_dense)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(12, 5, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (12,), generator=generator)
    train, test = (x[:9], y[:9]), (x[9:], y[9:])

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets, reduction="none")

    scores = []
    for name in (level, "naive"):
        torch.manual_seed(0)
        model = Reader(name).double()
        scores.append(influence(model, loss, train, test, damping=0.1))
    assert scores[0].abs().max() > 1e-3
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-6, atol=1e-8)
    ranks = [trak(Reader(level).double(), loss, train, test, ridge=1.0)]
    assert ranks[0].isfinite().all()


# other ways to run


@pytest.mark.filterwarnings("ignore:Dynamo")  # cannot look into C++
@DIFFERENTIABLE
def test_inference_mode_compile_and_deterministic_algorithms(level: str) -> None:
    attend = ours(level)
    q, k, v = (x.requires_grad_() for x in qkv())
    wanted = attend(q, k, v)
    (wanted_grad,) = torch.autograd.grad(wanted.sum(), q)
    with torch.inference_mode():
        torch.testing.assert_close(attend(q, k, v), wanted)
        torch.testing.assert_close(attend(*(x.clone() for x in (q, k, v))), wanted)
    torch.use_deterministic_algorithms(True)
    try:
        (found,) = torch.autograd.grad(attend(q, k, v).sum(), q)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(found, wanted_grad)
    torch._dynamo.reset()
    out = torch.compile(attend, backend="eager")(q, k, v)
    torch.testing.assert_close(out, wanted)
    (found,) = torch.autograd.grad(out.sum(), q)
    torch.testing.assert_close(found, wanted_grad)


@DIFFERENTIABLE
@pytest.mark.parametrize("alone", range(3))
def test_one_input_alone_may_ask_for_its_gradient(level: str, alone: int) -> None:
    inputs, every = qkv(torch.float64), [x.requires_grad_() for x in qkv(torch.float64)]
    inputs[alone].requires_grad_()
    ours(level)(*inputs).square().sum().backward()
    wanted = torch.autograd.grad(plain(*every).square().sum(), every)
    assert [x.grad is not None for x in inputs] == [i == alone for i in range(3)]
    close(inputs[alone].grad, wanted[alone])
