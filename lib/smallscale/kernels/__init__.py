"""How does attention run fast without its matrix? FlashAttention, row to GPU."""

import sys

from smallscale.core.faces import Face
from smallscale.kernels.attention import attention
from smallscale.kernels.counts import (
    Traffic,
    elements_moved,
    fast_memory,
    largest_block,
)

__all__ = ["Traffic", "attention", "elements_moved", "fast_memory", "largest_block"]

# `attention` is a function here, and the module that it stands in has this name too.
sys.modules[__name__].__class__ = Face
