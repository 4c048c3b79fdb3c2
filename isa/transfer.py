"""Boxes between DRAM and scratchpads: clipping at the bounds, rows of packed elements, bytes and bursts.

A row of packed elements moves as whole bytes.  In DRAM it begins at a byte and ends at one or at the end of its
tensor's row; bits behind its last element arrive as zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..numerics.formats import U8, Format
from .access import strided
from .kernels.bursts import bursts
from .registers import DRAM, Window

Bytes = NDArray[np.uint8]
Shape = tuple[int, ...]
Move: TypeAlias = "Callable[[Sequence[Bytes], Window, Shape, Shape, int, int, Shape, int], Moved]"

_RAW: dict[int, np.dtype[Any]] = {
    8: np.dtype("<u1"),
    16: np.dtype("<u2"),
    32: np.dtype("<u4"),
    64: np.dtype("<u8"),
    128: np.dtype("<u8"),
}


@dataclass(frozen=True)
class Moved:
    """What a transfer did: the DRAM window that it touched (None where all was clipped away), its bytes and bursts,
    and the bytes that passed the scratchpad port."""

    window: Window | None
    useful: int
    bursts: int
    scratchpad: int


@dataclass(frozen=True)
class _Grid:
    """A box as equal pieces of whole bytes: *bits* each, the packed axis (if any) counted in bytes."""

    bits: int
    axis: int | None
    extents: Shape
    tail: int


def load(
    memories: Sequence[Bytes],
    box: Window,
    begins: Shape,
    bounds: Shape,
    space: int,
    start: int,
    strides: Shape,
    granule: int,
) -> Moved:
    """Copy the DRAM *box* to scratchpad *space*; elements outside of the bounds become zeros there."""
    fmt = box.format
    grid = _grid(fmt, box.extents, box.strides)
    target_strides = _grid_strides(fmt, grid, box.extents, strides)
    target = strided(memories, space, _RAW[grid.bits], grid.bits, start, grid.extents, target_strides, "writes")
    scratchpad = prod(grid.extents) * (grid.bits // 8)
    lows, sizes = _clipped(box.extents, begins, bounds)
    if sizes != box.extents:
        target[...] = 0
    if 0 in sizes:
        return Moved(None, 0, 0, scratchpad)
    window, part = box, grid
    if sizes != box.extents:
        moved = sum(low * stride for low, stride in zip(lows, box.strides, strict=True))
        window = Window(DRAM, fmt, box.start + moved, sizes, box.strides)
        part = _part(fmt, grid.axis, sizes)
        target = target[_inner(fmt, grid.axis, lows, part.extents)]
    _check_row(window, part, tuple(b + low for b, low in zip(begins, lows, strict=True)), bounds)
    source_strides = _grid_strides(fmt, part, sizes, window.strides)
    source = strided(memories, DRAM, _RAW[part.bits], part.bits, window.start, part.extents, source_strides, "reads")
    target[...] = _without_tail(source, part)
    useful, touched = _cost(window, part, granule)
    return Moved(window, useful, touched, scratchpad)


def store(
    memories: Sequence[Bytes],
    box: Window,
    begins: Shape,
    bounds: Shape,
    space: int,
    start: int,
    strides: Shape,
    granule: int,
) -> Moved:
    """Copy scratchpad *space* to the DRAM *box*; ValueError where the box leaves its bounds."""
    fmt = box.format
    if 0 in box.extents:
        return Moved(None, 0, 0, 0)
    if _clipped(box.extents, begins, bounds)[1] != box.extents:
        raise ValueError(f"stores at positions {begins} {box.extents} elements, outside of the bounds {bounds}")
    grid = _grid(fmt, box.extents, box.strides)
    _check_row(box, grid, begins, bounds)
    source_strides = _grid_strides(fmt, grid, box.extents, strides)
    source = strided(memories, space, _RAW[grid.bits], grid.bits, start, grid.extents, source_strides, "reads")
    target_strides = _grid_strides(fmt, grid, box.extents, box.strides)
    target = strided(memories, DRAM, _RAW[grid.bits], grid.bits, box.start, grid.extents, target_strides, "writes")
    target[...] = _without_tail(source, grid)
    useful, touched = _cost(box, grid, granule)
    return Moved(box, useful, touched, prod(grid.extents) * (grid.bits // 8))


@lru_cache(maxsize=1 << 14)
def _clipped(extents: Shape, begins: Shape, bounds: Shape) -> tuple[Shape, Shape]:
    """(first existing element, number of existing elements) along each axis."""
    lows: list[int] = []
    sizes: list[int] = []
    for extent, begin, bound in zip(extents, begins, bounds, strict=True):
        low = max(-begin, 0) if bound else 0
        high = min(extent, bound - begin) if bound else extent
        lows.append(low)
        sizes.append(max(high - low, 0))
    return tuple(lows), tuple(sizes)


@lru_cache(maxsize=1 << 14)
def _grid(fmt: Format, extents: Shape, strides: Shape) -> _Grid:
    """The box in whole bytes; the packed axis is the last one whose neighbours touch."""
    if not fmt.packed:
        return _Grid(fmt.bits, None, extents, 0)
    touching = [axis for axis, stride in enumerate(strides) if stride == fmt.bits]
    return _part(fmt, touching[-1] if touching else None, extents)


@lru_cache(maxsize=1 << 14)
def _part(fmt: Format, axis: int | None, extents: Shape) -> _Grid:
    """The same for a box whose packed axis is known (None: rows of one element)."""
    if not fmt.packed:
        return _Grid(fmt.bits, None, extents, 0)
    row = 1 if axis is None else extents[axis]
    whole = tuple(-(-n * fmt.bits // 8) if k == axis else n for k, n in enumerate(extents))
    return _Grid(U8.bits, axis, whole, row * fmt.bits % 8)


@lru_cache(maxsize=1 << 14)
def _grid_strides(fmt: Format, grid: _Grid, extents: Shape, strides: Shape) -> Shape:
    """Strides of the pieces; ValueError where the packed axis is not packed in this memory."""
    if grid.axis is None:
        return strides
    if extents[grid.axis] > 1 and strides[grid.axis] != fmt.bits:
        raise ValueError(f"axis {grid.axis} is packed on one side only (stride {strides[grid.axis]} bits)")
    return tuple(U8.bits if k == grid.axis else stride for k, stride in enumerate(strides))


def _inner(fmt: Format, axis: int | None, lows: Shape, extents: Shape) -> tuple[slice, ...]:
    """Where the existing pieces lie among all of them."""
    firsts = list(lows)
    if axis is not None:
        firsts[axis], rest = divmod(lows[axis] * fmt.bits, 8)
        if rest:
            raise ValueError(f"a packed row is clipped at element {lows[axis]}, inside of a byte")
    return tuple(slice(first, first + extent) for first, extent in zip(firsts, extents, strict=True))


def _check_row(window: Window, grid: _Grid, begins: Shape, bounds: Shape) -> None:
    """ValueError where a packed row of the DRAM window ends inside of a byte but not at the end of its row."""
    if grid.axis is None or not grid.tail or not bounds[grid.axis]:
        return
    if begins[grid.axis] + window.extents[grid.axis] != bounds[grid.axis]:
        raise ValueError(
            f"a packed row ends inside of a byte, at position {begins[grid.axis] + window.extents[grid.axis]} "
            f"of {bounds[grid.axis]}"
        )


def _without_tail(pieces: NDArray[Any], grid: _Grid) -> NDArray[Any]:
    """Packed rows with zeros behind their last element."""
    if not grid.tail:
        return pieces
    result = pieces.copy()
    last = tuple(-1 if axis == grid.axis else slice(None) for axis in range(result.ndim))
    result[last] &= np.uint8((1 << grid.tail) - 1)
    return result


def _cost(window: Window, grid: _Grid, granule: int) -> tuple[int, int]:
    """(useful bytes, bursts) of the DRAM window."""
    row, extents, strides = _rows(window, grid.bits, grid.axis, grid.extents)
    return row * prod(extents), bursts(window.start >> 3, extents, strides, row, granule)


def _rows(window: Window, bits: int, axis: int | None, extents: Shape) -> tuple[int, Shape, Shape]:
    """(bytes of a row, extents and strides in bytes of the other axes)."""
    if axis is None:
        return bits // 8, extents, _whole(window.strides)
    outer, strides = extents[:axis] + extents[axis + 1 :], window.strides[:axis] + window.strides[axis + 1 :]
    return extents[axis], outer, _whole(strides)


@lru_cache(maxsize=1 << 12)
def _whole(strides: Shape) -> Shape:
    """Bits as bytes."""
    return tuple(stride // 8 for stride in strides)
