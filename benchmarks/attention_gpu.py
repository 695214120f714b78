"""How far is the Triton level from torch's GPU kernels, FLASH and CUDNN by name?

Needs a CUDA GPU. bfloat16, heads of 64 and 128 dimensions, 1,024 to 16,384 tokens,
causal and full, forward and backward. A batch holds 16,384 tokens, and heads times d is
2,048, as in the papers. Times are medians of Triton's do_bench; the autotuner has
chosen before. Each result is first checked against torch's FLASH, so that nothing wrong
is timed.

    python benchmarks/attention_gpu.py         # all; --n 4096 --d 64 for a part
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

from smallscale.kernels import attention
from smallscale.kernels.measure import flops

TOKENS = 16_384  # in a batch
WIDTH = 2_048  # heads times d
BACKWARD_WORK = 2.5  # five matrix products, where the forward pass has two
WANTED = (
    "wanted: forward 1.15 times FLASH, backward 0.9 times; "
    "the far goal is 0.95 times CUDNN"
)
COLUMNS = (
    "d",
    "N",
    "sight",
    "pass",
    "ours",
    "FLASH",
    "CUDNN",
    "ours / FLASH",
    "ours / CUDNN",
)
Way = Callable[[Tensor, Tensor, Tensor], Tensor]


def main() -> None:
    """Measure and print; exit 1 where there is no GPU."""
    parser = argparse.ArgumentParser()
    lengths = [1024, 2048, 4096, 8192, 16384]
    parser.add_argument("--n", type=int, nargs="+", default=lengths)
    parser.add_argument("--d", type=int, nargs="+", default=[64, 128])
    chosen = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit(
            "attention_gpu.py needs a CUDA GPU, and torch sees none here; "
            "benchmarks/attention.py is for the CPU"
        )
    device = f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    table = Table(*COLUMNS, title=f"{device}, bfloat16, TFLOP/s\n{WANTED}")
    for d in chosen.d:
        for n in chosen.n:
            for causal in (False, True):
                for row in rows(n, d, causal):
                    table.add_row(*row)
    Console(width=120).print(table)


def rows(n: int, d: int, causal: bool) -> list[list[str]]:
    """Return two rows, TFLOP/s and ratios of the forward and of the backward pass."""
    sight = "causal" if causal else "full"
    print(f"d = {d}, N = {n:,}, {sight}", file=sys.stderr)
    batch, heads = max(1, TOKENS // n), WIDTH // d
    q, k, v, weight = random_inputs(batch, heads, n, d)
    ways: dict[str, Way] = {
        "ours": lambda q, k, v: attention(q, k, v, causal=causal, level="triton"),
        "FLASH": torch_attention(SDPBackend.FLASH_ATTENTION, causal),
        "CUDNN": torch_attention(SDPBackend.CUDNN_ATTENTION, causal),
    }
    check(ways, q, k, v, weight)
    work = batch * heads * flops(n, d, causal) / 1e12
    forward = {}
    backward = {}
    for name, way in ways.items():
        forward[name] = work / clock(lambda w=way: w(q, k, v))
        out = way(q, k, v)
        back = clock(
            lambda o=out: torch.autograd.grad(o, (q, k, v), weight, retain_graph=True)
        )
        backward[name] = BACKWARD_WORK * work / back
    return [
        [str(d), f"{n:,}", sight, "forward", *_speeds_and_ratios(forward)],
        [str(d), f"{n:,}", sight, "backward", *_speeds_and_ratios(backward)],
    ]


def random_inputs(batch: int, heads: int, n: int, d: int) -> list[Tensor]:
    """Return q, k and v, with gradients, and a weight for the output, on the GPU."""
    generator = torch.Generator("cuda").manual_seed(0)
    inputs = []
    for needs_gradient in (True, True, True, False):
        x = torch.randn(
            (batch, heads, n, d),
            generator=generator,
            device="cuda",
            dtype=torch.bfloat16,
        )
        inputs.append(x.requires_grad_(needs_gradient))
    return inputs


def torch_attention(backend: SDPBackend, causal: bool) -> Way:
    """Return torch's attention on the backend named; it raises where that cannot be."""

    def way(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

    return way


def check(
    ways: dict[str, Way], q: Tensor, k: Tensor, v: Tensor, weight: Tensor
) -> None:
    """Raise unless our out, dq, dk and dv are FLASH's, as far as bfloat16 tells."""
    results = []
    for name in ("ours", "FLASH"):
        out = ways[name](q, k, v)
        results.append((out, *torch.autograd.grad(out, (q, k, v), weight)))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=3e-2, rtol=3e-2)


def clock(function: Callable[[], Any]) -> float:
    """Return the median seconds of do_bench, which clears the GPU's cache between."""
    from triton.testing import do_bench

    return 1e-3 * do_bench(function, warmup=100, rep=300, return_mode="median")


def _speeds_and_ratios(speeds: dict[str, float]) -> list[str]:
    ratios = [speeds["ours"] / speeds[peer] for peer in ("FLASH", "CUDNN")]
    return [
        *(f"{speed:.0f}" for speed in speeds.values()),
        *(f"{ratio:.2f}" for ratio in ratios),
    ]


if __name__ == "__main__":
    main()
