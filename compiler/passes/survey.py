"""A survey of a space: what its tilings cost at least, for all orders of loops, and exactly where asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..cost.boxes import Turning, bursts_of
from ..cost.coded import moved_in_blocks
from ..ir.decision import Decision
from ..ir.schedule import ALWAYS, present
from .grid import Array, Grid
from .least import Once
from .legality import legal_tiles
from .operands import Operand
from .reached import Kind, Reached
from .repeats import TURNS, Again, Factors, turns_of, worth
from .space import TIME_PARALLEL, Space
from .tables import Tables


class Ordered(NamedTuple):
    """An order of loops, with the dataflow that asks for it."""

    dataflow: str
    order: tuple[str, ...]


@dataclass
class Front:
    """The groups of tilings of one order that fit: same tiles of all loops but the fast one.

    *bound* is the least cost of any in a group, *reach* the number of the fast loop's largest size there.
    """

    survey: Survey
    ordered: Ordered
    turning: tuple[Again, ...]
    places: Array
    reach: Array
    bound: Array

    @property
    def tilings(self) -> int:
        """Tilings of all groups together."""
        grid = self.survey.grid
        first = grid.first.ravel()[self.places // math.prod(grid.shape[1:])]
        return int((self.reach - first + 1).sum())

    @cached_property
    def least(self) -> int:
        """The least bound of any group."""
        return int(self.bound.min())

    def but(self, dataflow: str) -> Front | None:
        """The groups that are not of *dataflow*; None where there is none."""
        grid, excluded = self.survey.grid, self.ordered.dataflow == dataflow
        sizes = grid.space.sizes.get("t", (1,))
        if len(sizes) == 1:
            told = TIME_PARALLEL if sizes[0] > 1 else self.ordered.dataflow
            return None if told == dataflow else self
        inner = math.prod(grid.shape[grid.names.index("t") + 2 :])
        several = np.array(sizes)[self.places // inner % len(sizes)] > 1
        kept = ~several if dataflow == TIME_PARALLEL else several | (not excluded)
        if not kept.any():
            return None
        return replace(self, places=self.places[kept], reach=self.reach[kept], bound=self.bound[kept])


@dataclass
class Survey:
    """One space as arrays, looked at once for all orders."""

    space: Space
    rings: int
    shared: Tables | None = None
    """Those of the same split, where other surveys have them too."""

    @cached_property
    def moving(self) -> tuple[Operand, ...]:
        """Operands that meet DRAM."""
        return tuple(operand for operand in self.space.operands if operand.moves)

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """Those that differ in what they move: the words of an optimizer, say, are many, and move alike."""
        first: dict[object, Operand] = {}
        many = Counter(first.setdefault(operand.motion, operand).use for operand in self.moving)
        return tuple(Kind(operand, many[operand.use]) for operand in first.values())

    @cached_property
    def tables(self) -> Tables:
        """Tables over the grid."""
        return self.shared or Tables(Grid(self.space))

    @property
    def grid(self) -> Grid:
        """The tilings as arrays."""
        return self.tables.grid

    @cached_property
    def once(self) -> list[Once]:
        """What the tiles of each operand move, each once."""
        return [self.tables.once(operand) for operand in self.moving]

    @property
    def fewest(self) -> int:
        """What no tiling costs less than, whatever its order is."""
        return TURNS * sum(many * self.tables.fewest(operand) for operand, many in self.kinds)

    @cached_property
    def reached(self) -> Reached:
        """The largest sizes of the fast loop that fit."""
        operands = self.space.operands
        return Reached(self.tables, operands, self.kinds, self.tables.largest(operands, self.rings))

    def whole(self, orders: Sequence[Ordered]) -> tuple[Ordered, dict[str, int]] | None:
        """The largest tiles, where they fit and every core moves each operand once: no others of the space move less.

        Nothing is moved again then, and cutting a box makes its bursts no fewer, unless it has gaps that nobody reads.
        """
        tiles = {name: sizes[-1] for name, sizes in self.space.sizes.items()}
        if not self.fits(tiles) or any(_gaps(each.operand, self.space.extents) for each in self.kinds):
            return None
        for ordered in orders:
            loops = self.loops_of(ordered.order, tiles)
            alone = all(self._moves_once(loops, each.operand, tiles) for each in self.kinds)
            if alone and self.turns_inside(ordered.order) and self._may_run(ordered.order, tiles):
                return ordered, tiles
        return None

    def _may_run(self, order: tuple[str, ...], tiles: dict[str, int]) -> bool:
        """Whether the machine can run *tiles* in this *order*."""
        return bool(legal_tiles(self.space.request, self.space.operands, order, tiles, self.space.extents))

    def _moves_once(self, loops: tuple[str, ...], operand: Operand, tiles: dict[str, int]) -> bool:
        """Whether every core moves each tile of *operand* once, where *loops* turn."""
        turning = self.turning_of(loops, operand, tiles)
        least = 1 if turning.split in operand.loops else max(len(turning.shares), 1)
        return turning.repeats(operand.followed) <= least

    def fronts(self, orders: Sequence[Ordered]) -> Iterator[Front]:
        """The groups of every order; of orders that cost alike only the first."""
        seen: set[object] = set()
        for ordered in orders:
            if not self.turns_inside(ordered.order):
                continue
            turning = tuple(self.tables.again(ordered.order, each.operand) for each in self.kinds)
            summed = self.summed_of(ordered.order)
            if (turning, summed) in seen:
                continue
            seen.add((turning, summed))
            places, reach = self.reached.places(ordered.order, *summed)
            if len(places):
                bound = self.reached.bound(ordered.order, turning)
                bound = bound[places] if len(places) < len(bound) else bound
                yield Front(self, ordered, turning, places, reach, bound)

    def turns_inside(self, order: tuple[str, ...]) -> bool:
        """Whether nothing turns inside the blocks of a rounding sum that a buffer holds side by side."""
        if not self.space.request.rounds:
            return True
        blocks = {name for operand in self.space.operands for name, _ in operand.whole}
        return all(
            len(self.space.sizes[inner]) == 1 and inner not in ALWAYS
            for name in blocks
            for inner in order[order.index(name) + 1 :]
        )

    def summed_of(self, order: tuple[str, ...]) -> tuple[object, object]:
        """What of an order bears on legality: loops of results that turn inside each loop of the sum, and what turns
        inside the loops whose tiles lie side by side."""
        held = [(operand.loops, name) for operand in self.space.operands for name, _ in operand.whole]
        return self.tables.sums(order), tuple(
            loops.intersection(order[order.index(name) + 1 :]) for loops, name in held
        )

    def within(self, front: Front, place: int, reach: int) -> tuple[int, Array]:
        """The number of the first size of the fast loop in a group, and from there to *reach* the tilings' bounds."""
        grid = self.grid
        band, numbers = grid.group(place)
        sizes = slice(band.first, reach + 1)
        tiles: dict[str, Any] = {name: sizes[numbers.get(name, 0)] for name, sizes in self.space.sizes.items()}
        tiles[grid.fast] = grid.tiles[grid.fast].ravel()[sizes]
        factors = Factors(self.space, tiles)
        total = np.zeros(reach + 1 - band.first, np.int64)
        for (operand, many), turning in zip(self.kinds, front.turning, strict=True):
            dram = self.tables.once(operand).dram
            at = tuple(numbers.get(name, 0) if n > 1 else 0 for name, n in zip(grid.names, dram.shape, strict=False))
            here = dram[at[:-1]] if dram.ndim else dram
            here = here[sizes] if np.size(here) > 1 else here
            total += many * worth(self.space, operand, here * factors.repeats(operand, turning))
        return band.first, total + turns_of(self.space, front.ordered.order, tiles)

    def fits(self, tiles: dict[str, int]) -> bool:
        """Whether the buffers of a tiling find room, one after the other, as they will be allocated."""
        target = self.space.request.target
        room = [memory.bytes for memory in target.memories]
        for operand in self.space.operands:
            refilled = operand.doubled and any(tiles[name] < self.space.extents[name] for name in operand.loops)
            need = int(operand.bytes(tiles)) * (self.rings if refilled else 1)
            home = next((home for home in target.memory_for(operand.role) if room[home] >= need), None)
            if home is None:
                return False
            room[home] -= need
        return True

    def loops_of(self, order: tuple[str, ...], tiles: dict[str, int]) -> tuple[str, ...]:
        """The loops that turn, outermost first."""
        return present(order, tiles, self.space.extents)

    def turning_of(self, loops: tuple[str, ...], operand: Operand, tiles: dict[str, int]) -> Turning:
        """Which of *loops*, all that turn, do so around the place where *operand* is moved."""
        depth = len(loops)
        while depth and loops[depth - 1] not in operand.loops:
            depth -= 1
        extents, shares = self.space.request.extents, self.space.shares(operand)
        if self.space.cast(operand, loops[:depth], tiles):
            shares = shares[:1]
        whole = frozenset(name for name, _ in operand.whole)
        return Turning(loops[:depth], tiles, extents, self.space.split.loop or "", shares, whole)

    def cost(self, order: tuple[str, ...], tiles: dict[str, int]) -> int:
        """What a tiling costs, exactly."""
        granule = self.space.request.target.dram.granule_bytes
        total, loops = 0, self.loops_of(order, tiles)
        for operand, many in self.kinds:
            turning = self.turning_of(loops, operand, tiles)
            told = tuple([tiles[name] for name in (*turning.loops, *sorted(operand.loops))])
            key, exact = (operand.use, operand.whole, turning.loops, told), self.tables.exact
            if key not in exact and operand.stored is not None:
                exact[key] = moved_in_blocks(operand.axes, operand.stored, turning, granule)
            elif key not in exact:
                strides = operand.dram_strides
                exact[key] = bursts_of(operand.axes, strides, operand.format.bits, turning, granule)
            total += many * int(worth(self.space, operand, exact[key]))
        return total + int(turns_of(self.space, order, tiles))

    def decision(self, ordered: Ordered, tiles: dict[str, int]) -> Decision:
        """What is decided where a tiling is chosen."""
        space = self.space
        split, cores = space.split, space.request.cores
        shares = split.shares if split.loop is not None else tuple((0, int(core == 0)) for core in range(cores))
        dataflow = TIME_PARALLEL if tiles.get("t", 1) > 1 else ordered.dataflow
        cast = self.cast(ordered.order, tiles)
        return Decision(dataflow, ordered.order, tiles, split.loop, shares, self.rings, space.whole, cast)

    def cast(self, order: tuple[str, ...], tiles: dict[str, int]) -> tuple[str, ...]:
        """Operands that one core loads for all, by use."""
        loops, alike = self.loops_of(order, tiles), (each for each in self.moving if self.space.shareable(each))
        return tuple(
            operand.use
            for operand in alike
            if self.space.cast(operand, self.turning_of(loops, operand, tiles).loops, tiles)
        )


def _gaps(operand: Operand, extents: Mapping[str, int]) -> bool:
    """Whether a whole tile has elements that nobody reads, as a stride that is longer than its window leaves them."""
    for axis in operand.axes:
        reached = 1
        for c, name in sorted((abs(c) // axis.step, name) for name, c in axis.terms):
            if c > reached:
                return True
            reached += c * (extents[name] - 1)
    return False
