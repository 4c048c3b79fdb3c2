"""What surveys of a statement share that cores split in one way: sizes are the same, whatever lies side by side.

An operand is found here by what its buffer holds.  All of it is tables over the grid, an axis for each loop that bears
on them; what depends on the size of the fast loop has all of its sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .grid import Array, Grid, Row, apart, largest, need, picked
from .least import Once, once_in_blocks, once_of
from .legality import legal_alone
from .operands import Operand
from .repeats import TURNS, Again, Factors, again, turns_of


@dataclass
class Tables:
    """Tables of one *grid*, made when they are asked for."""

    grid: Grid
    exact: dict[object, int] = field(default_factory=dict[object, int])
    """Bytes that tilings move exactly, by all that bears on it, where surveys have found them."""

    _known: dict[object, Any] = field(default_factory=dict[object, Any])

    def once(self, operand: Operand) -> Once:
        """What the tiles of *operand* move, each once."""
        key = "once", operand.use, operand.whole
        if key not in self._known:
            stored = operand.stored
            found = once_of(self.grid, operand) if stored is None else once_in_blocks(self.grid, operand, stored)
            self._known[key] = found
        return self._known[key]

    def fewest(self, operand: Operand) -> int:
        """The fewest bytes that any tiling moves of *operand*."""
        key = "fewest", operand.use, operand.whole
        if key not in self._known:
            self._known[key] = int(np.min(self.once(operand).dram))
        return self._known[key]

    def least(self, operand: Operand) -> Any:
        """What the tiles of *operand* cost at least, each moved once, with any size of a band up to each."""
        key = "least", operand.use, operand.whole
        if key not in self._known:
            dram = self.once(operand).dram
            if dram.ndim and dram.shape[-1] > 1:
                bands = (dram[..., band.first : band.last + 1] for band in self.grid.bands)
                dram = np.concatenate([np.minimum.accumulate(band, -1) for band in bands], -1)
            self._known[key] = dram * TURNS
        return self._known[key]

    def largest(self, operands: Sequence[Operand], rings: int) -> Array:
        """The number of the largest size of each band that fits, wherever one does; less than its first elsewhere."""
        found: Any = self.grid.last
        for group in self._apart(operands):
            key = ("largest", rings, *((operand.use, operand.whole) for operand in group))
            if key not in self._known:
                self._known[key] = largest(self.grid, [self._need(operand, rings) for operand in group])
            found = np.minimum(found, self._known[key])
        return np.broadcast_to(found, self.grid.shape)

    def _apart(self, operands: Sequence[Operand]) -> list[list[Operand]]:
        """Those whose buffers have a memory in common; these are the same for all that the buffers may hold."""
        key = "apart", *(operand.role for operand in operands)
        if key not in self._known:
            self._known[key] = list(apart(self.grid.space.request.target, operands))
        return [[operands[place] for place in group] for group in self._known[key]]

    def _need(self, operand: Operand, rings: int) -> Row:
        key = "need", rings, operand.tile
        if key not in self._known:
            self._known[key] = need(self.grid, operand, rings)
        return self._known[key], self.grid.space.request.target.memory_for(operand.role)

    def sums(self, order: tuple[str, ...]) -> object:
        """Loops of results that turn inside each loop of a sum, in *order*."""
        key = "sums", order
        if key not in self._known:
            space = self.grid.space
            summed = {*getattr(space.request.statement, "summed", ())}.union(
                *(alone for _, alone in space.request.final)
            )
            writing = (operand for operand in space.operands if operand.stores)
            targets = frozenset(name for operand in writing for name in operand.followed | operand.hold)
            self._known[key] = tuple(
                (name, targets.intersection(order[place + 1 :])) for place, name in enumerate(order) if name in summed
            )
        return self._known[key]

    def again(self, order: tuple[str, ...], operand: Operand) -> Again:
        """What of an order bears on how often the tiles of *operand* are moved."""
        key = "again", order, operand.use, operand.whole
        if key not in self._known:
            self._known[key] = again(order, operand, self.grid.space)
        return self._known[key]

    @cached_property
    def banded(self) -> dict[str, Any]:
        """The sizes of every loop, of the fast one the first of each band: in whether they cut it, all are alike."""
        grid = self.grid
        return grid.tiles | {grid.fast: picked(grid.tiles[grid.fast], grid.first)}

    @cached_property
    def factors(self) -> Factors:
        """How often the turns of all loops but the fast one repeat tiles."""
        return Factors(self.grid.space, self.banded)

    def turns(self, operand: Operand) -> tuple[object, Any]:
        """Turns of the fast loop on all cores that move the tiles of *operand*, and what tells them from others."""
        space, fast = self.grid.space, self.grid.fast
        key = "turns", len(space.shares(operand)) if fast == space.split.loop else 0, space.shareable(operand)
        if key not in self._known:
            self._known[key] = Factors(space, self.grid.tiles).turns(operand, fast)
        return key, self._known[key]

    def slow_turns(self, order: tuple[str, ...]) -> Any:
        """Turns of all loops but the fast one together."""
        loops = frozenset(order) - {self.grid.fast}
        key = "slow turns", loops
        if key not in self._known:
            self._known[key] = turns_of(self.grid.space, sorted(loops), self.banded)
        return self._known[key]

    def legal(self, order: tuple[str, ...], sums: object) -> Any:
        """Whether the machine can run tilings in *order* where nothing lies side by side; orders of *sums* alike."""
        key = "legal", sums
        if key not in self._known:
            space = self.grid.space
            self._known[key] = legal_alone(space.request, space.operands, order, self.banded, space.extents)
        return self._known[key]
