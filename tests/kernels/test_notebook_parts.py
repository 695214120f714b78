"""Do the widgets say what they show, do the checks know right from wrong, and do the kernels compile for a GPU?"""

import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest
import torch

from smallscale.kernels import elements_moved, fast_memory
from smallscale.kernels.exercises import NOT_YET, check_merge, check_window
from smallscale.kernels.explorer import tile_stepper, traffic_explorer
from smallscale.kernels.measure import flops, machine, peak_bytes, seconds
from smallscale.notebook import explore


def test_the_stepper_walks_every_tile_and_ends_at_the_true_sum() -> None:
    q, k, v = torch.randn(
        3, 1, 1, 12, 4, generator=torch.Generator().manual_seed(0)
    ).unbind()
    box = explore(*tile_stepper(q, k, v, block=4))
    sight, step, view = box.children
    assert (sight.value, step.max) == ("causal", 6)
    assert "it rose" in view.value  # an interesting state to start from
    sight.value = "full"
    assert step.max == 9
    step.value = 9
    scores = q[0, 0, -1] @ k[0, 0].T / 2
    assert f"maximum {scores.max():.3f}" in view.value
    assert f"sum {(scores - scores.max()).exp().sum():.3f}" in view.value
    assert "Step 9 of 9: query tile 3 meets key tile 3." in view.value
    moved = (
        elements_moved("tiled", 12, 4, 4) - 4 * 4 - 4
    )  # the last tile's output and lse are not yet written
    assert f"Moved so far: {moved:,}." in view.value
    sight.value = "causal"  # fewer steps: the slider stays in range
    assert step.value == 6
    assert 'role="img"' in view.value


def test_the_traffic_explorer_counts_predicts_and_says_what_fits() -> None:
    box = explore(
        *traffic_explorer(
            64, 4, [4, 16, 64], [fast_memory(4, size) for size in (4, 16, 64)]
        )
    )
    block, memory, view = box.children
    assert "which do not fit into" in view.value
    block.value = 16
    moved = elements_moved("tiled", 64, 4, 16)
    assert f"{moved:,} predicted, {moved:,} counted" in view.value
    assert "and fit into" in view.value
    memory.value = fast_memory(4, 4)
    assert "which do not fit" in view.value
    assert f"{elements_moved('tiled', 64, 4, 4):,}, the best that fits" in view.value


def merge(top: Any, total: Any, out: Any, scores: Any, values: Any) -> Any:
    higher = torch.maximum(top, scores.max())
    shrink, p = (top - higher).exp(), (scores - higher).exp()
    return higher, total * shrink + p.sum(), out * shrink + p @ values


def forgets(top: Any, total: Any, out: Any, scores: Any, values: Any) -> Any:
    higher, new, summed = merge(top, total * 0, out * 0, scores, values)
    return higher, total + new, out + summed


def half_forgets(top: Any, total: Any, out: Any, scores: Any, values: Any) -> Any:
    higher, new, _ = merge(top, total, out, scores, values)
    return higher, new, out + merge(top, total * 0, out * 0, scores, values)[2]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda *_: None, NOT_YET),
        (merge, "Right: "),
        (forgets, "multiply it by exp\\(old - new\\)"),
        (half_forgets, "the output is not"),
        (lambda top, total, out, s, v: (s.max(), total, out), "The sum should be"),
        (lambda top, total, out, s, v: (top, total, out), "Something is not finite"),
        (
            lambda top, total, out, s, v: (s.min().clamp(max=0), total, out),
            "The maximum should be",
        ),
        (lambda *_: 1, "Return three things"),
    ],
)
def test_merge_is_judged(answer: Callable[..., Any], words: str) -> None:
    assert re.search(words, check_merge(answer))


def window_attention(
    q: Any,
    k: Any,
    v: Any,
    window: int,
    block: int,
    traffic: Any,
    first_tile: bool = False,
) -> Any:
    n, out = len(q), torch.empty_like(q)
    for i in range(0, n, block):
        start = 0 if first_tile else max(0, i - window + 1) // block * block
        k_i, v_i = (
            traffic.read(k[start : i + block]),
            traffic.read(v[start : i + block]),
        )
        behind = (
            torch.arange(i, min(n, i + block))[:, None]
            - torch.arange(start, start + len(k_i))[None, :]
        )
        scores = q[i : i + block] @ k_i.T / math.sqrt(q.shape[1])
        out[i : i + block] = (
            scores.masked_fill((behind < 0) | (behind >= window), -math.inf).softmax(-1)
            @ v_i
        )
    return out


def test_window_is_judged() -> None:
    assert check_window(lambda *_: None) == NOT_YET
    assert check_window(window_attention).startswith("Right: ")
    assert "were read, where" in check_window(
        lambda *a: window_attention(*a, first_tile=True)
    )
    assert "That is causal attention" in check_window(
        lambda q, k, v, w, b, t: window_attention(q, k, v, 64, b, t)
    )
    assert "The values differ" in check_window(
        lambda q, k, v, w, b, t: window_attention(q, k, v, w + 1, b, t)
    )
    assert "Now let traffic.read" in check_window(
        lambda q, k, v, w, b, t: window_attention(
            q, k, v, w, b, type("Silent", (), {"read": lambda self, x: x})()
        )
    )


def test_measuring() -> None:
    assert (
        4 * 1000 * 1000
        <= peak_bytes(lambda: torch.zeros(1000, 1000).sum())
        < 4 * 1000 * 1000 + 10_000
    )
    held = torch.zeros(1000)
    assert peak_bytes(lambda: held.mul_(2)) < 4000  # nothing new
    assert (
        8_000_000 <= peak_bytes(lambda: (torch.zeros(1000, 1000) + 1).sum()) < 8_010_000
    )
    calls: list[int] = []
    first, second = seconds(
        [lambda: calls.append(0), lambda: sum(range(200_000))], rounds=3
    )
    assert len(calls) == 4
    assert 0 <= first < second
    assert flops(4, 8) == 2 * 2 * 4 * 4 * 8
    assert flops(4, 8, causal=True) == 2 * 2 * 10 * 8
    assert all(value > 0 for value in machine().values())


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
def test_the_triton_kernels_compile_for_a_gpu_that_is_not_here() -> None:
    """To the machine code of an H100, tensor cores and all. It says nothing of speed, and needs no GPU."""
    code = """
import torch
torch.cuda.is_available = lambda: True
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from smallscale.kernels import gpu

constants = dict(d=64, D=64, BM=64, BN=64, scale=0.125)
types = dict(Lse="*fp32", Delta="*fp32", DLse="*fp32")
for kernel in (gpu._forward, gpu._dq, gpu._dkdv):
    names = kernel.fn.arg_names
    kind = lambda n: types.get(n, "*bf16" if n[0].isupper() else "i32")
    signature = {n: "constexpr" if n in constants else kind(n) for n in names}
    values = {(names.index(n),): v for n, v in constants.items()}
    built = compile(ASTSource(kernel.fn, signature, values), target=GPUTarget("cuda", 90, 32))
    print("wgmma" in built.asm["ptx"], len(built.asm["cubin"]) > 1000)
"""
    own = {
        name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"
    }  # other tests interpret
    run = subprocess.run(
        [sys.executable, "-c", code], env=own, capture_output=True, text=True
    )
    assert run.stdout.split() == ["True"] * 6, run.stderr[-2000:]
