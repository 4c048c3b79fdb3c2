"""Loads and stores of boxes that do not change their size: planned once, and copied at every turn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .access import Layout, memory_of, strided
from .kernels.bursts import bursts
from .registers import DRAM, ViewRegister
from .transfer import Grid, Plan, check_row, clipped, plan_of, without_tail

Array = NDArray[Any]
Bytes = NDArray[np.uint8]
Shape = tuple[int, ...]
Placed: TypeAlias = "tuple[Array, Array]"
"""The whole tile in the scratchpad, and the part of it that exists in DRAM."""


@dataclass
class Way:
    """Transfers by the same *plan*: what has been found for each address."""

    plan: Plan
    clipped: bool
    exists: bool
    placed: dict[int, Placed | None] = field(default_factory=dict[int, "Placed | None"])
    granules: dict[int, int] = field(default_factory=dict[int, int])

    def bursts(self, byte: int, granule: int) -> int:
        """Of so many bytes each, for a box that begins at *byte* of DRAM."""
        offset = byte % granule
        found = self.granules.get(offset)
        if found is None:
            found = self.granules[offset] = bursts(offset, *self.plan.rows, granule)
        return found


class Transfer(ABC):
    """Moves boxes between a *view* of DRAM and one of a scratchpad, the *pad*.

    Boxes of the same size are planned once, and tiles of the scratchpad found once.
    """

    verbs = ("", "")
    """What happens to the scratchpad, and to DRAM: for faults."""

    def __init__(self, memories: Sequence[Bytes], view: ViewRegister, pad: ViewRegister) -> None:
        self._memories, self._view, self._pad = memories, view, pad
        self._bounded = tuple((axis, bound) for axis, bound in enumerate(view.bounds) if bound)
        self._zeros = (0,) * view.rank
        self._extents: Shape | None = None
        self._way: Way | None = None
        self._ways: dict[tuple[Shape, Shape, Shape], Way] = {}
        self._dram, self._dram_bits = memories[DRAM].data, memories[DRAM].size * 8

    def move(self, extents: Shape) -> tuple[Way, int]:
        """Move the box where view and pad stand now: (how, the bit of DRAM where it begins).

        ValueError for what leaves a memory, its bounds, or the bytes of a packed row.
        """
        view = self._view
        begins = view.begins() if self._bounded else self._zeros
        for axis, bound in self._bounded:
            begin = begins[axis]
            if begin < 0 or begin + extents[axis] > bound:
                way = self._clipped(extents, begins)
                break
        else:
            if extents is self._extents and self._way is not None:
                way = self._way
            else:
                self._extents = extents
                way = self._way = self._planned(extents, self._zeros, extents)
        plan, start = way.plan, self._pad.start()
        if start not in way.placed:
            way.placed[start] = self._place(plan, start, way.clipped)
        if not way.exists:
            self._copy(way, start, 0)
            return way, 0
        if plan.grid.tail:
            check_row(plan, begins, view.bounds)
        address, dram = view.start() + plan.moved, plan.dram
        if address + dram.low < 0 or address + dram.high > self._dram_bits or address & 7 or dram.problem:
            strided(self._memories, DRAM, address, dram, self.verbs[1])  # says what is wrong
        self._copy(way, start, address)
        return way, address

    def _clipped(self, extents: Shape, begins: Shape) -> Way:
        """The way of a box that leaves its bounds."""
        return self._planned(extents, *clipped(extents, begins, self._view.bounds))

    def _planned(self, extents: Shape, lows: Shape, sizes: Shape) -> Way:
        way = self._ways.get((extents, lows, sizes))
        if way is None:
            plan = plan_of(self._view.format, extents, self._view.strides, lows, sizes, self._pad.strides)
            way = self._ways[extents, lows, sizes] = Way(plan, sizes != extents, 0 not in sizes)
        return way

    def _place(self, plan: Plan, start: int, clipped: bool) -> Placed | None:
        """What lies at bit *start* of the scratchpad."""
        space, verb = self._pad.space, self.verbs[0]
        whole = strided(self._memories, space, start, plan.whole, verb)
        part = strided(self._memories, space, start + plan.skipped, plan.part, verb) if clipped else whole
        return whole, part

    @abstractmethod
    def _copy(self, way: Way, start: int, address: int) -> None:
        """Copy what exists of the box, which begins at bit *address* of DRAM."""

    def _box(self, plan: Plan, address: int) -> Array:
        """What exists of the box in DRAM."""
        dram = plan.dram
        return np.ndarray(dram.shape, dram.dtype, self._dram, address >> 3, dram.steps)


class Load(Transfer):
    """Copies boxes of DRAM to the scratchpad; elements outside of the bounds become zeros there."""

    verbs = "writes", "reads"

    def _copy(self, way: Way, start: int, address: int) -> None:
        placed = way.placed[start]
        assert placed is not None
        if way.clipped:
            placed[0][...] = 0
        if way.exists:
            copy(placed[1], self._box(way.plan, address), way.plan.grid)


class Store(Transfer):
    """Copies the scratchpad to boxes of DRAM, which may not leave their bounds."""

    verbs = "reads", "writes"

    def _clipped(self, extents: Shape, begins: Shape) -> Way:
        if 0 not in extents:
            bounds = self._view.bounds
            raise ValueError(f"stores at positions {begins} {extents} elements, outside of the bounds {bounds}")
        return super()._clipped(extents, begins)

    def _copy(self, way: Way, start: int, address: int) -> None:
        placed = way.placed[start]
        assert placed is not None
        if way.exists:
            copy(self._box(way.plan, address), placed[1], way.plan.grid)


class CountedLoad(Load):
    """What `Load` says, in memories of which only the size is known."""

    def _place(self, plan: Plan, start: int, clipped: bool) -> Placed | None:
        _within(self._memories, self._pad.space, start, plan.whole, self.verbs[0])

    def _copy(self, way: Way, start: int, address: int) -> None:
        """There is nothing to copy."""


class CountedStore(Store):
    """What `Store` says, in memories of which only the size is known."""

    def _place(self, plan: Plan, start: int, clipped: bool) -> Placed | None:
        _within(self._memories, self._pad.space, start, plan.whole, self.verbs[0])

    def _copy(self, way: Way, start: int, address: int) -> None:
        """There is nothing to copy."""


def copy(target: Array, source: Array, grid: Grid) -> None:
    """Copy pieces; behind the last element of packed rows there are zeros."""
    target[...] = source if not grid.tail else without_tail(source, grid)


def _within(memories: Sequence[Bytes], space: int, start: int, layout: Layout, verb: str) -> None:
    """ValueError unless the memory of a space has all of the layout."""
    if 0 not in layout.shape:
        memory_of(memories, space, start, layout, verb)
