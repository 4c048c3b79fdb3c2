"""The tilings of a space as arrays: every loop has an axis of its own, so what depends on few loops is small.

The last axis is that of the *fast* loop, the one with the most sizes.  Of all its sizes in a *band*, alike in whether
they cut the loop, that fit beside given sizes of the others only the largest need be found: what it moves at least
bounds what the smaller ones move.  Bands have an axis of their own, before all others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...isa.target import Target
from ..ir.schedule import ALWAYS
from ..ir.statement import TIME
from .operands import Operand
from .space import Space

Array = NDArray[np.int64]


@dataclass(frozen=True)
class Band:
    """Sizes *first* to *last* (places, both inclusive) of the fast loop, alike in whether they cut it."""

    first: int
    last: int


@dataclass(frozen=True)
class Grid:
    """All tilings of *space*."""

    space: Space

    @cached_property
    def fast(self) -> str:
        """The loop with the most sizes, other than time."""
        return max(self.space.sizes, key=lambda name: len(self.space.sizes[name]) * (name not in TIME))

    @cached_property
    def always(self) -> frozenset[str]:
        """Loops that are instructions even where a tile covers them."""
        return frozenset(ALWAYS) & frozenset(self.names)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The loops that have an axis, each at its place: those of one size need none."""
        several = (name for name, sizes in self.space.sizes.items() if len(sizes) > 1 and name != self.fast)
        return (*several, self.fast)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Bands, then sizes of each loop but the fast one, and 1."""
        return (len(self.bands), *(len(self.space.sizes[name]) for name in self.names[:-1]), 1)

    @cached_property
    def tiles(self) -> dict[str, Any]:
        """The sizes of every loop along its axis, or its only one."""
        found: dict[str, Any] = {name: sizes[0] for name, sizes in self.space.sizes.items() if len(sizes) == 1}
        for place, name in enumerate(self.names):
            shape = [1] * len(self.names)
            shape[place] = len(self.space.sizes[name])
            found[name] = np.array(self.space.sizes[name], np.int64).reshape(shape)
        return found

    @cached_property
    def trips(self) -> dict[str, Any]:
        """Turns of every loop in the core that has the most of it."""
        extents = self.space.extents
        return {name: np.maximum(-(-extents[name] // tile), 1) for name, tile in self.tiles.items()}

    @cached_property
    def bands(self) -> tuple[Band, ...]:
        """Sizes of the fast loop: 1, those between, and the whole."""
        sizes, extent = self.space.sizes[self.fast], self.space.extents[self.fast]
        kinds = [(size >= extent, size == 1) for size in sizes]
        starts = [place for place in range(len(kinds)) if place == 0 or kinds[place] != kinds[place - 1]]
        return tuple(
            Band(start, end - 1) for start, end in zip(starts, [*starts[1:], len(kinds)], strict=True) if start < end
        )

    @cached_property
    def first(self) -> Array:
        """The number of the first size of each band."""
        return np.array([band.first for band in self.bands]).reshape(-1, *(1 for _ in self.names))

    @cached_property
    def last(self) -> Array:
        """The number of the last size of each band."""
        return np.array([band.last for band in self.bands]).reshape(-1, *(1 for _ in self.names))

    def group(self, place: int) -> tuple[Band, dict[str, int]]:
        """The band at *place* of the flattened grid, and the places of all other loops along their axes."""
        band, *places = np.unravel_index(place, self.shape)
        return self.bands[int(band)], {name: int(k) for name, k in zip(self.names[:-1], places, strict=False)}

    def at(self, place: int, reach: int) -> dict[str, int]:
        """The tiles at *place* of the flattened grid, with size number *reach* of the fast loop."""
        numbers = self.group(place)[1] | {self.fast: reach}
        return {name: sizes[numbers.get(name, 0)] for name, sizes in self.space.sizes.items()}

    def turning(self, operand: Operand) -> Any:
        """Whether a loop that *operand* follows has more than one tile, so that its buffer is filled again."""
        found: Any = np.bool_(False)
        for name in self.space.sizes:
            if name in operand.loops:
                found = found | (self.trips[name] > 1)
        return found


def picked(array: Any, reach: Array) -> Any:
    """*array* at size number *reach* of the fast loop."""
    values = np.asarray(array)
    if values.ndim == 0 or values.shape[-1] == 1:
        return values
    if values.size == values.shape[-1]:
        return values.ravel()[reach]
    return values[(*_places(values.shape[:-1]), reach)]


@lru_cache(maxsize=1 << 10)
def _places(shape: tuple[int, ...]) -> tuple[Array, ...]:
    """The number of every place along each axis, along that axis."""
    rank = len(shape) + 1
    return tuple(
        np.arange(extent).reshape([extent if axis == place else 1 for axis in range(rank)])
        for place, extent in enumerate(shape)
    )


Row = tuple[Any, tuple[int, ...]]
"""Bytes that a buffer takes, and the memories that may hold it, first choice first."""


def apart(target: Target, operands: Sequence[Operand]) -> Iterator[list[int]]:
    """The places of operands whose buffers have a memory in common, in the order of allocation."""
    groups: list[tuple[frozenset[int], list[int]]] = []
    for number, operand in enumerate(operands):
        homes = target.memory_for(operand.role)
        touching = [group for group in groups if not group[0].isdisjoint(homes)]
        groups = [group for group in groups if group[0].isdisjoint(homes)]
        members = [number, *(other for _, found in touching for other in found)]
        groups.append((frozenset(homes).union(*(group[0] for group in touching)), members))
    return (sorted(members) for _, members in groups)


def need(grid: Grid, operand: Operand, rings: int) -> Any:
    """Bytes of the buffer of *operand* in all tilings: what is filled again while it is used has *rings* tiles."""
    size = operand.bytes(grid.tiles)
    if operand.doubled and rings > 1:
        size = size * np.where(grid.turning(operand), rings, 1)
    return size


def largest(grid: Grid, rows: Sequence[Row]) -> Any:
    """The number of the largest size of each band for which some buffers fit, along the axes of the loops that bear on
    them; less than its first where none does.

    What fits is found by halving: all that is smaller is taken to fit as well.  Only where buffers may lie in
    several memories that is not always so, and the search looks again.
    """
    first, last, target = grid.first, grid.last, grid.space.request.target
    rows = _together(rows)
    fits = _fit(target, rows, last)
    low, high = np.where(fits, last, first - 1), np.where(fits, last, last - 1)
    for _ in range(math.ceil(math.log2(int((last - first).max()) + 1)) if not fits.all() else 0):
        middle = (low + high + 1) // 2
        fits = _fit(target, rows, np.maximum(middle, first)) | (middle < first)
        low = np.where(fits, middle, low)
        high = np.where(fits, high, middle - 1)
    return low


def _together(rows: Sequence[Row]) -> list[Row]:
    """*rows* that take as much room: those of one memory that depend on the same loops as one."""
    found: list[Row] = []
    alike: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
    for size, homes in rows:
        if len(homes) > 1:  # what finds room here depends on all before it
            alike.clear()
        place = alike.setdefault((homes, np.shape(size)), len(found))
        if place == len(found):
            found.append((size, homes))
        else:
            found[place] = found[place][0] + size, homes
        if len(homes) > 1:
            alike.clear()
    return found


def _fit(target: Target, rows: Sequence[Row], reach: Array) -> Any:
    """Whether every buffer finds room, each in the first memory of its own that has some, one after the other."""
    room: dict[int, Any] = {}
    fits: Any = np.bool_(True)
    for size, homes in rows:
        wanted = picked(size, reach)
        for home in homes:
            room.setdefault(home, np.int64(target.memories[home].bytes))
        if len(homes) == 1:
            room[homes[0]] = room[homes[0]] - wanted
            fits = fits & (room[homes[0]] >= 0)
            continue
        placed: Any = np.bool_(False)
        for home in homes:
            here = ~placed & (room[home] >= wanted)
            room[home] = room[home] - np.where(here, wanted, 0)
            placed = placed | here
        fits = fits & placed
    return fits
