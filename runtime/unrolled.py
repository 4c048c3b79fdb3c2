"""Entries without their control: the calls of kernels that an entry makes, one behind the other (see `unrolling`).

There may be several threads of them, which wait for each other where an instruction waits for what another core does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..isa.kernels.calls import Again
from ..isa.registers import LoopRegister, ViewRegister
from ..isa.tally import WORK
from .counters import Counted, Counters
from .listening import RunningStream
from .network import Rooms

AT_ONCE = 1 << 12
"""Calls behind which Python looks whether somebody wants to end it."""

Place: TypeAlias = tuple[int, int]
"""A stream, by its index in the entry, and one of its instructions."""


class Moment(NamedTuple):
    """An instruction that has run: counter, start and extent of the loops of its stream then, and its views."""

    place: Place
    loops: tuple[tuple[int, int, int], ...]
    views: tuple[ViewRegister | None, ...]


class Part(NamedTuple):
    """What one thread does: *calls*, the instruction that each of their places is, and the places of *others*.

    Others are no call of a kernel, or more than one; a place where the thread waits for another one has no instruction.
    """

    calls: Again
    moments: Sequence[Moment | None]
    others: Set[int]


class Contracted(NamedTuple):
    """A contraction among the calls, and its products in all; how many of them zeros save depends on data."""

    place: Place
    dense: int


@dataclass(frozen=True)
class Unrolled:
    """An entry of *streams* in *parts*, of which threads of *pool* do all but the first.

    *loops* are those of each stream that a `Moment` tells of.  Instructions ran as often as *runs* says; *counted* is
    what calls count, but for the work of those *contracted*.  *rooms* is where tiles lie on their way.
    """

    streams: Sequence[RunningStream]
    counters: Counters
    loops: Sequence[Sequence[LoopRegister]]
    parts: Sequence[Part]
    pool: Callable[[], Executor] | None
    contracted: Sequence[Contracted]
    counted: Sequence[Counted]
    runs: Sequence[list[int]]
    rooms: Rooms
    _alone: Lock = field(default_factory=Lock)
    """What is no kernel runs in one thread at a time."""

    def run(self) -> bool:
        """Do what the streams would, from their first instruction to their halt; ProgramFault as they would.

        Whether kernels served for all calls: those of which one did not are `Stream.copied` from now on.  What ended
        with an exception must not run again: a thread may still be on its way out of it.
        """
        for part in self.parts:
            part.calls.sums[:] = part.calls.done[:] = part.calls.stop[:] = 0
        served = self._run()
        sums = np.sum([part.calls.sums for part in self.parts], axis=0)
        for (place, dense), products in zip(self.contracted, sums.tolist(), strict=False):
            self._stream(place).tally.multiplied(place[1], dense, products)
        for stream, counted, runs in zip(self.streams, self.counted, self.runs, strict=True):
            self.counters.again(stream, counted)
            stream.has_run(runs)
        return served

    def _run(self) -> bool:
        """Do all parts, one beside the other; where one cannot go on, none does."""
        first, *others = self.parts
        if self.pool is None:
            return self._do_part(first)
        begun: list[Future[bool]] = []
        try:
            pool = self.pool()
            for part in others:
                begun.append(pool.submit(self._do_part, part))
            served = [self._do_part(first), *(part.result() for part in begun)]
        finally:
            first.calls.stop[0] = 1  # nobody waits for what will not come
            _end(begun)
        return all(served)

    def _do_part(self, part: Part) -> bool:
        """What one thread does; whether kernels served for all calls."""
        first, last, served = 0, len(part.moments), True
        try:
            while first < last and not part.calls.stop[0]:
                upto = min(first + AT_ONCE, last)
                first = part.calls.run(first, upto)
                if first < upto and (moment := part.moments[first]) is not None:
                    with self._alone:
                        if first in part.others:
                            self._do(moment)
                        else:
                            served = False
                            self._do_counted(moment, part.calls.sums)
                    first += 1
            part.calls.run(first, first)
        except BaseException:
            part.calls.stop[0] = 1
            raise
        return served

    def _stream(self, place: Place) -> RunningStream:
        return self.streams[place[0]]

    def _do_counted(self, moment: Moment, sums: NDArray[np.int64]) -> None:
        """Run an instruction that is among those `counted`: only its products are to be added to one of *sums*."""
        stream, pc = self._stream(moment.place), moment.place[1]
        stream.copied.add(pc)
        rows = stream.tally.lists()
        before = [row[pc] for row in rows]
        self._do(moment)
        for number, contracted in enumerate(self.contracted):
            if contracted.place == moment.place:
                kind = WORK.index(stream.tally.products[pc])
                sums[number] += rows[kind][pc] - before[kind]
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


def _end(begun: Sequence[Future[bool]]) -> None:
    """Wait until all have ended; who interrupts that is told then."""
    interruption: KeyboardInterrupt | None = None
    while not all(part.done() for part in begun):
        try:
            wait(begun)
        except KeyboardInterrupt as told:
            interruption = told
    if interruption is not None:
        raise interruption
