"""How does attention run fast without its matrix? FlashAttention, from one row of softmax to a GPU."""

from smallscale.kernels.attention import attention
from smallscale.kernels.counts import (
    Traffic,
    elements_moved,
    fast_memory,
    largest_block,
)

__all__ = ["Traffic", "attention", "elements_moved", "fast_memory", "largest_block"]
