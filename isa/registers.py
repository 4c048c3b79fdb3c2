"""Loop and view registers: where a unit stands in its loops, and what it sees from there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from operator import mul
from typing import TYPE_CHECKING, NamedTuple

from ..numerics.formats import Format
from .affine import Function

if TYPE_CHECKING:
    from .coded import Coding

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

    extents: Callable[[], tuple[int, ...]]
    """Elements along each axis: the same tuple whenever the extents of its loops are the same."""

    start: Callable[[], int]
    """Bit address of element 0.  Positions move it in DRAM and the identity, in scratchpads only turns do."""

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
        """Forget what was made of axes, turns and spans."""
        self._kept: tuple[bool, ...] | None = None
        self.extents, self.start = self._first_extents, self._first_start

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

    def _first_extents(self) -> tuple[int, ...]:
        """Make the function that says them."""
        known, function = _Extents(self.sizes, self._growing, self._stepping), Function()
        if self._stepping:
            function.add(f"return {function.name(known)}[{self.key(function)}]")
        else:
            function.add(f"return {function.name(self.sizes)}")
        self.extents = function.made()
        return self.extents()

    def _first_start(self) -> int:
        """Make the function that says it."""
        function = Function()
        function.add(f"return {self.address(function)}")
        self.start = function.made()
        return self.start()

    def key(self, function: Function) -> str:
        """The extents of the loops on which its own depend, written in *function*."""
        return function.tuple_of(
            [f"{function.name(loop)}.extent" for loop in _once(loop for _, loop in self._stepping)]
        )

    def begin(self, function: Function, axis: int) -> str:
        """The position at which *axis* begins, written in *function*."""
        terms = [function.name(self.offsets[axis])]
        for along, loop, coefficient in self._moving:
            if along == axis:
                terms.append(function.times(coefficient, function.place(loop, coefficient >= 0)))
        return " + ".join(terms)

    def address(self, function: Function) -> str:
        """What `start` says, written in *function*."""
        first = self.base
        terms = [function.times(stride, f"{function.name(loop)}.counter") for loop, stride in self._turns]
        if self.ring and terms:
            ahead = [function.name(self._ahead)] if self._ahead else []
            terms = [f"({' + '.join(ahead + terms)}) % {function.name(self.ring)}"]
        else:
            first += self._ahead
        if self._positioned:
            first += sum(map(mul, self.offsets, self.strides))
            for axis, loop, coefficient in self._moving:
                if bits := coefficient * self.strides[axis]:
                    terms.append(function.times(bits, function.place(loop, coefficient >= 0)))
        return " + ".join([function.name(first), *terms])

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


class _Extents(dict[tuple[int, ...], tuple[int, ...]]):
    """Extents of a view by those of its loops, in the order of `ViewRegister.key`; kept, so that equal ones are one."""

    def __init__(
        self,
        sizes: tuple[int, ...],
        growing: tuple[tuple[int, LoopRegister, int], ...],
        stepping: tuple[tuple[int, LoopRegister], ...],
    ) -> None:
        super().__init__()
        self._sizes, self._growing, self._stepping = sizes, growing, stepping

    def __missing__(self, key: tuple[int, ...]) -> tuple[int, ...]:
        result = list(self._sizes)
        for axis, loop, coefficient in self._growing:
            result[axis] += coefficient * (loop.extent - 1)
        for axis, loop in self._stepping:
            if not loop.extent:
                result[axis] = 0
        self[key] = made = tuple(result)
        return made


def _replaced(values: tuple[int, ...], place: int, value: int) -> tuple[int, ...]:
    """*values* with another one at *place*."""
    return (*values[:place], value, *values[place + 1 :])


def _once(loops: Iterable[LoopRegister]) -> list[LoopRegister]:
    """Each loop, where it stands first."""
    return list(dict.fromkeys(loops))
