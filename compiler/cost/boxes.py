"""Boxes of DRAM that the tiles of an operand are, in closed form: how many there are of each kind, bytes and bursts.

Axes whose loops differ are independent of one another, so the tiles of an operand are all combinations of what its axes
meet.  Along an axis most tiles are alike: those at a border are shorter, and in memory a tile begins at one of a few
places inside of a granule.  What is left to count are a few kinds of boxes, each so many times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...isa.kernels.bursts import bursts
from ..ir.schedule import Axis


class Walk(NamedTuple):
    """How a loop is walked: in tiles of *tile* through each of the *shares* (first value, extent), one a core."""

    tile: int
    shares: tuple[tuple[int, int], ...]

    def tiles(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First value and extent of every tile."""
        firsts = [np.arange(0, extent, self.tile, dtype=np.int64) for _, extent in self.shares]
        pairs = list(zip(firsts, self.shares, strict=True))
        starts = np.concatenate([low + first for first, (low, _) in pairs])
        extents = np.concatenate([np.minimum(self.tile, extent - first) for first, (_, extent) in pairs])
        return starts, extents


class Moved(NamedTuple):
    """What all tiles of an operand move: bytes that are wanted, bytes in bursts, bytes through a scratchpad's port."""

    useful: int
    dram: int
    port: int

    def times(self, count: int) -> Moved:
        """All of it so often."""
        return Moved(self.useful * count, self.dram * count, self.port * count)


class _Met(NamedTuple):
    """What the tiles meet along some axes: (bits past a granule, lengths) with how often; and the tiles' own lengths.

    *boxes* are clipped at the ends of the axes, *tiles* are not: that is what a scratchpad takes.
    """

    boxes: tuple[tuple[int, tuple[int, ...], int], ...]
    tiles: tuple[tuple[tuple[int, ...], int], ...]


def moved(
    axes: Sequence[Axis],
    strides: Sequence[int],
    bits: int,
    walks: Mapping[str, Walk],
    address: int,
    granule: int,
) -> Moved:
    """What the tiles of an operand move, each once.

    Its *axes* have *strides* (bits) in DRAM, elements have so many *bits*, element 0 lies at *address* (bits); *walks*
    tells how each loop of its axes is walked.
    """
    groups = _independent(axes)
    met = [
        _met(
            tuple(axes[place] for place in group),
            tuple(strides[place] for place in group),
            tuple((name, walks[name]) for name in dict.fromkeys(n for place in group for n, _ in axes[place].terms)),
            granule * 8,
        )
        for group in groups
    ]
    order = [place for group in groups for place in group]
    back = tuple(order.index(place) for place in range(len(axes)))
    steps = tuple(axis.step * stride for axis, stride in zip(axes, strides, strict=True))
    useful = dram = 0
    for parts in product(*(group.boxes for group in met)):
        lengths = [length for _, part, _ in parts for length in part]
        if 0 in lengths:
            continue
        box = tuple([lengths[place] for place in back])
        times = prod(count for *_, count in parts)
        begin = (address + sum(residue for residue, *_ in parts)) // 8 % granule
        bytes_, touched = _box(box, steps, bits, begin, granule)
        useful += bytes_ * times
        dram += touched * times
    return Moved(useful, dram, _port(met, back, bits))


def _port(met: Sequence[_Met], back: tuple[int, ...], bits: int) -> int:
    """Bytes of all tiles in rows of whole bytes along the last axis."""
    total = 0
    for parts in product(*(group.tiles for group in met)):
        lengths = [length for part, _ in parts for length in part]
        *outer, last = (lengths[place] for place in back)
        total += prod(outer) * -(-last * bits // 8) * prod(count for _, count in parts)
    return total


@lru_cache(maxsize=1 << 14)
def _box(box: tuple[int, ...], steps: tuple[int, ...], bits: int, begin: int, granule: int) -> tuple[int, int]:
    """(bytes, bytes in bursts) of a box whose neighbours lie *steps* bits apart."""
    if steps[-1] == bits:
        row, outer, apart = -(-box[-1] * bits // 8), box[:-1], steps[:-1]
    else:
        row, outer, apart = bits // 8, box, steps
    touched = bursts(begin, outer, tuple(step // 8 for step in apart), row, granule)
    return row * prod(outer), touched * granule


def _independent(axes: Sequence[Axis]) -> list[list[int]]:
    """Places of the axes, those together that share a loop."""
    groups: list[tuple[set[str], list[int]]] = []
    for place, axis in enumerate(axes):
        names = {name for name, _ in axis.terms}
        touching = [group for group in groups if group[0] & names]
        others = [group for group in groups if not group[0] & names]
        merged = sorted([place, *(p for _, places in touching for p in places)])
        groups = [*others, (names.union(*(found for found, _ in touching)), merged)]
    return [places for _, places in groups]


@lru_cache(maxsize=1 << 14)
def _met(axes: tuple[Axis, ...], strides: tuple[int, ...], walks: tuple[tuple[str, Walk], ...], modulus: int) -> _Met:
    """What all combinations of the tiles of *walks* meet along *axes*; addresses are told modulo *modulus* bits."""
    tiles = [walk.tiles() for _, walk in walks]
    places = np.meshgrid(*(np.arange(len(starts)) for starts, _ in tiles), indexing="ij")
    first = {name: starts[at.ravel()] for (name, _), (starts, _), at in zip(walks, tiles, places, strict=True)}
    extent = {name: sizes[at.ravel()] for (name, _), (_, sizes), at in zip(walks, tiles, places, strict=True)}
    count = prod(len(starts) for starts, _ in tiles)
    residue = np.zeros(count, np.int64)
    clipped: list[NDArray[np.int64]] = []
    whole: list[NDArray[np.int64]] = []
    for axis, stride in zip(axes, strides, strict=True):
        low = np.full(count, axis.offset, np.int64)
        length = np.ones(count, np.int64)
        for name, c in axis.terms:
            low += c * first[name] + min(0, c) * (extent[name] - 1)
            length += abs(c) // axis.step * (extent[name] - 1)
        whole.append(length)
        if axis.step == 1:
            high = np.minimum(low + length, axis.bound)
            low = np.maximum(low, 0)
            length = np.maximum(high - low, 0)
        clipped.append(length)
        residue += low * stride
    boxes = _counted([residue % modulus, *clipped])
    own = _counted(whole)
    return _Met(
        tuple((int(box[0]), tuple(box[1:]), times) for box, times in boxes),
        tuple((tuple(box), times) for box, times in own),
    )


def _counted(columns: Sequence[NDArray[np.int64]]) -> Iterable[tuple[list[int], int]]:
    """Rows that differ, each with how often it is there."""
    key = np.zeros(len(columns[0]), np.int64)
    ranges = [int(column.max(initial=0)) + 1 for column in columns]
    for column, extent in zip(columns, ranges, strict=True):
        key = key * extent + column
    keys, counts = np.unique(key, return_counts=True)
    rows: list[list[int]] = []
    for value in keys.tolist():
        row: list[int] = []
        for extent in reversed(ranges):
            value, part = divmod(value, extent)
            row.append(part)
        rows.append(row[::-1])
    return zip(rows, counts.tolist(), strict=True)
