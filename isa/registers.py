"""Loop and view registers: where a unit stands in its loops, and what it sees from there."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from operator import mul
from typing import TYPE_CHECKING, NamedTuple

from ..numerics.formats import Format
from .access import Layout, layout_of

if TYPE_CHECKING:
    from .coded import Coding
    from .instruction import Instruction

DRAM, IDENTITY = 0, 63
"""Spaces that are no scratchpads: main memory, and the one where the value of an element is its address."""


class Window(NamedTuple):
    """A view resolved at one moment: what an instruction touches.

    *space* 0 is DRAM, 1.. scratchpads, 63 the identity.  Bit address of element k is ``start + sum k_i * strides_i``.
    """

    space: int
    format: Format
    start: int
    extents: tuple[int, ...]
    strides: tuple[int, ...]


class LoopRegister:
    """One loop: in turn ``counter`` it stands at ``start = counter * tile``; *body* is the instruction behind it.

    A loop that is not open stands at 0 with extent 0.
    """

    __slots__ = ("body", "counter", "extent", "start", "tile", "total", "trips")

    def __init__(self) -> None:
        self.close()

    def open(self, tile: int, total: int, body: int) -> None:
        """First of ``ceil(total / tile)`` turns."""
        self.tile, self.total, self.body = tile, total, body
        self.trips = -(-total // tile)
        self.counter = self.start = 0
        self.extent = min(tile, total)

    def open_last(self, counter: int, body: int) -> None:
        """Turn number *counter*, behind which there is none."""
        self.open(1, counter + 1, body)
        self.counter = self.start = counter
        self.extent = 1

    def advance(self) -> bool:
        """Take the next turn; false, and closed, where there is none."""
        if self.counter + 1 >= self.trips:
            self.close()
            return False
        self.counter += 1
        self.start += self.tile
        self.extent = min(self.tile, self.total - self.start)
        return True

    def close(self) -> None:
        """Leave the loop."""
        self.counter = self.start = self.extent = self.tile = self.total = self.trips = self.body = 0


class ViewRegister:
    """One view: ``space``, ``format``, base, ring, axes, turns and spans, resolved against the loop registers."""

    def __init__(self, space: int, fmt: Format, rank: int, base: int, ring: int) -> None:
        self.space, self.format, self.rank, self.base, self.ring = space, fmt, rank, base, ring
        self.sizes: tuple[int, ...] = (1,) * rank
        self.strides: tuple[int, ...] = (0,) * rank
        self.offsets: tuple[int, ...] = (0,) * rank
        self.bounds: tuple[int, ...] = (0,) * rank
        self.turns: list[tuple[int, int, int]] = []
        self._moving: list[tuple[int, int, int]] = []
        self._growing: list[tuple[int, int, int]] = []
        self._stepping: list[tuple[int, int]] = []
        self._positioned = space in (DRAM, IDENTITY)
        self._sized: tuple[list[int], tuple[int, ...]] = [], ()
        self._affine: tuple[int, tuple[tuple[int, int, int], ...]] | None = None
        self._kept: tuple[bool, ...] | None = None
        self.coding: Coding | None = None
        self.frozen = False  # kept for the next time that its definition runs, and so not to be changed
        self._layouts: dict[tuple[int, ...], Layout] = {}

    def copied(self) -> ViewRegister:
        """Another register of the same contents."""
        other = copy(self)
        other.turns, other.frozen, other._layouts = [*self.turns], False, {}
        other._moving, other._growing, other._stepping = [*self._moving], [*self._growing], [*self._stepping]
        other._changed()
        return other

    def _changed(self) -> None:
        """Forget what was made of axes and spans."""
        self._sized, self._affine, self._kept = ([], ()), None, None

    def layout(self, extents: tuple[int, ...]) -> Layout:
        """How the storage elements of a tile lie."""
        found = self._layouts.get(extents)
        if found is None:
            found = self._layouts[extents] = layout_of(self.format, extents, self.strides)
        return found

    def define_axis(self, axis: int, extent: int, stride: int, offset: int, bound: int) -> None:
        """See the instruction ``axis``; ValueError for an axis beyond the rank."""
        if axis >= self.rank:
            raise ValueError(f"axis {axis} of a view with {self.rank}")
        self.sizes = _replaced(self.sizes, axis, extent)
        self.strides = _replaced(self.strides, axis, stride)
        self._layouts.clear()
        self._changed()
        self.offsets = _replaced(self.offsets, axis, offset)
        self.bounds = _replaced(self.bounds, axis, bound)

    def define_turn(self, loop: int, stride: int, ahead: int) -> None:
        """See the instruction ``turn``."""
        self.turns.append((loop, stride, ahead))

    def define_span(self, axis: int, loop: int, coefficient: int, moves: bool, grows: bool) -> None:
        """See the instruction ``span``; ValueError for an axis beyond the rank."""
        if axis >= self.rank:
            raise ValueError(f"axis {axis} of a view with {self.rank}")
        self._changed()
        if moves:
            self._moving.append((axis, loop, coefficient))
        if grows:
            self._growing.append((axis, loop, abs(coefficient)))
        self._stepping.append((axis, loop))

    @property
    def kept(self) -> tuple[bool, ...]:
        """Which axes tell elements apart; along the others all elements are one."""
        if self._kept is None:
            self._kept = tuple(stride != 0 for stride in self.strides)
        return self._kept

    def extents(self, loops: Sequence[LoopRegister]) -> tuple[int, ...]:
        """Elements along each axis.  Those of the latest tile are kept, since most tiles are as large as it."""
        if not self._stepping:
            return self.sizes
        along = [loops[loop].extent for _, loop in self._stepping]
        if along == self._sized[0]:
            return self._sized[1]
        result = list(self.sizes)
        for axis, loop, coefficient in self._growing:
            result[axis] += coefficient * (loops[loop].extent - 1)
        for (axis, _), extent in zip(self._stepping, along, strict=True):
            if not extent:
                result[axis] = 0
        self._sized = along, tuple(result)
        return self._sized[1]

    def begins(self, loops: Sequence[LoopRegister]) -> tuple[int, ...]:
        """Position at which each axis begins."""
        if not self._moving:
            return self.offsets
        result = list(self.offsets)
        for axis, loop, coefficient in self._moving:
            register = loops[loop]
            low = register.start if coefficient >= 0 else register.start + register.extent - 1
            result[axis] += coefficient * low
        return tuple(result)

    def turned(self, loops: Sequence[LoopRegister]) -> int:
        """How far turns have moved it: by bits, or blocks where it has a codec."""
        moved = 0
        for loop, stride, ahead in self.turns:
            moved += (loops[loop].counter + ahead) * stride
        return moved % self.ring if self.ring else moved

    def start(self, loops: Sequence[LoopRegister]) -> int:
        """Bit address of element 0.  Positions move it in DRAM and the identity, in scratchpads only turns do."""
        if not self._positioned:
            return self.base + self.turned(loops) if self.turns else self.base
        if self._affine is None:
            first = self.base + sum(map(mul, self.offsets, self.strides))
            self._affine = first, tuple((loop, c * self.strides[axis], c) for axis, loop, c in self._moving)
        address, moving = self._affine
        if self.turns:
            address += self.turned(loops)
        for loop, bits, coefficient in moving:
            register = loops[loop]
            address += bits * (register.start if coefficient >= 0 else register.start + register.extent - 1)
        return address


@dataclass
class Definitions:
    """Instructions up to *end* that define the view registers *numbers*; once they have run, what came of them."""

    end: int
    numbers: set[int] = field(default_factory=set[int])
    registers: list[tuple[int, ViewRegister]] = field(default_factory=list[tuple[int, ViewRegister]])


def definitions_of(instructions: Sequence[Instruction]) -> dict[int, Definitions]:
    """Runs of instructions that define view registers, each register from its ``view`` on, by the first's number."""
    found: dict[int, Definitions] = {}
    run: Definitions | None = None
    for place, instruction in enumerate(instructions):
        if instruction.mnemonic not in ("view", "turn", "axis", "span", "coded", "grid"):
            run = None
            continue
        number = int(getattr(instruction, "view"))  # noqa: B009, its class imports this module
        if instruction.mnemonic == "view":
            if run is None:
                run = found[place] = Definitions(place)
            run.numbers.add(number)
        elif run is not None and number not in run.numbers:
            run = None
        if run is not None:
            run.end = place + 1
    return found


def _replaced(values: tuple[int, ...], place: int, value: int) -> tuple[int, ...]:
    """*values* with another one at *place*."""
    return (*values[:place], value, *values[place + 1 :])
