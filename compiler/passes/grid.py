"""The tilings of a space as arrays: every loop has an axis of its own, so what depends on few loops is small.

The last axis is that of the *fast* loop, the one with the most sizes.  Of all its sizes that fit beside given sizes of
the others only the largest need be found: what it moves at least bounds what the smaller ones move.
"""

from __future__ import annotations

import math
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
        """The loops, each at the place of its axis."""
        return (*(name for name in self.space.sizes if name != self.fast), self.fast)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Sizes of each loop but the fast one, and 1."""
        return (*(len(self.space.sizes[name]) for name in self.names[:-1]), 1)

    @cached_property
    def tiles(self) -> dict[str, Array]:
        """The sizes of every loop along its axis."""
        found: dict[str, Array] = {}
        for place, name in enumerate(self.names):
            shape = [1] * len(self.names)
            shape[place] = len(self.space.sizes[name])
            found[name] = np.array(self.space.sizes[name], np.int64).reshape(shape)
        return found

    @cached_property
    def trips(self) -> dict[str, Array]:
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

    def at(self, place: int, reach: int) -> dict[str, int]:
        """The tiles at *place* of the flattened grid, with size number *reach* of the fast loop."""
        places = np.unravel_index(place, self.shape)
        tiles = {name: self.space.sizes[name][int(k)] for name, k in zip(self.names[:-1], places, strict=False)}
        return tiles | {self.fast: self.space.sizes[self.fast][reach]}

    def turning(self, operand: Operand) -> Any:
        """Whether a loop that *operand* follows has more than one tile, so that its buffer is filled again."""
        found: Any = np.bool_(False)
        for name in self.names:
            if name in operand.loops:
                found = found | (self.trips[name] > 1)
        return found


def picked(array: Any, reach: Array | int) -> Any:
    """*array* at size number *reach* of the fast loop."""
    values = np.asarray(array)
    if values.ndim == 0 or values.shape[-1] == 1:
        return values
    if isinstance(reach, int):
        return values[..., reach : reach + 1]
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


@dataclass(frozen=True)
class Needs:
    """Bytes that each operand's buffer takes, and the memories that may hold it, in the order of allocation."""

    target: Target
    rows: tuple[tuple[Operand, Any, tuple[int, ...]], ...]

    @staticmethod
    def of(grid: Grid, rings: int) -> Needs:
        """The needs of all tilings, where what is filled again while it is used has *rings* tiles."""
        rows: list[tuple[Operand, Any, tuple[int, ...]]] = []
        target = grid.space.request.target
        for operand in grid.space.operands:
            size = operand.bytes(grid.tiles)
            if operand.doubled and rings > 1:
                size = size * np.where(grid.turning(operand), rings, 1)
            rows.append((operand, size, target.memory_for(operand.role)))
        return Needs(target, tuple(rows))

    def fit(self, reach: Array | int) -> Any:
        """Whether every buffer finds room, each in the first memory of its own that has some, one after the other."""
        room: dict[int, Any] = {k: np.int64(memory.bytes) for k, memory in enumerate(self.target.memories)}
        fits: Any = np.bool_(True)
        for _, size, homes in self.rows:
            need = picked(size, reach)
            if len(homes) == 1:
                room[homes[0]] = room[homes[0]] - need
                fits = fits & (room[homes[0]] >= 0)
                continue
            placed: Any = np.bool_(False)
            for home in homes:
                here = ~placed & (room[home] >= need)
                room[home] = room[home] - np.where(here, need, 0)
                placed = placed | here
            fits = fits & placed
        return fits

    def largest(self, grid: Grid, band: Band) -> Array:
        """The number of the largest size of *band* that fits, wherever one does; -1 elsewhere.

        What fits is found by halving: all that is smaller is taken to fit as well.  Only where buffers may lie in
        several memories that is not always so, and the search looks again.
        """
        fits = np.broadcast_to(self.fit(band.last), grid.shape)
        if band.first == band.last or fits.all():
            return np.where(fits, band.last, -1)
        low = np.where(fits, band.last, band.first - 1)
        high = np.where(fits, band.last, band.last - 1)
        for _ in range(math.ceil(math.log2(band.last - band.first + 1))):
            middle = (low + high + 1) // 2
            fits = self.fit(np.maximum(middle, band.first)) | (middle < band.first)
            low = np.where(fits, middle, low)
            high = np.where(fits, high, middle - 1)
        return np.where(low >= band.first, low, -1)
