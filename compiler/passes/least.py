"""The least that tilings move: bounds of DRAM bytes for whole grids, tight where rows begin at granules.

A tile lies in DRAM as contiguous runs: along the innermost axes that tiles cover wholly, and a part of the next one.
Every run takes at least as many granules as its bytes fill; where what lies further out moves it by whole granules, it
takes exactly those that its place on that one axis says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from ..cost.boxes import Walk, along, met_along
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
    """What tiles meet along one axis of an operand, for every size of the loops that walk it."""

    def __init__(self, grid: Grid, operand: Operand, place: int, stride: int, granule: int) -> None:
        self.grid, self.operand, self.axis, self.stride, self.granule = (
            grid,
            operand,
            operand.axes[place],
            stride,
            granule,
        )
        self.bits = operand.format.bits
        space = grid.space
        self.loops = [name for name, _ in self.axis.terms]
        self.free = [name for name in self.loops if len(space.sizes[name]) > 1]
        self.shape = tuple(len(space.sizes[name]) if name in self.free else 1 for name in grid.names)
        self.met = [self._met(index) for index in np.ndindex(*self.shape)]
        self.lengths = self._table([sum(length * count for _, length, count in met) for met in self.met])
        alone = [len(met) == 1 and met[0][2] == 1 and met[0][1] == self.axis.bound for met in self.met]
        self.whole = np.array(alone, np.bool_).reshape(self.shape) & (self.axis.step == 1)

    def _table(self, values: list[int]) -> Array:
        return np.array(values, np.int64).reshape(self.shape)

    def _met(self, index: tuple[int, ...]) -> list[tuple[int, int, int]]:
        """(bits past a granule, length, how often) of the tiles at one place of the grid."""
        space = self.grid.space
        tiles = {name: space.sizes[name][k] for name, k in zip(self.grid.names, index, strict=True)}
        tiles |= dict(self.operand.whole)
        if len(self.loops) > 1:
            return self._met_by_many(tiles)
        walks = tuple((name, self._walk(name, tiles[name])) for name in self.loops)
        return [
            (residue, clipped, count)
            for residue, clipped, _, count in along(self.axis, self.stride, walks, self.granule * 8)
        ]

    def _met_by_many(self, tiles: dict[str, int]) -> list[tuple[int, int, int]]:
        walks = tuple((name, self._walk(name, tiles[name])) for name in self.loops)
        met = met_along((self.axis,), (self.stride,), walks, self.granule * 8)
        return [(residue, lengths[0], count) for residue, lengths, count in met.boxes]

    def _walk(self, name: str, tile: int) -> Walk:
        space = self.grid.space
        return Walk(
            tile,
            space.shares(self.operand) if name == space.split.loop else ((0, space.request.extents[name]),),
        )

    def bursts(self, row: int, outer: Sequence[int]) -> Array:
        """Bytes in bursts of runs along the axis, whose elements are *row* bytes (0: as many bits as they have)."""
        granule = self.granule
        placed = not any(stride % (granule * 8) for stride in outer)
        values: list[int] = []
        for met in self.met:
            total = 0
            for residue, length, count in met:
                size = length * row if row else -(-length * self.bits // 8)
                if size:
                    begin = residue // 8 if placed else 0
                    total += count * ((begin + size - 1) // granule + 1)
            values.append(total * granule)
        return self._table(values)
