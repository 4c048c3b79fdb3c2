"""Boxes of DRAM that the tiles of an operand are, in closed form: how many there are of each kind, bytes and bursts.

Axes whose loops differ are independent of one another, so the tiles of an operand are all combinations of what its axes
meet.  Along an axis most tiles are alike: those at a border are shorter, and in memory a tile begins at one of a few
places inside of a granule.  What is left to count are a few kinds of boxes, each so many times.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
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


class Met(NamedTuple):
    """What tiles meet along some axes: (bits past a granule, lengths, how often), and (their own lengths, how often).

    *boxes* are clipped at the ends of the axes, *tiles* are not: that is what a scratchpad takes.
    """

    boxes: tuple[tuple[int, tuple[int, ...], int], ...]
    tiles: tuple[tuple[tuple[int, ...], int], ...]


class Turning(NamedTuple):
    """What turns around the place where an operand is moved.

    *loops* are the instructions' loops around it, outermost first, *tiles* and *extents* those of every loop; cores
    share loop *split* ("" where only one works), each its part (first value, extent) of *shares*; where they share
    *further* loops, there is one for each of them with all parts of the others.  Of loops *whole* every tile has all.
    """

    loops: tuple[str, ...]
    tiles: Mapping[str, int]
    extents: Mapping[str, int]
    split: str
    shares: tuple[tuple[int, int], ...]
    whole: frozenset[str] = frozenset()
    further: tuple[tuple[str, tuple[tuple[int, int], ...]], ...] = ()

    @property
    def parts(self) -> dict[str, tuple[tuple[int, int], ...]]:
        """The shares of each loop that cores share."""
        return {**({self.split: self.shares} if self.split else {}), **dict(self.further)}

    def walk(self, name: str) -> Walk:
        """How all cores together walk a loop."""
        if name in self.whole:
            return Walk(self.extents[name], ((0, self.extents[name]),))
        shares = self._shares(name)
        largest = self.tiles[name] if name in self.loops else max(extent for _, extent in shares)
        return Walk(max(largest, 1), shares)

    def _shares(self, name: str) -> tuple[tuple[int, int], ...]:
        """What each core has of a loop; all of it where they do not share it."""
        if name == self.split:
            return self.shares
        return next((shares for loop, shares in self.further if loop == name), ((0, self.extents[name]),))

    def repeats(self, followed: Set[str]) -> int:
        """How often all cores together move the tiles of an operand that does not follow all of the loops."""
        followed = followed - self.whole
        parts = self.parts
        alike = [name for name in self.loops if name not in followed and name not in parts]
        found = prod(-(-self.extents[name] // self.tiles[name]) for name in alike)
        for name, shares in parts.items():
            if name not in followed:
                turning = name in self.loops
                found *= sum(-(-extent // self.tiles[name]) for _, extent in shares) if turning else len(shares)
        return found


def moved(
    axes: Sequence[Axis], strides: Sequence[int], bits: int, turning: Turning, address: int, granule: int
) -> Moved:
    """What an operand moves on all cores: bytes, bursts of *granule* bytes, and what passes the ports.

    Its *axes* have *strides* (bits) in DRAM, elements have so many *bits*, and element 0 lies at *address* (bits).
    """
    met, back = _met(axes, strides, turning, granule)
    repeats = turning.repeats({name for axis in axes for name, _ in axis.terms})
    useful, dram = _boxes(axes, strides, bits, (met, back), address, granule)
    return Moved(useful * repeats, dram * repeats, _port(met, back, bits) * repeats)


def bursts_of(axes: Sequence[Axis], strides: Sequence[int], bits: int, turning: Turning, granule: int) -> int:
    """The bytes in bursts alone of what an operand moves, where element 0 lies at a granule."""
    _, dram = _boxes(axes, strides, bits, _met(axes, strides, turning, granule), 0, granule)
    return dram * turning.repeats({name for axis in axes for name, _ in axis.terms})


def _boxes(
    axes: Sequence[Axis],
    strides: Sequence[int],
    bits: int,
    found: tuple[Sequence[Met], tuple[int, ...]],
    address: int,
    granule: int,
) -> tuple[int, int]:
    """(bytes, bytes in bursts) of all boxes that are *found* along the axes, each once."""
    met, back = found
    steps = tuple([axis.step * stride for axis, stride in zip(axes, strides, strict=True)])
    useful = dram = 0
    for parts in product(*(group.boxes for group in met)):
        lengths = [length for _, part, _ in parts for length in part]
        if 0 in lengths:
            continue
        box = tuple([lengths[place] for place in back])
        times = prod(count for *_, count in parts)
        begin = (address + sum(residue for residue, *_ in parts)) // 8 % granule
        size, touched = _box(box, steps, bits, begin, granule)
        useful += size * times
        dram += touched * times
    return useful, dram


def carried(axes: Sequence[Axis], bits: int, turning: Turning) -> int:
    """Bytes of all tiles of an operand as the network carries them: whole tiles, in rows of whole bytes."""
    met, back = _met(axes, [0] * len(axes), turning, 1)
    return _port(met, back, bits) * turning.repeats({name for axis in axes for name, _ in axis.terms})


def _met(
    axes: Sequence[Axis], strides: Sequence[int], turning: Turning, granule: int
) -> tuple[list[Met], tuple[int, ...]]:
    """What tiles meet along each group of axes, and where among the axes of all groups each axis is then."""
    groups = independent(axes)
    met = [
        met_along(
            tuple(axes[place] for place in group),
            tuple(strides[place] for place in group),
            tuple(
                (name, turning.walk(name)) for name in dict.fromkeys(n for place in group for n, _ in axes[place].terms)
            ),
            granule * 8,
        )
        for group in groups
    ]
    order = [place for group in groups for place in group]
    return met, tuple(order.index(place) for place in range(len(axes)))


def _port(met: Sequence[Met], back: tuple[int, ...], bits: int) -> int:
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


def independent(axes: Sequence[Axis]) -> list[list[int]]:
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
def met_along(
    axes: tuple[Axis, ...], strides: tuple[int, ...], walks: tuple[tuple[str, Walk], ...], modulus: int
) -> Met:
    """What all combinations of the tiles of *walks* meet along *axes*; addresses are told modulo *modulus* bits."""
    if len(axes) == 1 and len(walks) <= 1:
        return _met_by_one(along(axes[0], strides[0], walks, modulus))
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
    return Met(
        tuple((int(box[0]), tuple(box[1:]), times) for box, times in boxes),
        tuple((tuple(box), times) for box, times in own),
    )


def _met_by_one(met: tuple[tuple[int, int, int, int], ...]) -> Met:
    """The same of a single axis, from what `along` found."""
    boxes: dict[tuple[int, int], int] = {}
    tiles: dict[int, int] = {}
    for residue, clipped, length, count in met:
        boxes[residue, clipped] = boxes.get((residue, clipped), 0) + count
        tiles[length] = tiles.get(length, 0) + count
    return Met(
        tuple((residue, (clipped,), count) for (residue, clipped), count in boxes.items()),
        tuple(((length,), count) for length, count in tiles.items()),
    )


@lru_cache(maxsize=1 << 16)
def along(
    axis: Axis, stride: int, walks: tuple[tuple[str, Walk], ...], modulus: int
) -> tuple[tuple[int, int, int, int], ...]:
    """What the tiles of at most one loop meet along *axis*: (bits past a granule, length, unclipped length, how often).

    A length of 0 is a tile that lies outside of the axis altogether.
    """
    if not walks:
        low, high = max(axis.offset, 0), min(axis.offset + 1, axis.bound)
        if axis.step > 1:
            low, high = axis.offset, axis.offset + 1
        return ((low * stride % modulus, max(high - low, 0), 1, 1),)
    ((name, walk),) = walks
    c = dict(axis.terms)[name]
    found: dict[tuple[int, int, int], int] = {}
    for first, share, cores in _alike(axis, stride, c, walk.shares, modulus):
        full, rest = divmod(share, walk.tile)
        _run(found, axis, stride, (c, first, walk.tile, full, cores), modulus)
        if rest:
            _run(found, axis, stride, (c, first + full * walk.tile, rest, 1, cores), modulus)
    return tuple((*key, count) for key, count in found.items())


@lru_cache(maxsize=1 << 12)
def _alike(
    axis: Axis, stride: int, c: int, shares: tuple[tuple[int, int], ...], modulus: int
) -> tuple[tuple[int, int, int], ...]:
    """Shares (first value, extent) of a loop with coefficient *c*, those that meet alike as one, and how many they are.

    Alike are those of one extent that lie inside of the axis and begin alike.
    """
    found: dict[tuple[int, int | None, int], list[int]] = {}
    for first, share in shares:
        low = axis.offset + c * first + min(0, c) * (share - 1)
        inside = axis.step > 1 or (low >= 0 and low + abs(c) * (share - 1) < axis.bound)
        key = (share, None, c * first * stride % modulus) if inside else (share, first, 0)
        found.setdefault(key, []).append(first)
    return tuple((firsts[0], share, len(firsts)) for (share, *_), firsts in found.items())


def _run(
    found: dict[tuple[int, int, int], int], axis: Axis, stride: int, run: tuple[int, int, int, int, int], modulus: int
) -> None:
    """Count what so many tiles of one extent meet, one behind the other, in so many cores alike: (coefficient, first
    value, extent, tiles, cores).

    Of those that lie inside of the axis, one begins as another does so many tiles before; they are counted at once.
    """
    c, first, extent, tiles, cores = run
    reach = abs(c) // axis.step
    length = 1 + reach * (extent - 1)
    low, step = axis.offset + c * first + min(0, c) * (extent - 1), c * extent
    period = modulus // math.gcd(step * stride, modulus)

    inside = range(tiles)
    if axis.step == 1:  # tiles that begin at 0 or behind it, and end at the bound or before it
        lowest, highest = -low, axis.bound - length - low
        begin, end = (-(-lowest // step), highest // step) if step > 0 else (-(highest // -step), lowest // step)
        begin = min(max(begin, 0), tiles)
        inside = range(begin, max(min(end + 1, tiles), begin))
    for turn in inside[:period]:
        key = (low + turn * step) * stride % modulus, length, length
        found[key] = found.get(key, 0) + (inside.stop - turn + period - 1) // period * cores
    for turn in (*range(inside.start), *range(inside.stop, tiles)):
        begin = max(low + turn * step, 0)
        key = begin * stride % modulus, max(min(low + turn * step + length, axis.bound) - begin, 0), length
        found[key] = found.get(key, 0) + cores


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
