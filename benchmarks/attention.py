"""How far is each level from torch's own kernels? Time, GFLOP/s and memory, on the CPU.

One head of 64 dimensions, float32 (and bfloat16 for one table), forward and backward.
All ways take turns, so that a busy moment hits all alike; ratios are of medians in this
very run. Torch's backends are named, since "SDPA" is another one on every machine.
FlexAttention is compiled, and has no backward pass on the CPU. GFLOP/s count only the
pairs of query and key that see each other.

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

D = 64  # length of a head's vectors
ROUNDS = 7
MIB = 2**20
COLUMNS = (
    "way",
    "forward, ms",
    "GFLOP/s",
    "memory, MiB",
    "speed / flash",
    "speed / math",
    "backward, ms",
    "/ flash",
)
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
            console.print(measure(n, causal, torch.float32))
    console.print(measure(chosen.n[-1], True, torch.bfloat16))


def torch_attention(backend: SDPBackend, causal: bool) -> Way:
    """Return torch's attention, on the backend named."""

    def way(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

    return way


def flex(n: int, causal: bool) -> Way:
    """Return FlexAttention, compiled; causal by a mask that knows the empty blocks."""
    compiled_flex = torch.compile(flex_attention, dynamic=False)
    mask = None
    if causal:
        mask = create_block_mask(
            lambda b, h, i, j: i >= j, None, None, n, n, device="cpu"
        )
    return lambda q, k, v: compiled_flex(q, k, v, block_mask=mask)


def our_attention(level: str, causal: bool) -> Way:
    """Return this project's attention at a level."""
    return lambda q, k, v: attention(q, k, v, causal=causal, level=level)


def ways_to_compare(n: int, causal: bool) -> dict[str, Way]:
    """Return every way by its name in the table; cpp only where it can be compiled."""
    ways = {
        "torch, math": torch_attention(SDPBackend.MATH, causal),
        "torch, flash": torch_attention(SDPBackend.FLASH_ATTENTION, causal),
        "torch, FlexAttention": flex(n, causal),
        "ours, naive": our_attention("naive", causal),
        "ours, tiled": our_attention("tiled", causal),
    }
    if lacks := compiled.missing():
        print(f"no row for cpp: this machine lacks {lacks}", file=sys.stderr)
    else:
        ways["ours, cpp"] = our_attention("cpp", causal)
    return ways


def measure(n: int, causal: bool, dtype: torch.dtype) -> Table:
    """Return a table with a row for each way, forward and backward."""
    sight = "causal" if causal else "full"
    words = f"N = {n:,}, d = {D}, {sight}, {str(dtype).removeprefix('torch.')}"
    print(words, file=sys.stderr)
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 1, 1, n, D, generator=generator).to(dtype).unbind()
    ways = ways_to_compare(n, causal)
    with torch.no_grad():
        calls = [lambda w=way: w(q, k, v) for way in ways.values()]
        forward = dict(zip(ways, seconds(calls, ROUNDS), strict=True))
        memory = dict(zip(ways, map(peak_bytes, calls), strict=True))
    differentiable = {name: way for name, way in ways.items() if "Flex" not in name}
    backward = backward_seconds(differentiable, q, k, v)
    threads = torch.get_num_threads()
    title = f"{words}, {threads} thread{'s' * (threads > 1)}, medians of {ROUNDS}"
    table = Table(*COLUMNS, title=title)
    for name, time in forward.items():
        back = backward.get(name)
        table.add_row(
            name,
            f"{1e3 * time:.2f}",
            f"{flops(n, D, causal) / time / 1e9:.0f}",
            f"{memory[name] / MIB:.1f}",
            f"{forward['torch, flash'] / time:.2f}",
            f"{forward['torch, math'] / time:.2f}",
            f"{1e3 * back:.2f}" if back else "none",
            f"{backward['torch, flash'] / back:.2f}" if back else "",
        )
    return table


def backward_seconds(ways: dict[str, Way], *inputs: Tensor) -> dict[str, float]:
    """Return the seconds of each way's backward pass alone."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(inputs[0].shape, generator=generator).to(inputs[0].dtype)
    outputs: list[Any] = [way(*leaves) for way in ways.values()]
    calls = [
        lambda o=out: torch.autograd.grad(o, leaves, weight, retain_graph=True)
        for out in outputs
    ]
    return dict(zip(ways, seconds(calls, ROUNDS), strict=True))


if __name__ == "__main__":
    main()
