"""How often the tiles of operands are moved again, as an order of loops has it, and what that costs.

Orders differ in little: how often an operand's tiles are moved depends on which loops that it follows turn inside each
of the others, and most of these sets are the same in several orders.  So factors and products are found once a set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir.schedule import ALWAYS
from .legality import Tiles
from .operands import Operand
from .space import Space

TURNS = 1 << 20
"""Turns are worth less than a byte: a cost is ``bytes * TURNS + turns``, a KiB over the mesh counting as one.  From a
part of this number on, turns and KiB weigh alike."""

MOST_TURNS = TURNS // 2 - 1
"""What turns count at most, so that they stay less than a byte."""

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
        key = name, inside, cores, name == self._space.split.loop and self._space.shareable(operand)
        if key not in self._found:
            self._found[key] = self.factor(operand, name, inside, self.turns(operand, name) if inside else 1)
        return self._found[key]

    def factor(self, operand: Operand, name: str, inside: frozenset[str], turns: Any) -> Any:
        """So many *turns* of loop *name* if any of those *inside* it turns, too; else as many as there are cores that
        move the operand for themselves."""
        alone = name == self._space.split.loop and not self._space.shareable(operand)
        least = len(self._space.shares(operand)) if alone else 1
        if not inside:
            return least
        filled = self._filled(inside)
        return turns if filled is True else np.where(filled, turns, least)

    def turns(self, operand: Operand, name: str) -> Any:
        """Turns of loop *name* on all cores that move the tiles of *operand*."""
        split = name == self._space.split.loop
        shares = self._space.shares(operand) if split else ((0, self._space.extents[name]),)
        alike = Counter(extent for _, extent in shares)
        trips = {extent: -(-extent // self._tiles[name]) for extent in alike}
        turns = sum(count * trips[extent] for extent, count in alike.items())
        if split and self._space.shareable(operand):  # by one core for all, where they have as many turns each
            most, fewest = trips[max(alike)], trips[min(alike)]
            turns = np.where(np.equal(most, fewest), most, turns)
        return turns

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
    return np.minimum(turns, MOST_TURNS)


def worth(space: Space, operand: Operand, dram: Any) -> Any:
    """What moving so many bytes of *operand* costs."""
    return with_mesh(space, operand, dram * TURNS)


def with_mesh(space: Space, operand: Operand, cost: Any) -> Any:
    """What moving *operand* costs, its bytes of DRAM this *cost*: KiB that one core loads for all count beside."""
    return cost + np.minimum(cost >> 30, TURNS // 16 - 1) if space.shareable(operand) else cost
