"""What bears on the cost of tilings whatever the order of loops is, and what of an order bears on it.

Orders differ in little: how often an operand's tiles are moved depends on which loops that it follows turn inside each
of the others, and most of these sets are the same in several orders.  So factors and products are found once a set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..ir.schedule import ALWAYS
from .grid import Array, Grid, picked
from .least import Once
from .legality import Tiles, legal_tiles
from .operands import Operand
from .space import Space

TURNS = 1 << 20
"""Turns are worth less than a byte: a cost is ``bytes * TURNS + turns``, a KiB over the mesh counting as one.  From a
part of this number on, turns and KiB weigh alike."""

Again = tuple[tuple[str, frozenset[str]], ...]
"""Loops whose turns may move an operand's tiles again, each with those inside it that the operand follows."""


def again(order: Sequence[str], operand: Operand, space: Space) -> Again:
    """What of an *order* of loops bears on how often all cores move the tiles of *operand*."""
    split = space.split.loop
    inside: frozenset[str] = frozenset()
    found: list[tuple[str, frozenset[str]]] = []
    for name in reversed(order):
        if name in operand.loops:
            inside |= {name}
        others = name not in operand.loops if name == split else name not in operand.followed
        if others and (name == split or space.extents[name] > 1):
            found.append((name, inside))
    if split is not None and split not in order and split not in operand.loops:
        found.append((split, frozenset()))
    return tuple(sorted(found))


class Factors:
    """How often loops repeat the tiles of operands, where all loops have these *tiles*: integers, or arrays."""

    def __init__(self, space: Space, tiles: Tiles) -> None:
        self._space, self._tiles = space, tiles
        self._found: dict[object, Any] = {}

    def repeats(self, operand: Operand, turning: Again) -> Any:
        """How often all cores move the tiles of *operand*."""
        cores, cast = len(self._space.shares(operand)), self._space.shareable(operand)
        key = turning, cores, cast
        if key not in self._found:
            found: Any = np.int64(1)
            for name, inside in turning:
                found = found * self._factor(operand, cores, name, inside)
            self._found[key] = found
        return self._found[key]

    def _factor(self, operand: Operand, cores: int, name: str, inside: frozenset[str]) -> Any:
        """Turns of loop *name* if any of those *inside* it turns, too, since then the buffer is filled again."""
        split = name == self._space.split.loop
        cast = split and self._space.shareable(operand)
        least = cores if split and not cast else 1
        if not inside:
            return least
        key = name, inside, least, cast
        if key not in self._found:
            shares = self._space.shares(operand) if split else ((0, self._space.extents[name]),)
            alike = Counter(extent for _, extent in shares)
            trips = {extent: -(-extent // self._tiles[name]) for extent in alike}
            turns = sum(count * trips[extent] for extent, count in alike.items())
            if cast:  # by one core for all, where they have as many turns each
                most, fewest = trips[max(alike)], trips[min(alike)]
                turns = np.where(np.equal(most, fewest), most, turns)
            filled = self._filled(inside)
            self._found[key] = turns if filled is True else np.where(filled, turns, least)
        return self._found[key]

    def _filled(self, inside: frozenset[str]) -> Any:
        """Whether any of these loops turns."""
        if not inside.isdisjoint(ALWAYS):
            return True
        if inside not in self._found:
            extents = self._space.extents
            found: Any = np.bool_(False)
            for name in inside:
                found = found | np.less(self._tiles[name], extents[name])
            self._found[inside] = found
        return self._found[inside]


def turns_of(space: Space, order: Sequence[str], tiles: Tiles) -> Any:
    """Turns of all loops together."""
    turns: Any = np.int64(1)
    for name in order:
        turns = turns * np.maximum(-(-space.extents[name] // tiles[name]), 1)
    return np.minimum(turns, TURNS // 2 - 1)


def worth(space: Space, operand: Operand, dram: Any) -> Any:
    """What moving so many bytes of *operand* costs."""
    cost = dram * TURNS
    return cost + np.minimum(dram >> 10, TURNS // 16 - 1) if space.shareable(operand) else cost


@dataclass
class Reached:
    """The largest sizes of the fast loop that fit, by number: of each band, less than its first where none does."""

    grid: Grid
    once: Sequence[Once]
    reach: Array
    _turns: dict[frozenset[str], Any] = field(default_factory=dict[frozenset[str], Any])
    _moved: dict[tuple[int, Again], Any] = field(default_factory=dict[tuple[int, Again], Any])
    _places: dict[object, tuple[Array, Array]] = field(default_factory=dict[object, tuple[Array, Array]])

    @cached_property
    def _reached(self) -> Array:
        """Numbers of sizes, where none fits those of the smallest."""
        return np.maximum(self.reach, self.grid.first)

    @cached_property
    def tiles(self) -> dict[str, Array]:
        """Tiles of every loop, of the fast one the largest that fit."""
        grid = self.grid
        return grid.tiles | {grid.fast: picked(grid.tiles[grid.fast], self._reached)}

    @cached_property
    def factors(self) -> Factors:
        """How often tiles are moved again."""
        return Factors(self.grid.space, self.tiles)

    @cached_property
    def least(self) -> list[Any]:
        """What the tiles of each operand move at least, each once, with any size of the band that fits."""
        found: list[Any] = []
        for _, dram in self.once:
            if dram.ndim and dram.shape[-1] > 1:
                bands = (dram[..., band.first : band.last + 1] for band in self.grid.bands)
                least = np.concatenate([np.minimum.accumulate(band, -1) for band in bands], -1)
                found.append(picked(least, self._reached))
            else:
                found.append(dram)
        return found

    def places(self, order: tuple[str, ...], likeness: object) -> tuple[Array, Array]:
        """Where a tiling fits that is legal in *order*, and the numbers of sizes there.

        Legal alike are orders of one *likeness*.
        """
        if likeness not in self._places:
            grid, space = self.grid, self.grid.space
            sample = grid.tiles | {grid.fast: picked(grid.tiles[grid.fast], grid.first)}
            legal = legal_tiles(space.request, space.operands, order, sample, space.extents)
            places = np.flatnonzero(np.broadcast_to(legal & (self.reach >= grid.first), grid.shape))
            self._places[likeness] = places, self.reach.ravel()[places]
        return self._places[likeness]

    def bound(self, order: tuple[str, ...], turning: Sequence[Again]) -> Array:
        """The least cost of any tiling, everywhere; *turning* tells of each operand what moves it again."""
        space = self.grid.space
        loops = frozenset(order)
        if loops not in self._turns:
            self._turns[loops] = turns_of(space, order, self.tiles)
        costs = [self._cost(number, again) for number, again in enumerate(turning)]
        total: Any = np.int64(0)
        for cost in sorted([*costs, self._turns[loops]], key=np.size):  # what depends on few loops is small
            total = total + cost
        return np.broadcast_to(total, self.grid.shape).ravel()

    def _cost(self, number: int, turning: Again) -> Any:
        """What moving an operand costs at least."""
        key = number, turning
        if key not in self._moved:
            operand = self.once[number].operand
            dram = self.least[number] * self.factors.repeats(operand, turning)
            self._moved[key] = worth(self.grid.space, operand, dram)
        return self._moved[key]
