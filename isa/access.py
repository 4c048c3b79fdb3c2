"""Between bits in a memory and arrays of elements: how they lie, whether they are there, and as the network has them.

Addresses and strides are in bits.  An axis of stride 0 has size 1 in the arrays, since it has only one element.
ValueError tells of an access outside of the memory or off its grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..numerics.formats import X128, Format, pack, unpack

Array = NDArray[Any]
Shape = tuple[int, ...]
Bytes = NDArray[np.uint8]


class Layout(NamedTuple):
    """How elements lie in a memory, but for the address of the first one.

    *shape* is that of their array, *low* and *high* the bits that they reach, *steps* the strides of the array in
    bytes (of packed elements: in elements, which they leave only after they have been unpacked).  *problem* says why
    there is no such array.
    """

    dtype: np.dtype[Any]
    packed: bool
    shape: Shape
    strides: Shape
    low: int
    high: int
    steps: Shape
    problem: str


@lru_cache(maxsize=1 << 14)
def layout_of(fmt: Format, extents: Shape, strides: Shape) -> Layout:
    """The layout of storage elements; an axis of stride 0 has size 1."""
    shape = operand_shape(extents, strides)
    if not fmt.packed:
        return raw_layout(fmt.dtype, fmt.bits, shape, strides)
    low, high = reach(fmt.bits, shape, strides)
    pairs = list(zip(shape, strides, strict=True))
    steps = tuple(stride // fmt.bits if extent > 1 else 0 for extent, stride in pairs)
    problem = ""
    if any(extent > 1 and stride % fmt.bits for extent, stride in pairs):
        problem = f"a packed view of {fmt.name} leaves the grid of its elements"
    return Layout(fmt.dtype, True, shape, strides, low, high, steps, problem)


@lru_cache(maxsize=1 << 14)
def raw_layout(dtype: np.dtype[Any], bits: int, extents: Shape, strides: Shape) -> Layout:
    """The layout of elements of *bits* = whole bytes."""
    low, high = reach(bits, extents, strides)
    problem = ""
    for extent, stride in zip(extents, strides, strict=True):
        if extent > 1 and stride & 7 and not problem:
            problem = f"a stride of {stride} bits leaves the grid of bytes"
    steps = tuple(stride // 8 if extent > 1 else 0 for extent, stride in zip(extents, strides, strict=True))
    pair = _pair(bits)
    return Layout(dtype, False, extents + pair, strides, low, high, steps + (8,) * len(pair), problem)


def reach(bits: int, extents: Shape, strides: Shape) -> tuple[int, int]:
    """(lowest bit, bit behind the highest) of elements of *bits*, counted from element 0."""
    low = sum(min((extent - 1) * stride, 0) for extent, stride in zip(extents, strides, strict=True))
    high = sum(max((extent - 1) * stride, 0) for extent, stride in zip(extents, strides, strict=True))
    return low, high + bits


def strided(memories: Sequence[Bytes], space: int, start: int, layout: Layout, verb: str) -> Array:
    """The elements themselves, writable, of whole bytes each; *verb* (reads, writes) is for the fault."""
    if 0 in layout.shape:
        return np.zeros(layout.shape, layout.dtype)
    memory = memory_of(memories, space, start, layout, verb)
    if layout.problem:
        raise ValueError(layout.problem)
    if start & 7:
        raise ValueError(f"{verb} whole bytes at bit {start} of memory {space}, which is inside of one")
    return np.ndarray(layout.shape, layout.dtype, memory.data, start >> 3, layout.steps)


@lru_cache(maxsize=1 << 14)
def operand_shape(extents: Shape, strides: Shape) -> Shape:
    """Shape of the array of an operand: its extents, 1 where the stride is 0."""
    if 0 not in strides:
        return extents
    return tuple(1 if stride == 0 else extent for extent, stride in zip(extents, strides, strict=True))


@lru_cache(maxsize=1024)
def _offsets(extents: Shape, strides: Shape) -> NDArray[np.int64]:
    """Sum of k * stride of every element."""
    result = np.zeros((1,) * len(extents), np.int64)
    for axis, (extent, stride) in enumerate(zip(extents, strides, strict=True)):
        shape = [1] * len(extents)
        shape[axis] = extent
        result = result + (np.arange(extent, dtype=np.int64) * stride).reshape(shape)
    return result


def identity(start: int, extents: Shape, strides: Shape) -> NDArray[np.int64]:
    """The addresses of the elements, which in the identity space are their values."""
    return _offsets(operand_shape(extents, strides), strides) + start


def to_rows(storage: Array, fmt: Format, extents: Shape) -> Bytes:
    """A tile as the network carries it: elements in order, each row of the last axis filled up to whole bytes."""
    full = np.broadcast_to(storage, extents + _pair(fmt.bits))
    return pack(full if extents else full.reshape(1, *_pair(fmt.bits)), fmt).reshape(-1)


def from_rows(tile: Bytes, fmt: Format, extents: Shape) -> Array:
    """`to_rows` undone; ValueError for a tile of another size."""
    last = extents[-1] if extents else 1
    rows = prod(extents[:-1])
    width = -(-last * fmt.bits // 8)
    if tile.size != rows * width:
        raise ValueError(f"a tile of {tile.size} bytes came for a view of {rows * width}")
    return unpack(tile.reshape(rows, width), fmt, last).reshape(extents + _pair(fmt.bits))


def _pair(bits: int) -> Shape:
    """The last axis of storage: the two words of x128."""
    return (2,) if bits == X128.bits else ()


def memory_of(memories: Sequence[Bytes], space: int, start: int, layout: Layout, verb: str) -> Bytes:
    """The memory of a space, which must have all of the layout; ValueError otherwise."""
    if space >= len(memories):
        raise ValueError(f"there is no memory {space}")
    memory = memories[space]
    low, high, size = start + layout.low, start + layout.high, memory.size * 8
    if low < 0 or high > size:
        raise ValueError(f"{verb} bits {low}..{high - 1} of memory {space}, which has {size}")
    return memory
