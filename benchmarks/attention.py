"""How far is each level from torch's own kernels? A ladder: time, GFLOP/s and memory, forward and backward, on the CPU.

One head of 64 dimensions, float32 (and bfloat16 for one row of it). All ways take turns, so that a busy moment hits all
alike; ratios are of medians in this very run. Torch's backends are named, since "SDPA" is another one on every machine.
FlexAttention is compiled, and has no backward on the CPU. GFLOP/s count the pairs in sight only.

    python benchmarks/attention.py             # one thread; --threads 2, --n 1024 2048
"""

import argparse
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from smallscale.kernels import attention, compiled
from smallscale.kernels.measure import flops, peak_bytes, seconds

D, ROUNDS = 64, 7
Way = Callable[[Tensor, Tensor, Tensor], Tensor]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--n", type=int, nargs="+", default=[1024, 2048, 4096])
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    console = Console(width=130)
    for n in chosen.n:
        for causal in (False, True):
            console.print(ladder(n, causal, torch.float32))
    console.print(ladder(chosen.n[-1], True, torch.bfloat16))


def backend(which: SDPBackend, causal: bool) -> Way:
    """Torch's attention, on the backend named."""

    def way(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with sdpa_kernel(which):
            return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

    return way


def flex(n: int, causal: bool) -> Way:
    """FlexAttention, compiled; causal by a mask that knows which blocks are empty."""
    compiled_flex = torch.compile(flex_attention, dynamic=False)
    mask = (
        create_block_mask(lambda b, h, i, j: i >= j, None, None, n, n, device="cpu")
        if causal
        else None
    )
    return lambda q, k, v: compiled_flex(q, k, v, block_mask=mask)


def ladder(n: int, causal: bool, dtype: torch.dtype) -> Table:
    """A row a way: forward time, GFLOP/s, memory, ratios to torch's backends; then the backward pass."""
    words = f"N = {n:,}, d = {D}, {'causal' if causal else 'full'}, {str(dtype).removeprefix('torch.')}"
    print(words, file=sys.stderr)
    q, k, v = (
        x.to(dtype)
        for x in torch.randn(
            3, 1, 1, n, D, generator=torch.Generator().manual_seed(0)
        ).unbind()
    )
    ways: dict[str, Way] = {
        "torch, math": backend(SDPBackend.MATH, causal),
        "torch, flash": backend(SDPBackend.FLASH_ATTENTION, causal),
        "torch, FlexAttention": flex(n, causal),
        "ours, naive": lambda q, k, v: attention(q, k, v, causal=causal, level="naive"),
        "ours, tiled": lambda q, k, v: attention(q, k, v, causal=causal, level="tiled"),
        "ours, cpp": lambda q, k, v: attention(q, k, v, causal=causal, level="cpp"),
    }
    if lacks := compiled.missing():
        print(f"no row for cpp: this machine lacks {lacks}", file=sys.stderr)
        del ways["ours, cpp"]
    with torch.no_grad():
        forward = dict(
            zip(
                ways,
                seconds([lambda w=way: w(q, k, v) for way in ways.values()], ROUNDS),
                strict=True,
            )
        )
        memory = {
            name: peak_bytes(lambda w=way: w(q, k, v)) / 2**20
            for name, way in ways.items()
        }
    differentiable = [name for name in ways if "Flex" not in name]
    backward = dict(
        zip(differentiable, gradients(ways, differentiable, q, k, v), strict=True)
    )
    threads = torch.get_num_threads()
    table = Table(
        "way",
        "forward, ms",
        "GFLOP/s",
        "memory, MiB",
        "speed / flash",
        "speed / math",
        "backward, ms",
        "/ flash",
    )
    table.title = f"{words}, {threads} thread{'s' * (threads > 1)}, medians of {ROUNDS}"
    for name, time in forward.items():
        back = backward.get(name)
        table.add_row(
            name,
            f"{1e3 * time:.2f}",
            f"{flops(n, D, causal) / time / 1e9:.0f}",
            f"{memory[name]:.1f}",
            f"{forward['torch, flash'] / time:.2f}",
            f"{forward['torch, math'] / time:.2f}",
            f"{1e3 * back:.2f}" if back else "none",
            f"{backward['torch, flash'] / back:.2f}" if back else "",
        )
    return table


def gradients(ways: dict[str, Way], names: list[str], *inputs: Tensor) -> list[float]:
    """Seconds of each way's backward pass alone; the forward pass was run before."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    weight = torch.randn(
        inputs[0].shape, generator=torch.Generator().manual_seed(1)
    ).to(inputs[0].dtype)
    outputs: list[Any] = [ways[name](*leaves) for name in names]
    return seconds(
        [
            lambda o=o: torch.autograd.grad(o, leaves, weight, retain_graph=True)
            for o in outputs
        ],
        ROUNDS,
    )


if __name__ == "__main__":
    main()
