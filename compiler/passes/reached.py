"""The largest sizes of the fast loop that fit, and what tilings of these sizes cost at least, for any order of loops.

Whether a size cuts the loop is the same in all of a band.  So what a tiling costs is a table in which the fast loop
has no sizes, which many surveys share, times one that follows it: what is moved once, or how often it turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .grid import Array, Grid, picked
from .legality import may_hold
from .operands import Operand
from .repeats import MOST_TURNS, Again, with_mesh
from .tables import Tables


class Kind(NamedTuple):
    """An operand that meets DRAM, and how *many* there are that move what it moves, itself included."""

    operand: Operand
    many: int


@dataclass
class Reached:
    """The largest sizes of the fast loop that fit, by number: of each band, less than its first where none does."""

    tables: Tables
    operands: tuple[Operand, ...]
    """All that need a buffer."""

    moving: Sequence[Kind]
    """Those that meet DRAM."""

    reach: Array
    _turns: dict[frozenset[str], Any] = field(default_factory=dict[frozenset[str], Any])
    _picked: dict[object, Any] = field(default_factory=dict[object, Any])
    _moved: dict[tuple[int, Again], Any] = field(default_factory=dict[tuple[int, Again], Any])
    _places: dict[object, tuple[Array, Array]] = field(default_factory=dict[object, tuple[Array, Array]])

    @property
    def grid(self) -> Grid:
        """All tilings."""
        return self.tables.grid

    @cached_property
    def _reached(self) -> Array:
        """Numbers of sizes, where none fits those of the smallest."""
        return np.maximum(self.reach, self.grid.first)

    def _at_reach(self, key: object, table: Any) -> Any:
        """A *table* at the largest sizes that fit; *key* tells which."""
        if key not in self._picked:
            self._picked[key] = picked(table, self._reached)
        return self._picked[key]

    def places(self, order: tuple[str, ...], sums: object, held: object) -> tuple[Array, Array]:
        """Where a tiling fits that is legal in *order*, and the numbers of sizes there.

        Legal alike are orders with alike *sums*, and alike turns inside what is *held* side by side.
        """
        likeness = sums, held
        if likeness not in self._places:
            grid, tables = self.grid, self.tables
            legal = tables.legal(order, sums) & may_hold(self.operands, order, tables.banded, grid.space.extents)
            places = np.flatnonzero(legal & (self.reach >= grid.first))
            self._places[likeness] = places, self.reach.ravel()[places]
        return self._places[likeness]

    def bound(self, order: tuple[str, ...], turning: Sequence[Again]) -> Array:
        """The least cost of any tiling, everywhere; *turning* tells of each kind of operand what moves it again."""
        loops = frozenset(order)
        if loops not in self._turns:
            grid = self.grid
            turns = self.tables.slow_turns(order)
            if grid.fast in loops:
                turns = np.minimum(turns * self._at_reach("trips", grid.trips[grid.fast]), MOST_TURNS)
            self._turns[loops] = turns
        costs = [self._cost(number, again) for number, again in enumerate(turning)]
        total: Any = np.int64(0)
        for cost in sorted([*costs, self._turns[loops]], key=np.size):  # what depends on few loops is small
            total = total + cost
        return np.broadcast_to(total, self.grid.shape).ravel()

    def _cost(self, number: int, turning: Again) -> Any:
        """What moving all operands of a kind costs at least."""
        key = number, turning
        if key not in self._moved:
            (operand, many), tables, fast = self.moving[number], self.tables, self.grid.fast
            slow = tuple(each for each in turning if each[0] != fast)
            cost = self._at_reach(number, tables.least(operand)) * tables.factors.repeats(operand, slow)
            for name, inside in turning if len(slow) < len(turning) else ():
                if name == fast:
                    told, turns = tables.turns(operand)
                    cost = cost * tables.factors.factor(operand, fast, inside, self._at_reach(told, turns))
            self._moved[key] = with_mesh(self.grid.space, operand, cost) * many
        return self._moved[key]
