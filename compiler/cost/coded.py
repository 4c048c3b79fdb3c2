"""What a tensor costs that is stored in blocks: whole blocks and their entries of the directory, given its density.

Which blocks a box meets is exact, and so are the bursts of the directory.  Of the blocks, the mean size is taken, and
the mean number of bursts: over the distribution of what is there in a tile of that size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from ...isa.grid import ENTRY_BYTES, Grid
from ...isa.kernels.bursts import bursts
from ...isa.program import Symbol
from ..ir.on_core import OnCore
from ..ir.schedule import Axis, Buffer, dram_strides
from ..ir.stored import Stored
from .boxes import Turning, Walk, independent
from .density import Density
from .slices import Boxes, Counts, Slices, boxes_of


class Block(NamedTuple):
    """A mean block: bytes that it takes, and bytes of the bursts that fetch it."""

    size: float
    moved: float


def block_of(grid: Grid, memory: int, density: Density, granule: int) -> Block:
    """The mean block of a tensor whose last *memory* axes are those of one sample and time step."""
    there = density.counts(grid.blocks[len(grid.blocks) - memory :], grid.codec.unit(grid.format))
    sizes: Counts = np.ceil(grid.codec.size(there, grid.block, grid.format)).astype(np.int64)
    return Block(float(sizes.mean()), float((-(-sizes // granule)).mean()) * granule)


def coded_bytes(
    cores: Sequence[OnCore], buffer: Buffer, symbol: Symbol, density: Density, granule: int
) -> tuple[int, int]:
    """(useful bytes, bytes in bursts) that *cores* move of a tensor that is stored in blocks."""
    grid = symbol.grid
    assert grid is not None, f"{symbol.name} is not stored in blocks"
    blocks = directory = 0
    for on in cores:
        boxes = boxes_of(on, buffer)
        count, moved = met(boxes, buffer, symbol, grid, granule)
        blocks, directory = blocks + count * boxes.repeats, directory + moved * boxes.repeats
    block = block_of(grid, len(symbol.order) or 1, density, granule)
    return round(blocks * (block.size + ENTRY_BYTES)), round(blocks * block.moved) + directory


def met(boxes: Boxes, buffer: Buffer, symbol: Symbol, grid: Grid, granule: int) -> tuple[int, int]:
    """(blocks that all boxes meet, bytes in bursts of the directory)."""
    there = (boxes.lengths > 0).all(axis=1)
    rings = np.array([axis.ring or axis.bound for axis in buffer.axes])
    lows, lengths = boxes.lows[there] % rings, boxes.lengths[there]
    step = np.array([axis.step for axis in buffer.axes])
    size = np.array(grid.blocks)
    firsts, lasts = lows // size, (lows + step * (lengths - 1)) // size
    apart = np.where(size == 1, step, 1)
    counts = (lasts - firsts) // apart + 1
    strides = np.array(dram_strides(buffer.axes, grid.strides, symbol.steps))
    entries = symbol.address + grid.directory + ENTRY_BYTES * (firsts @ strides)
    kinds, times = np.unique(np.column_stack([entries % granule, counts]), axis=0, return_counts=True)
    between = tuple((ENTRY_BYTES * strides * apart).tolist())
    moved = sum(
        number * bursts(begin, tuple(box), between, ENTRY_BYTES, granule) * granule
        for (begin, *box), number in zip(kinds.tolist(), times.tolist(), strict=True)
    )
    return int(counts.prod(axis=1).sum()), moved


def blocks_along(axes: Sequence[Axis], blocks: Sequence[int], walks: Sequence[tuple[str, Walk]]) -> Counts:
    """How many blocks each combination of the tiles of *walks* meets along *axes*, a row a tile."""
    tiles = [walk.tiles() for _, walk in walks]
    places = np.meshgrid(*(np.arange(len(starts)) for starts, _ in tiles), indexing="ij")
    first = {name: starts[at.ravel()] for (name, _), (starts, _), at in zip(walks, tiles, places, strict=True)}
    extent = {name: sizes[at.ravel()] for (name, _), (_, sizes), at in zip(walks, tiles, places, strict=True)}
    rows = math.prod(len(starts) for starts, _ in tiles)
    found: list[Counts] = []
    for axis, block in zip(axes, blocks, strict=True):
        low, length = np.full(rows, axis.offset, np.int64), np.ones(rows, np.int64)
        for name, c in axis.terms:
            low += c * first[name] + min(0, c) * (extent[name] - 1)
            length += abs(c) // axis.step * (extent[name] - 1)
        if axis.step == 1:
            high = np.minimum(low + length, axis.bound)
            low = np.maximum(low, 0)
            length = np.maximum(high - low, 0)
        last = low + axis.step * (length - 1)
        apart = axis.step if block == 1 else 1
        found.append(np.where(length > 0, (last // block - low // block) // apart + 1, 0))
    return np.stack(found, 1)


def moved_in_blocks(axes: Sequence[Axis], stored: Stored, turning: Turning, granule: int) -> int:
    """Bytes in bursts that an operand moves on all cores: mean blocks, and about as much as their entries take."""
    kinds: list[tuple[list[int], list[tuple[list[int], int]]]] = []
    for group in independent(axes):
        names = dict.fromkeys(name for place in group for name, _ in axes[place].terms)
        walks = [(name, turning.walk(name)) for name in names]
        counts = blocks_along([axes[p] for p in group], [stored.blocks[p] for p in group], walks)
        rows, times = np.unique(counts, axis=0, return_counts=True)
        kinds.append((group, list(zip(rows.tolist(), times.tolist(), strict=True))))
    number = [-(-axis.bound // block) for axis, block in zip(axes, stored.blocks, strict=True)]
    total = 0.0
    for parts in product(*(rows for _, rows in kinds)):
        met = [0] * len(axes)
        for (group, _), (counts, _) in zip(kinds, parts, strict=True):
            for place, count in zip(group, counts, strict=True):
                met[place] = count
        if 0 not in met:
            times = math.prod(count for _, count in parts)
            total += times * (math.prod(met) * stored.moved + _entries(met, number, granule))
    return round(total * turning.repeats({name for axis in axes for name, _ in axis.terms}))


def _entries(met: Sequence[int], number: Sequence[int], granule: int) -> int:
    """Bytes in bursts of the entries of a box that meets so many of the *number* of blocks along each axis."""
    run, place = 1, len(met) - 1
    while place >= 0:
        run *= met[place]
        if met[place] != number[place]:
            break
        place -= 1
    return math.prod(met) // run * -(-ENTRY_BYTES * run // granule) * granule


def slices_met(slices: Slices, blocks: tuple[int, ...], extents: tuple[int, ...], granule: int) -> tuple[float, float]:
    """(blocks that all slices meet, about how many bytes in bursts of the directory), axes as in *slices*."""
    there = (slices.lengths > 0).all(axis=1)
    lows, lengths, steps, times = (part[there] for part in slices)
    size, number = np.array(blocks), -(-np.array(extents) // np.array(blocks))
    firsts, lasts = lows // size, (lows + steps * (lengths - 1)) // size
    apart = np.where(size == 1, steps, 1)
    counts = (lasts - firsts) // apart + 1
    run, runs, whole = np.ones(len(counts), np.int64), np.ones(len(counts), np.int64), np.ones(len(counts), np.bool_)
    for axis in reversed(range(len(blocks))):
        run = np.where(whole, run * counts[:, axis], run)
        runs = np.where(whole, runs, runs * counts[:, axis])
        whole &= counts[:, axis] == number[axis]
    entries = runs * -(-ENTRY_BYTES * run // granule) * granule
    return float((times * counts.prod(axis=1)).sum()), float((times * entries).sum())
