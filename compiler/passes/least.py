"""The least that tilings move: bounds of DRAM bytes for whole grids, tight where rows begin at granules.

A tile lies in DRAM as contiguous runs: along the innermost axes that tiles cover wholly, and a part of the next one.
Every run takes at least as many granules as its bytes fill; where it is known how what lies further out moves it about,
it takes exactly those that its places say.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple, cast

import numpy as np

from ...isa.grid import ENTRY_BYTES
from ..cost.boxes import Walk, along, met_along
from ..cost.coded import blocks_along
from ..ir.schedule import Axis
from ..ir.stored import Stored
from .grid import Array, Grid
from .operands import Operand


class Once(NamedTuple):
    """What all tiles of an operand move, each once, for every tiling of the loops that it follows."""

    operand: Operand
    dram: Any


def once_of(grid: Grid, operand: Operand) -> Once:
    """The bytes in bursts of *operand*, or fewer."""
    loops = _loops(grid, operand)
    granule = grid.space.request.target.dram.granule_bytes
    dram = _once(operand.axes, operand.dram_strides, operand.format.bits, granule, loops)
    return Once(operand, _over(grid, loops, dram))


def useful_of(grid: Grid, operand: Operand) -> Any:
    """The bytes of all elements that the tiles of *operand* meet, each once: no fewer pass the port of a scratchpad."""
    loops = _loops(grid, operand)
    granule, bits = grid.space.request.target.dram.granule_bytes, operand.format.bits
    axes = zip(operand.axes, operand.dram_strides, strict=True)
    elements = np.asarray(_lengths([_Along(axis, stride, bits, granule, loops) for axis, stride in axes]))
    return _over(grid, loops, elements) * bits // 8


def _over(grid: Grid, loops: tuple[_Sizes, ...], found: Array) -> Array:
    """What was *found*, an axis for each of *loops*, with an axis for each of the grid's."""
    sizes = dict(zip((loop.name for loop in loops), found.shape, strict=False))
    return found.reshape([sizes.get(name, 1) for name in grid.names]) if found.ndim else found


def _loops(grid: Grid, operand: Operand) -> tuple[_Sizes, ...]:
    """The loops that *operand* follows, those of one size first, then in the order of the grid."""
    space, whole = grid.space, dict(operand.whole)
    return tuple(
        _Sizes(
            name,
            (whole[name],) * len(space.sizes[name]) if name in whole else space.sizes[name],
            space.shares(operand)
            if name == space.split.loop and name not in whole
            else ((0, space.request.extents[name]),),
        )
        for name in (*sorted(operand.followed.difference(grid.names)), *grid.names)
        if name in operand.followed
    )


