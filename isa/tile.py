"""A tile where it lies in a memory: what is needed to read and write it is made once, for all turns that come back.

Elements of whole bytes are read where they lie; packed ones are copied, an element a byte.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..numerics.formats import Format, pack, unpack
from .access import Bytes, Layout, Shape, memory_of, strided
from .kernels.nest import AnyOperand, Operand, PackedOperand

Array = NDArray[Any]


class Tile(ABC):
    """Storage elements of a view, with size 1 on axes of stride 0."""

    @abstractmethod
    def read(self) -> Array:
        """The elements, to be read only, until the next write."""

    @abstractmethod
    def operand(self) -> AnyOperand:
        """The elements with their format, for engines."""

    @abstractmethod
    def sums(self) -> Array:
        """The elements where they lie, to be added to; ValueError for packed ones, which lie at no place alone."""

    @abstractmethod
    def write(self, values: Array) -> None:
        """Replace the elements; *values* may lack axes or have size 1 there."""


class Whole(Tile):
    """Elements of whole bytes."""

    def __init__(self, array: Array, fmt: Format) -> None:
        self._array = array
        self._operand = Operand(array, fmt)

    def read(self) -> Array:
        return self._array

    def operand(self) -> Operand:
        return self._operand

    def sums(self) -> Array:
        return self._array

    def write(self, values: Array) -> None:
        self._array[...] = values


class Constant(Whole):
    """Elements that are no memory's."""


class Packed(Tile):
    """Packed elements: they are unpacked with all others of the bytes that they reach, and packed with these again."""

    def __init__(self, memory: Bytes, fmt: Format, start: int, layout: Layout) -> None:
        first, last = start + layout.low >> 3, -(-(start + layout.high) // 8)
        self._format, self._layout = fmt, layout
        self._bytes = memory[first:last]
        self._count = (last - first) * 8 // fmt.bits
        self._offset, rest = divmod(start - first * 8, fmt.bits)
        if rest or layout.problem:
            raise ValueError(f"a packed view of {fmt.name} leaves the grid of its elements")
        self._operand = PackedOperand(self._bytes, self._offset, layout.shape, layout.steps, fmt)

    def read(self) -> Array:
        return self._operand.storage

    def operand(self) -> PackedOperand:
        return self._operand

    def sums(self) -> Array:
        raise ValueError(f"{self._format.name} holds no sums")

    def write(self, values: Array) -> None:
        region = np.ascontiguousarray(unpack(self._bytes, self._format, self._count))
        self._seen(region)[...] = values
        self._bytes[...] = pack(region, self._format)

    def _seen(self, region: Array) -> Array:
        """The elements of the tile among all."""
        region = np.ascontiguousarray(region)
        return np.ndarray(self._layout.shape, np.uint8, region.data, self._offset, self._layout.steps)


class Rows(Packed):
    """Packed elements in rows that begin at a byte and share none with each other: written without a look at others."""

    def __init__(self, memory: Bytes, fmt: Format, start: int, layout: Layout) -> None:
        super().__init__(memory, fmt, start, layout)
        self._shape = shape = layout.shape
        tail = shape[-1] * fmt.bits % 8
        self._beyond = np.uint8(0xFF << tail & 0xFF) if tail else None
        width = -(-shape[-1] * fmt.bits // 8)
        outer = (stride // 8 if extent > 1 else 0 for extent, stride in zip(shape, layout.strides[:-1], strict=False))
        self._rows = np.ndarray((*shape[:-1], width), np.uint8, memory.data, start >> 3, (*outer, 1))

    def write(self, values: Array) -> None:
        rows = pack(values if values.shape == self._shape else np.broadcast_to(values, self._shape), self._format)
        if self._beyond is not None:  # neighbours in the last byte keep their bits
            rows[..., -1] |= self._rows[..., -1] & self._beyond
        self._rows[...] = rows


def tile_at(memories: Sequence[Bytes], space: int, fmt: Format, start: int, layout: Layout, verb: str) -> Tile:
    """The tile at bit *start* of a space; ValueError for one outside of it or off its grid.

    *verb* (reads, writes) is for the fault.
    """
    if 0 in layout.shape:
        return Whole(np.zeros(layout.shape, layout.dtype), fmt)
    if not layout.packed:
        return Whole(strided(memories, space, start, layout, verb), fmt)
    memory = memory_of(memories, space, start, layout, verb)
    strides: Shape = layout.strides
    if strides and strides[-1] == fmt.bits and not (start | _union(strides[:-1])) & 7:
        return Rows(memory, fmt, start, layout)
    return Packed(memory, fmt, start, layout)


def _union(strides: Shape) -> int:
    """All bits of all strides."""
    union = 0
    for stride in strides:
        union |= stride
    return union
