"""What has a hash met so far, and in which memory do the numbers of it lie?"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from math import prod
from typing import Any, Optional

import numpy as np
import torch


@dataclass(slots=True)
class Span:
    """The memory from `low` to `high` that a tensor or an array has numbers in."""

    low: int
    high: int
    address: int  # of the first number
    strides: tuple[int, ...]  # in bytes
    overlaps_itself: bool = False
    number: int = 0  # of the thing that was met in it first


class Met:
    """The things that a hash has met, each with a number.

    above: what was met before a part that is hashed by itself, such as a set's item.
    """

    def __init__(self, above: Optional["Met"] = None) -> None:
        self.above = above
        self.first: int = above.first + len(above.numbers) if above else 0
        # The thing itself keeps its id from being given to another.
        self.numbers: dict[int, tuple[int, Any]] = {}
        # The hashes of tuples and frozen sets in which nothing is that can change.
        self.digests: dict[int, tuple[str, Any]] = above.digests if above else {}
        self.events = 0  # how often a thing that can change was met
        self._spans: dict[torch.device, list[Span]] = {}

    def number(self, value: Any) -> int | None:
        """Return the number of a thing that was met before, or None."""
        met: Met | None = self
        while met is not None:
            found = met.numbers.get(id(value))
            if found:
                self.events += 1
                return found[0]
            met = met.above
        return None

    def meet(self, value: Any) -> list[Any]:
        """Number a thing; return how it lies in memory that was met before."""
        number = self.first + len(self.numbers)
        self.numbers[id(value)] = (number, value)
        self.events += 1
        if not isinstance(value, torch.Tensor | np.ndarray):
            return []
        span = span_of(value, number)
        if span is None:
            return []
        device = (
            value.device if isinstance(value, torch.Tensor) else torch.device("cpu")
        )
        return self._shared(span, self._spans.setdefault(device, []))

    def adopt(self, part: "Met") -> list[Any]:
        """Number the things that were met in a part; return their numbers here."""
        self.events += part.events
        told = []
        for _, thing in part.numbers.values():
            number = self.number(thing)
            shared = [] if number is not None else self.meet(thing)
            told.append((self.number(thing), shared))
        return told

    def _shared(self, span: Span, spans: list[Span]) -> list[Any]:
        """Return how a span lies to those that it overlaps, and join it with them.

        `spans` do not overlap each other, and are sorted.
        """
        start = bisect_right(spans, span.low, key=lambda other: other.high)
        end = bisect_left(spans, span.high, key=lambda other: other.low)
        others = spans[start:end]
        joined = span
        if others:
            joined = Span(
                min(span.low, others[0].low),
                max(span.high, others[-1].high),
                others[0].address,
                others[0].strides,
                number=others[0].number,
            )
        spans[start:end] = [joined]
        if not others and not span.overlaps_itself:
            return []
        places = [(o.number, span.address - o.address, o.strides) for o in others]
        return ["shares memory", span.strides, places]


def span_of(value: Any, number: int) -> Span | None:
    """Return the memory of a tensor or an array; None if it has none to share."""
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided or value.is_nested or not value.numel():
            return None
        address = value.data_ptr()
        size = value.element_size()
        strides = tuple(stride * size for stride in value.stride())
    else:
        # What a masked array holds is met by itself.
        if isinstance(value, np.ma.MaskedArray) or not value.size:
            return None
        address = value.ctypes.data
        size = value.itemsize
        strides = value.strides
    low = address
    high = address + size
    for length, stride in zip(value.shape, strides, strict=True):
        if stride < 0:
            low += (length - 1) * stride
        else:
            high += (length - 1) * stride
    overlaps_itself = prod(value.shape) * size > high - low
    return Span(low, high, address, strides, overlaps_itself, number)
