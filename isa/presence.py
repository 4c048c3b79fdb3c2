"""What there is to know of tiles without data: how much of a tensor is not zero, and which lies where in a core."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from functools import lru_cache
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

Shape: TypeAlias = tuple[int, ...]


class Content(Protocol):
    """How much of a tensor is not zero, or expected not to be."""

    @property
    def mean(self) -> float:
        """The fraction of elements that are not zero."""
        ...

    def word(self, elements: int) -> float:
        """The fraction of groups of so many neighbours in memory that hold anything."""
        ...

    def block(self, granule: int) -> tuple[float, float]:
        """(bytes, bursts of *granule* bytes) of a mean block of a tensor whose codec stores blocks."""
        ...


class Box(NamedTuple):
    """A tile in a scratchpad: its *extents* and *strides*, and along each axis the *sizes* positions from *lows* on
    that are no padding."""

    extents: Shape
    strides: Shape
    lows: Shape
    sizes: Shape

    def inside(self, offset: int, extents: Shape, strides: Shape) -> float:
        """The fraction of what loops of *extents* read from bit *offset* on that is no padding."""
        return 1.0 if self.sizes == self.extents else _inside(self, offset, extents, strides)


class Seen(NamedTuple):
    """A tile of a tensor."""

    content: Content
    box: Box


class Operand(NamedTuple):
    """What an instruction reads of a tensor, of which the part *inside* is no padding."""

    content: Content
    inside: float

    @property
    def mean(self) -> float:
        """The fraction of elements that are not zero."""
        return self.content.mean * self.inside

    def word(self, elements: int, neighbours: bool) -> float:
        """The fraction of groups of so many elements that hold anything, be they neighbours in memory or anywhere."""
        filled = self.content.word(elements) if neighbours else 1.0 - (1.0 - self.content.mean) ** elements
        return filled * self.inside


class Marks:
    """Which tensors lie where in the scratchpads of a core.  Where nobody has marked anything, nothing is known."""

    def __init__(self) -> None:
        self._starts: dict[int, list[int]] = {}
        self._found: dict[tuple[int, int], tuple[int, Seen]] = {}

    def put(self, space: int, low: int, high: int, seen: Seen | None) -> None:
        """Bits *low* to *high* - 1 hold that from now on; None forgets what they held."""
        place = space, low
        if seen is not None and self._found.get(place) == (high, seen):
            return
        starts = self._starts.setdefault(space, [])
        first = bisect_left(starts, low)
        if first and self._found[space, starts[first - 1]][0] > low:
            before = space, starts[first - 1]
            self._found[before] = low, self._found[before][1]
        last = bisect_left(starts, high)
        for start in starts[first:last]:
            del self._found[space, start]
        del starts[first:last]
        if seen is not None:
            insort(starts, low)
            self._found[place] = high, seen

    def at(self, space: int, bit: int) -> tuple[int, Seen] | None:
        """(first bit, tile) of what lies at *bit*; None where nothing is known."""
        starts = self._starts.get(space, [])
        place = bisect_right(starts, bit) - 1
        if place < 0:
            return None
        high, seen = self._found[space, starts[place]]
        return (starts[place], seen) if bit < high else None


@lru_cache(maxsize=1 << 12)
def _inside(box: Box, offset: int, extents: Shape, strides: Shape) -> float:
    """Loops that walk along the same axis of the box are looked at together: a tap and an output pixel, say."""
    share = 1.0
    loops = [(stride, extent) for stride, extent in zip(strides, extents, strict=True) if stride and extent > 1]
    axes = sorted(zip(box.strides, box.lows, box.sizes, strict=True), reverse=True)
    for step, low, size in axes:
        if not step:
            continue
        first, offset = divmod(offset, step)
        places = np.array([first - low])
        for stride, extent in loops:
            if abs(stride) >= step:
                places = (places[:, None] + stride // step * np.arange(extent)).ravel()
        loops = [(stride, extent) for stride, extent in loops if abs(stride) < step]
        share *= float(np.mean((places >= 0) & (places < size)))
    return share
