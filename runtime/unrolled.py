"""Entries without their control: the calls of kernels that an entry makes, one behind the other (see `unrolling`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from ..isa.kernels.calls import Again
from ..isa.registers import LoopRegister, ViewRegister
from ..isa.tally import WORK
from .counters import Counted, Counters
from .listening import RunningStream

AT_ONCE = 1 << 12
"""Calls behind which Python looks whether somebody wants to end it."""

Place: TypeAlias = tuple[int, int]
"""A stream, by its index in the entry, and one of its instructions."""


class Moment(NamedTuple):
    """An instruction that has run: counter, start and extent of the loops of its stream then, and its views."""

    place: Place
    loops: tuple[tuple[int, int, int], ...]
    views: tuple[ViewRegister | None, ...]


class Other(NamedTuple):
    """An instruction that is no call of a kernel, or more than one; so many *calls* come before it."""

    calls: int
    moment: Moment


class Contracted(NamedTuple):
    """A contraction among the calls, and its products in all; how many of them zeros save depends on data."""

    place: Place
    dense: int


@dataclass(frozen=True)
class Unrolled:
    """An entry of *streams*: *calls*, the instruction that each of them was, and the *others* between.

    *loops* are those of each stream that a `Moment` tells of.  Instructions ran as often as *runs* says; *counted* is
    what calls count, but for the work of those *contracted*.
    """

    streams: Sequence[RunningStream]
    counters: Counters
    loops: Sequence[Sequence[LoopRegister]]
    calls: Again
    noted: Sequence[Moment]
    others: Sequence[Other]
    contracted: Sequence[Contracted]
    counted: Sequence[Counted]
    runs: Sequence[list[int]]

    def run(self) -> bool:
        """Do what the streams would, from their first instruction to their halt; ProgramFault as they would.

        Whether kernels served for all calls: those of which one did not are `Stream.copied` from now on.
        """
        self.calls.sums[:] = 0
        first, served = 0, True
        for last, moment in (*self.others, (len(self.calls), None)):
            served &= self._call(first, last)
            if moment is not None:
                self._do(moment)
            first = last
        for (place, dense), products in zip(self.contracted, self.calls.sums.tolist(), strict=False):
            self._stream(place).tally.multiplied(place[1], dense, products)
        for stream, counted, runs in zip(self.streams, self.counted, self.runs, strict=True):
            self.counters.again(stream, counted)
            stream.has_run(runs)
        return served

    def _stream(self, place: Place) -> RunningStream:
        return self.streams[place[0]]

    def _call(self, first: int, last: int) -> bool:
        """Make calls; what a kernel does not serve for runs as it always does."""
        served = True
        while first < last:
            upto = min(first + AT_ONCE, last)
            first = self.calls.run(first, upto)
            if first < upto:
                served = False
                self._do_counted(self.noted[first])
                first += 1
        return served

    def _do_counted(self, moment: Moment) -> None:
        """Run an instruction that is among those `counted`: only its products are to be added."""
        stream, pc = self._stream(moment.place), moment.place[1]
        stream.copied.add(pc)
        rows = stream.tally.lists()
        before = [row[pc] for row in rows]
        self._do(moment)
        for number, contracted in enumerate(self.contracted):
            if contracted.place == moment.place:
                kind = WORK.index(stream.tally.products[pc])
                self.calls.sums[number] += rows[kind][pc] - before[kind]
        for row, amount in zip(rows, before, strict=True):
            row[pc] = amount

    def _do(self, moment: Moment) -> None:
        """Run an instruction where its stream stood."""
        stream = self._stream(moment.place)
        for loop, stood in zip(self.loops[moment.place[0]], moment.loops, strict=True):
            loop.counter, loop.start, loop.extent = stood
        stream.views[:] = moment.views
        stream.pc = moment.place[1]
        stream.step()
        assert stream.blocked is None, "what it waits for was there when it ran first"
