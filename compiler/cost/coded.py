"""What a tensor costs that is stored in blocks: whole blocks and their entries of the directory, given its density.

Which blocks a box meets is exact, and so are the bursts of the directory.  Of the blocks, the mean size is taken, and
the mean number of bursts: over the distribution of what is there in a tile of that size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...isa.grid import ENTRY_BYTES, Grid
from ...isa.kernels.bursts import bursts
from ...isa.program import Symbol
from ..ir.schedule import Buffer, OnCore, dram_strides
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
