"""Loop and view registers: where a unit stands in its loops, and what it sees from there."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from operator import mul
from typing import TYPE_CHECKING, NamedTuple

from ..numerics.formats import Format

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
        turn = self.counter + 1
        if turn >= self.trips:
            self.close()
            return False
        self.counter = turn
        self.start = start = self.start + self.tile
        if turn + 1 == self.trips:
            self.extent = self.total - start
        return True

    def close(self) -> None:
        """Leave the loop."""
        self.counter = self.start = self.extent = self.tile = self.total = self.trips = self.body = 0


class ViewRegister:
    """One view: ``space``, ``format``, base, ring, axes, turns and spans, resolved against the *loops* of its stream.

    Once an instruction has used it, it is not changed any more: a definition makes another one.
    """

    def __init__(self, loops: Sequence[LoopRegister], space: int, fmt: Format, rank: int, base: int, ring: int) -> None:
        self.space, self.format, self.rank, self.base, self.ring = space, fmt, rank, base, ring
        self.sizes: tuple[int, ...] = (1,) * rank
        self.strides: tuple[int, ...] = (0,) * rank
        self.offsets: tuple[int, ...] = (0,) * rank
        self.bounds: tuple[int, ...] = (0,) * rank
        self.coding: Coding | None = None
        self._loops = loops
        self._positioned = space in (DRAM, IDENTITY)
        self._turns: tuple[tuple[LoopRegister, int], ...] = ()
        self._ahead = 0
        self._moving: tuple[tuple[int, LoopRegister, int], ...] = ()
        self._growing: tuple[tuple[int, LoopRegister, int], ...] = ()
        self._stepping: tuple[tuple[int, LoopRegister], ...] = ()
        self._changed()

    def copied(self) -> ViewRegister:
        """Another register of the same contents."""
        other = copy(self)
        other._changed()
        return other

    def _changed(self) -> None:
        """Forget what was made of axes and spans."""
        self._along: tuple[tuple[LoopRegister, int], ...] = ()
        self._extents: tuple[int, ...] | None = None
        self._affine: tuple[int, tuple[tuple[LoopRegister, int], ...], tuple[tuple[LoopRegister, int], ...]] | None
        self._affine = None
        self._kept: tuple[bool, ...] | None = None

    def define_axis(self, axis: int, extent: int, stride: int, offset: int, bound: int) -> None:
        """See the instruction ``axis``; ValueError for an axis beyond the rank."""
        if axis >= self.rank:
            raise ValueError(f"axis {axis} of a view with {self.rank}")
        self.sizes = _replaced(self.sizes, axis, extent)
        self.strides = _replaced(self.strides, axis, stride)
        self.offsets = _replaced(self.offsets, axis, offset)
        self.bounds = _replaced(self.bounds, axis, bound)
        self._changed()

    def define_turn(self, loop: int, stride: int, ahead: int) -> None:
        """See the instruction ``turn``."""
        self._turns = (*self._turns, (self._loops[loop], stride))
        self._ahead += ahead * stride
        self._changed()

    def define_span(self, axis: int, loop: int, coefficient: int, moves: bool, grows: bool) -> None:
        """See the instruction ``span``; ValueError for an axis beyond the rank."""
        if axis >= self.rank:
            raise ValueError(f"axis {axis} of a view with {self.rank}")
        register = self._loops[loop]
        if moves:
            self._moving = (*self._moving, (axis, register, coefficient))
        if grows:
            self._growing = (*self._growing, (axis, register, abs(coefficient)))
        self._stepping = (*self._stepping, (axis, register))
        self._changed()

    @property
    def still(self) -> bool:
        """Whether it always begins at its base."""
        return not (self._positioned or self._turns)

    @property
    def kept(self) -> tuple[bool, ...]:
        """Which axes tell elements apart; along the others all elements are one."""
        if self._kept is None:
            self._kept = tuple(stride != 0 for stride in self.strides)
        return self._kept

    def extents(self) -> tuple[int, ...]:
        """Elements along each axis: the same tuple as before while no extent of a loop changes."""
        for loop, extent in self._along:
            if loop.extent != extent:
                break
        else:
            if self._extents is not None:
                return self._extents
        result = list(self.sizes)
        for axis, loop, coefficient in self._growing:
            result[axis] += coefficient * (loop.extent - 1)
        for axis, loop in self._stepping:
            if not loop.extent:
                result[axis] = 0
        self._along = tuple((loop, loop.extent) for _, loop in self._stepping)
        self._extents = tuple(result)
        return self._extents

    def begins(self) -> tuple[int, ...]:
        """Position at which each axis begins."""
        if not self._moving:
            return self.offsets
        result = list(self.offsets)
        for axis, loop, coefficient in self._moving:
            result[axis] += coefficient * (loop.start if coefficient >= 0 else loop.start + loop.extent - 1)
        return tuple(result)

    def turned(self) -> int:
        """How far turns have moved it: by bits, or blocks where it has a codec."""
        moved = self._ahead
        for loop, stride in self._turns:
            moved += loop.counter * stride
        return moved % self.ring if self.ring else moved

    def start(self) -> int:
        """Bit address of element 0.  Positions move it in DRAM and the identity, in scratchpads only turns do."""
        if self._affine is None:
            self._affine = self._resolved()
        address, rising, falling = self._affine
        if self._turns:
            address += self.turned()
        for loop, bits in rising:
            address += bits * loop.start
        for loop, bits in falling:
            address += bits * (loop.start + loop.extent - 1)
        return address

    def _resolved(self) -> tuple[int, tuple[tuple[LoopRegister, int], ...], tuple[tuple[LoopRegister, int], ...]]:
        """(address but for turns and loops, bits for each position of loops that walk up, and of those down)."""
        if not self._positioned:
            return self.base, (), ()
        first = self.base + sum(map(mul, self.offsets, self.strides))
        moving = [(loop, c * self.strides[axis], c >= 0) for axis, loop, c in self._moving]
        rising = tuple((loop, bits) for loop, bits, up in moving if up and bits)
        return first, rising, tuple((loop, bits) for loop, bits, up in moving if not up and bits)


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