@lru_cache(maxsize=1 << 11)
def _once(
    operand: tuple[Axis, ...], strides: tuple[int, ...], bits: int, granule: int, loops: tuple[_Sizes, ...]
) -> Array:
    """The bytes in bursts of an operand with such axes, or fewer, for all sizes of *loops*, an axis each."""
    axes = [_Along(axis, stride, bits, granule, loops) for axis, stride in zip(operand, strides, strict=True)]
    steps = [axis.step * stride for axis, stride in zip(operand, strides, strict=True)]
    dram: Any = np.int64(0)
    inside: Any = np.bool_(True)  # whether all axes further in are whole, so that they are one run
    partly: Any = np.bool_(True)  # whether they are in some tiles, if not in all
    row = 0  # bytes of that run
    for place in range(len(axes) - 1, -1, -1):
        if row == 0 and steps[place] == bits:
            here, row = _runs(axes, place, 0), -(-axes[place].bound * bits // 8)
        elif row == 0:  # elements one by one
            return np.asarray(_lengths(axes[: place + 1]) * granule * -(-(bits // 8) // granule))
        elif steps[place] == row * 8:
            here, row = _runs(axes, place, row), row * axes[place].bound
        else:
            apart = _lengths(axes[: place + 1]) * granule * -(-row // granule)
            return np.asarray(_least(inside, partly, apart, dram))
        dram = _least(inside, partly, here, dram)
        inside = inside & axes[place].whole
        partly = partly & axes[place].partly
    return np.asarray(dram)


def _lengths(axes: Sequence[_Along]) -> Any:
    """Elements of all tiles together along *axes*."""
    found: Any = np.int64(1)
    for axis in axes:
        found = found * axis.lengths
    return found


def _runs(axes: Sequence[_Along], place: int, row: int) -> Any:
    """Bytes in bursts of runs along the axis at *place*, whose elements are *row* bytes (0: as many bits as they have).

    A run begins in its granule where the axes further out move it.  That is known of those that move it by whole
    granules, and of those whose every position is met once; if there are others, runs are taken to begin at granules.
    """
    moving = [axis for axis in axes[:place] if axis.stride % (axis.granule * 8)]
    placed = all(axis.once for axis in moving)
    outer = [axis for axis in axes[:place] if axis not in moving or not placed]
    starts = tuple(sorted((axis.stride // 8, axis.bound) for axis in moving)) if placed else None
    return _lengths(outer) * axes[place].bursts(row, starts)


def _least(inside: Any, partly: Any, one_run: Any, apart: Any) -> Any:
    """What runs move that go on through all axes further in, or do not: where some do, what is less of both."""
    less = cast(Any, np.where(partly, np.minimum(one_run, apart), apart))
    return cast(Any, np.where(inside, one_run, less))


def once_in_blocks(grid: Grid, operand: Operand, stored: Stored) -> Once:
    """The same of an operand in blocks: all that its tiles meet, and no more than their entries of the directory.

    Axes that share a loop are not independent: such an operand is taken to move nothing.
    """
    dram: Any = np.float64(stored.moved + ENTRY_BYTES)
    seen: set[str] = set()
    for axis, block in zip(operand.axes, stored.blocks, strict=True):
        loops = [name for name, _ in axis.terms]
        if seen & set(loops):
            return Once(operand, np.int64(0))
        seen |= set(loops)
        shape = tuple(len(grid.space.sizes[name]) if name in loops else 1 for name in grid.names)
        single = {name: sizes[0] for name, sizes in grid.space.sizes.items()}
        met: list[int] = []
        for index in np.ndindex(*shape):
            places = zip(grid.names, cast("tuple[int, ...]", index), strict=True)
            tiles = single | {name: grid.space.sizes[name][k] for name, k in places} | dict(operand.whole)
            walks = [(name, _walk(grid, operand, name, tiles[name])) for name in loops]
            met.append(int(blocks_along([axis], [block], walks).sum()))
        dram = dram * np.array(met, np.int64).reshape(shape)
    return Once(operand, np.floor(dram).astype(np.int64))


def _walk(grid: Grid, operand: Operand, name: str, tile: int) -> Walk:
    """How all cores together walk a loop in tiles of that size."""
    space = grid.space
    whole = ((0, space.request.extents[name]),)
    return Walk(tile, space.shares(operand) if name == space.split.loop and name not in dict(operand.whole) else whole)


class _Along:
    """What tiles meet along one axis of an operand, as tables: an axis for each of its *loops*."""

    def __init__(self, axis: Axis, stride: int, bits: int, granule: int, loops: tuple[_Sizes, ...]) -> None:
        walking = frozenset(name for name, _ in axis.terms)
        self.shape = tuple(len(loop.sizes) if loop.name in walking else 1 for loop in loops)
        self.table = _table(axis, stride, granule, tuple(loop for loop in loops if loop.name in walking))
        self.bits, self.granule, self.stride, self.bound = bits, granule, stride, axis.bound
        self.lengths = self.table.lengths.reshape(self.shape)
        single = axis.step == 1 and sum(abs(c) for _, c in axis.terms) <= 1
        self.once = single and bool((self.lengths == axis.bound).all())
        self.whole = self.table.whole.reshape(self.shape)
        self.partly = self.table.partly.reshape(self.shape)

    def bursts(self, row: int, starts: Starts | None) -> Array:
        """Bytes in bursts of runs along the axis, whose elements are *row* bytes (0: as many bits as they have)."""
        return self.table.bursts(row, 0 if row else self.bits, starts).reshape(self.shape)


Starts = tuple[tuple[int, int], ...]
"""Axes that move runs about, each with its stride in bytes and the number of its positions."""


@lru_cache(maxsize=1 << 10)
def _begins(starts: Starts, granule: int) -> tuple[int, ...]:
    """How many runs begin at each byte of a granule, if they are moved along all of *starts*."""
    found = np.zeros(granule, np.int64)
    found[0] = 1
    for stride, extent in starts:
        moved = np.bincount(np.arange(extent) * stride % granule, minlength=granule)
        found = sum((times * np.roll(found, byte) for byte, times in enumerate(moved.tolist()) if times), 0 * found)
    return tuple(found.tolist())


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
        some = [any(length == axis.bound for _, length, _ in met) for met in self._met]
        self.partly = np.array(some, np.bool_) & (axis.step == 1)
        self._bursts: dict[tuple[int, int, Starts | None], Array] = {}

    def bursts(self, row: int, bits: int, starts: Starts | None) -> Array:
        """Bytes in bursts of runs whose elements are *row* bytes, or else so many *bits*.

        Runs are moved along *starts*; None where nobody knows how, so that all are taken to begin at granules.
        """
        key = row, bits, starts
        if key not in self._bursts:
            granule = self._granule
            begins = [(byte, times) for byte, times in enumerate(_begins(starts or (), granule)) if times]
            values: list[int] = []
            for met in self._met:
                total = 0
                for residue, length, count in met:
                    size = length * row if row else -(-length * bits // 8)
                    first = residue // 8 if starts is not None else 0
                    for byte, times in begins if size else ():
                        total += count * times * (((first + byte) % granule + size - 1) // granule + 1)
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
