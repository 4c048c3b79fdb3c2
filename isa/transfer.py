"""Boxes between DRAM and scratchpads: clipping at the bounds, rows of packed elements, bytes and bursts.

A row of packed elements moves as whole bytes.  In DRAM it begins at a byte and ends at one or at the end of its
tensor's row; bits behind its last element arrive as zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..numerics.formats import U8, Format
from .access import Layout, raw_layout

Array = NDArray[Any]
Shape = tuple[int, ...]

_RAW: dict[int, np.dtype[Any]] = {
    8: np.dtype("<u1"),
    16: np.dtype("<u2"),
    32: np.dtype("<u4"),
    64: np.dtype("<u8"),
    128: np.dtype("<u8"),
}


@dataclass(frozen=True)
class Grid:
    """A box as equal pieces of whole bytes: *bits* each, the packed axis (if any) counted in bytes."""

    bits: int
    axis: int | None
    extents: Shape
    tail: int


class Plan(NamedTuple):
    """A transfer but for its addresses.

    The box of the scratchpad is *whole*; of it, *part*, from *lows* on, exists in DRAM and begins *skipped* bits
    further on.  The box in DRAM has *sizes*, the layout *dram*, and begins *moved* bits behind the start of the view.
    *rows* is what `bursts` wants to know.
    """

    grid: Grid
    lows: Shape
    sizes: Shape
    whole: Layout
    part: Layout
    skipped: int
    dram: Layout
    moved: int
    useful: int
    rows: tuple[Shape, Shape, int]
    scratchpad: int


@lru_cache(maxsize=1 << 14)
def plan_of(fmt: Format, extents: Shape, strides: Shape, lows: Shape, sizes: Shape, pad_strides: Shape) -> Plan:
    """The plan of a box of *extents*, of which *sizes* elements from *lows* on exist."""
    grid = _grid(fmt, extents, strides)
    whole_strides = _grid_strides(fmt, grid, extents, pad_strides)
    whole = raw_layout(_RAW[grid.bits], grid.bits, grid.extents, whole_strides)
    part = _part(fmt, grid.axis, sizes)
    skipped = 0
    if 0 not in sizes:
        skipped = sum(k * stride for k, stride in zip(_firsts(fmt, grid.axis, lows), whole_strides, strict=True))
    row, outer, outer_strides = _rows(strides, grid.bits, grid.axis, part.extents)
    return Plan(
        grid=part,
        lows=lows,
        sizes=sizes,
        whole=whole,
        part=raw_layout(_RAW[grid.bits], grid.bits, part.extents, whole_strides),
        skipped=skipped,
        dram=raw_layout(_RAW[grid.bits], grid.bits, part.extents, _grid_strides(fmt, part, sizes, strides)),
        moved=sum(low * stride for low, stride in zip(lows, strides, strict=True)),
        useful=row * prod(outer),
        rows=(outer, outer_strides, row),
        scratchpad=prod(grid.extents) * (grid.bits // 8),
    )


@lru_cache(maxsize=1 << 14)
def clipped(extents: Shape, begins: Shape, bounds: Shape) -> tuple[Shape, Shape]:
    """(first existing element, number of existing elements) along each axis."""
    lows: list[int] = []
    sizes: list[int] = []
    for extent, begin, bound in zip(extents, begins, bounds, strict=True):
        low = max(-begin, 0) if bound else 0
        high = min(extent, bound - begin) if bound else extent
        lows.append(low)
        sizes.append(max(high - low, 0))
    return tuple(lows), tuple(sizes)


def _grid(fmt: Format, extents: Shape, strides: Shape) -> Grid:
    """The box in whole bytes; the packed axis is the last one whose neighbours touch."""
    touching = [axis for axis, stride in enumerate(strides) if stride == fmt.bits] if fmt.packed else []
    return _part(fmt, touching[-1] if touching else None, extents)


def _part(fmt: Format, axis: int | None, extents: Shape) -> Grid:
    """The same for a box whose packed axis is known (None: rows of one element)."""
    if not fmt.packed:
        return Grid(fmt.bits, None, extents, 0)
    row = 1 if axis is None else extents[axis]
    whole = tuple(-(-n * fmt.bits // 8) if k == axis else n for k, n in enumerate(extents))
    return Grid(U8.bits, axis, whole, row * fmt.bits % 8)


def _grid_strides(fmt: Format, grid: Grid, extents: Shape, strides: Shape) -> Shape:
    """Strides of the pieces; ValueError where the packed axis is not packed in this memory."""
    if grid.axis is None:
        return strides
    if extents[grid.axis] > 1 and strides[grid.axis] != fmt.bits:
        raise ValueError(f"axis {grid.axis} is packed on one side only (stride {strides[grid.axis]} bits)")
    return tuple(U8.bits if k == grid.axis else stride for k, stride in enumerate(strides))


def _firsts(fmt: Format, axis: int | None, lows: Shape) -> Shape:
    """The first existing piece along each axis."""
    if axis is None:
        return lows
    first, rest = divmod(lows[axis] * fmt.bits, 8)
    if rest:
        raise ValueError(f"a packed row is clipped at element {lows[axis]}, inside of a byte")
    return (*lows[:axis], first, *lows[axis + 1 :])


def check_row(plan: Plan, begins: Shape, bounds: Shape) -> None:
    """ValueError where a packed row of the DRAM box ends inside of a byte but not at the end of its row."""
    axis = plan.grid.axis
    if axis is None or not bounds[axis]:
        return
    end = begins[axis] + plan.lows[axis] + plan.sizes[axis]
    if end != bounds[axis]:
        raise ValueError(f"a packed row ends inside of a byte, at position {end} of {bounds[axis]}")


def without_tail(pieces: NDArray[Any], grid: Grid) -> NDArray[Any]:
    """Packed rows with zeros behind their last element."""
    if not grid.tail:
        return pieces
    result = pieces.copy()
    last = tuple(-1 if axis == grid.axis else slice(None) for axis in range(result.ndim))
    result[last] &= np.uint8((1 << grid.tail) - 1)
    return result


def _rows(strides: Shape, bits: int, axis: int | None, extents: Shape) -> tuple[int, Shape, Shape]:
    """(bytes of a row, extents and strides in bytes of the other axes)."""
    whole = tuple(stride // 8 for stride in strides)
    if axis is None:
        return bits // 8, extents, whole
    return extents[axis], extents[:axis] + extents[axis + 1 :], whole[:axis] + whole[axis + 1 :]
