"""The least that tilings move: bounds of DRAM bytes for whole grids, tight where rows begin at granules.

A tile lies in DRAM as contiguous runs: along the innermost axes that tiles cover wholly, and a part of the next one.
Every run takes at least as many granules as its bytes fill; where what lies further out moves it by whole granules, it
takes exactly those that its place on that one axis says.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple, cast

import numpy as np

from ..cost.boxes import Walk, along, met_along
from ..ir.schedule import Axis
from .grid import Array, Grid
from .operands import Operand


class Once(NamedTuple):
    """What all tiles of an operand move, each once, for every tiling of the loops that it follows."""

    operand: Operand
    dram: Any


def once_of(grid: Grid, operand: Operand) -> Once:
    """The bytes in bursts of *operand*, or fewer."""
    granule = grid.space.request.target.dram.granule_bytes
    strides = operand.dram_strides()
    axes = [_Along(grid, operand, place, stride, granule) for place, stride in enumerate(strides)]
    steps = [axis.step * stride for axis, stride in zip(operand.axes, strides, strict=True)]
    bits = operand.format.bits
    dram: Any = np.int64(0)
    inside: Any = np.bool_(True)  # whether all axes further in are whole, so that they are one run
    row = 0  # bytes of that run
    for place in range(len(axes) - 1, -1, -1):
        outer: Any = np.int64(1)
        for axis in axes[:place]:
            outer = outer * axis.lengths
        if row == 0 and steps[place] == bits:
            here, row = axes[place].bursts(0, strides[:place]), -(-operand.axes[place].bound * bits // 8)
        elif row == 0:  # elements one by one
            return Once(operand, outer * axes[place].lengths * granule * -(-(bits // 8) // granule))
        else:
            contiguous = steps[place] == row * 8
            single = axes[place].bursts(row, strides[:place])
            apart = axes[place].lengths * granule * -(-row // granule)
            here, row = single if contiguous else apart, row * operand.axes[place].bound
            if not contiguous:
                return Once(operand, _either(inside, outer * here, dram))
        dram = _either(inside, outer * here, dram)
        inside = inside & axes[place].whole
    return Once(operand, dram)


def _either(condition: Any, yes: Any, no: Any) -> Any:
    return cast(Any, np.where(condition, yes, no))


class _Along:
    """What tiles meet along one axis of an operand, as tables over the grid: a place for every size of its loops."""

    def __init__(self, grid: Grid, operand: Operand, place: int, stride: int, granule: int) -> None:
        axis, space = operand.axes[place], grid.space
        walking, whole = frozenset(name for name, _ in axis.terms), dict(operand.whole)
        loops = tuple(
            _Sizes(
                name,
                (whole[name],) * len(space.sizes[name]) if name in whole else space.sizes[name],
                space.shares(operand)
                if name == space.split.loop and name not in whole
                else ((0, space.request.extents[name]),),
            )
            for name in (*sorted(walking.difference(grid.names)), *grid.names)
            if name in walking
        )
        self.shape = tuple(len(space.sizes[name]) if name in walking else 1 for name in grid.names)
        self.table = _table(axis, stride, granule, loops)
        self.bits, self.granule = operand.format.bits, granule
        self.lengths = self.table.lengths.reshape(self.shape)
        self.whole = self.table.whole.reshape(self.shape)

    def bursts(self, row: int, outer: Sequence[int]) -> Array:
        """Bytes in bursts of runs along the axis, whose elements are *row* bytes (0: as many bits as they have)."""
        placed = not any(stride % (self.granule * 8) for stride in outer)
        return self.table.bursts(row, 0 if row else self.bits, placed).reshape(self.shape)


class _Sizes(NamedTuple):
    """A loop with the sizes that its tiles may have, and the shares (first value, extent) that cores have of it."""

    name: str
    sizes: tuple[int, ...]
    shares: tuple[tuple[int, int], ...]


class _Table:
    """What tiles meet along an axis, a row for every combination of the sizes of *loops*."""

    def __init__(self, axis: Axis, stride: int, granule: int, loops: tuple[_Sizes, ...]) -> None:
        self._granule = granule
        walks = [[(loop.name, Walk(size, loop.shares)) for size in loop.sizes] for loop in loops]
        self._met = [_met(axis, stride, granule * 8, combination) for combination in product(*walks)]
        self.lengths = np.array([sum(length * count for _, length, count in met) for met in self._met], np.int64)
        alone = [len(met) == 1 and met[0][2] == 1 and met[0][1] == axis.bound for met in self._met]
        self.whole = np.array(alone, np.bool_) & (axis.step == 1)
        self._bursts: dict[tuple[int, int, bool], Array] = {}

    def bursts(self, row: int, bits: int, placed: bool) -> Array:
        """Bytes in bursts of runs whose elements are *row* bytes, or else so many *bits*.

        Where a run begins in its first granule is known only if what lies further out is *placed* at granules.
        """
        key = row, bits, placed
        if key not in self._bursts:
            granule = self._granule
            values: list[int] = []
            for met in self._met:
                total = 0
                for residue, length, count in met:
                    size = length * row if row else -(-length * bits // 8)
                    if size:
                        begin = residue // 8 if placed else 0
                        total += count * ((begin + size - 1) // granule + 1)
                values.append(total * granule)
            self._bursts[key] = np.array(values, np.int64)
        return self._bursts[key]


_table = lru_cache(maxsize=1 << 12)(_Table)
"""Axes of many statements are walked alike, and of one statement on fewer cores all but those that these share."""


def _met(
    axis: Axis, stride: int, modulus: int, walks: tuple[tuple[str, Walk], ...]
) -> tuple[tuple[int, int, int], ...]:
    """(bits past a granule, length, how often) of the tiles that are walked so."""
    if len(walks) > 1:
        boxes = met_along((axis,), (stride,), walks, modulus).boxes
        return tuple((residue, lengths[0], count) for residue, lengths, count in boxes)
    return tuple((residue, clipped, count) for residue, clipped, _, count in along(axis, stride, walks, modulus))
