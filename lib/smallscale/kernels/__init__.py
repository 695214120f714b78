"""How does attention run fast without its matrix? FlashAttention, row to GPU."""

from smallscale.kernels.attention import attention
from smallscale.kernels.counts import (
    Traffic,
    elements_moved,
    fast_memory,
    largest_block,
)

__all__ = ["Traffic", "attention", "elements_moved", "fast_memory", "largest_block"]
