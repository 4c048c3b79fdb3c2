"""Races: accesses to the same byte, one of them a write, that nothing orders.

Vector clocks.  An access happens before another one if it stands before it in its stream, or if a chain of
`hand_overs` leads from one to the other.  Shadow memory remembers for every byte who wrote it last, and who has read
it since; so the checker finds a missing edge whichever order the host happened to choose, as long as both accesses are
executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..isa.program import Entry
from ..isa.registers import DRAM, Window
from ..isa.state import Stream
from ..source import NOWHERE, Fault
from .faults import RaceError, where
from .hand_overs import RELEASING, Clock, HandOvers
from .listening import Listener, RunningStream

Shape: TypeAlias = tuple[int, ...]

MOST = 20
"""Races of different pairs of instructions that are told."""


@dataclass(frozen=True, order=True)
class Race:
    """Two instructions (stream index and number) that touch the bytes from *low* to *high* of a space."""

    first: tuple[int, int]
    second: tuple[int, int]
    first_writes: bool
    second_writes: bool
    core: int
    space: int
    low: int
    high: int


class _Marks:
    """For every byte of a memory: the clock and the instruction of an access, both 0 where there was none."""

    def __init__(self, size: int) -> None:
        self.clock: Clock = np.zeros(size, np.int32)
        self.pc: Clock = np.zeros(size, np.int32)


class _Shadow:
    """Who touched each byte of one memory last: the writer, and each stream that reads."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.writes = _Marks(size)
        self.writer: NDArray[np.int32] = np.zeros(size, np.int32)
        self.reads: dict[int, _Marks] = {}


class Races(Listener):
    """Checks one entry after the other; RaceError at the end of an entry that has races."""

    def __init__(self) -> None:
        self._streams: Sequence[RunningStream] = ()
        self._entry = ""
        self._hand_overs = HandOvers((), 0)
        self._numbers: dict[Stream, int] = {}
        self._shadows: dict[tuple[int, int], _Shadow] = {}
        self._found: dict[tuple[tuple[int, int], tuple[int, int]], Race] = {}

    @property
    def found(self) -> tuple[Race, ...]:
        """The races of the latest entry."""
        return tuple(sorted(self._found.values()))

    def begin(self, entry: Entry, streams: Sequence[RunningStream]) -> None:
        self._streams, self._entry = streams, entry.name
        self._numbers = {stream: stream.index for stream in streams}
        self._hand_overs = HandOvers(streams, len(streams))
        for number, clock in enumerate(self._hand_overs.clocks):
            clock[number] = 1
        self._shadows.clear()
        self._found.clear()

    def end(self) -> None:
        if self._found:
            raise RaceError(*(Fault(NOWHERE, self._text(race)) for race in self.found[:MOST]))

    def sync(self, stream: Stream, kind: str, core: int, number: int) -> None:
        me = self._numbers[stream]
        self._hand_overs.sync(me, stream, kind, core, number)
        if kind in RELEASING:
            self._hand_overs.clocks[me][me] += 1

    def touch(self, stream: Stream, write: bool, window: Window) -> None:
        core = -1 if window.space == DRAM else stream.core.place
        shadow = self._shadow(stream, core, window.space)
        relative = _bytes(window.start & 7, window.format.bits, window.extents, window.strides)
        if not relative.size:
            return
        places = relative + (window.start >> 3)
        if places[0] < 0 or places[-1] >= shadow.size:
            return  # the instruction itself faults
        me = self._numbers[stream]
        clock = self._hand_overs.clocks[me]
        place = me, stream.current
        at: NDArray[np.int64] | slice = places
        if int(places[-1] - places[0]) + 1 == places.size:
            at = slice(int(places[0]), int(places[-1]) + 1)
        written = shadow.writes.clock[at] > clock[shadow.writer[at]]
        if written.any():
            for earlier in np.unique(np.stack([shadow.writer[at][written], shadow.writes.pc[at][written]]), axis=1).T:
                same = written & (shadow.writer[at] == earlier[0]) & (shadow.writes.pc[at] == earlier[1])
                self._note((int(earlier[0]), int(earlier[1])), True, place, write, core, window.space, places[same])
        if write:
            for reader, marks in shadow.reads.items():
                read = marks.clock[at] > clock[reader]
                if reader != me and read.any():
                    for pc in np.unique(marks.pc[at][read]):
                        same = read & (marks.pc[at] == pc)
                        self._note((reader, int(pc)), False, place, True, core, window.space, places[same])
            shadow.writes.clock[at] = clock[me]
            shadow.writes.pc[at] = stream.current
            shadow.writer[at] = me
        else:
            marks = shadow.reads.get(me)
            if marks is None:
                marks = shadow.reads[me] = _Marks(shadow.size)
            marks.clock[at] = clock[me]
            marks.pc[at] = stream.current

    def _shadow(self, stream: Stream, core: int, space: int) -> _Shadow:
        if (core, space) not in self._shadows:
            self._shadows[core, space] = _Shadow(stream.core.memories[space].size)
        return self._shadows[core, space]

    def _note(
        self,
        first: tuple[int, int],
        first_writes: bool,
        second: tuple[int, int],
        second_writes: bool,
        core: int,
        space: int,
        places: NDArray[np.int64],
    ) -> None:
        """Two instructions touched *places*; who came first on this host does not show."""
        one, other = sorted([(first, first_writes), (second, second_writes)])
        low, high = int(places.min()), int(places.max())
        known = self._found.get((one[0], other[0]))
        if known is not None:
            low, high = min(low, known.low), max(high, known.high)
        self._found[one[0], other[0]] = Race(one[0], other[0], one[1], other[1], core, space, low, high)

    def _text(self, race: Race) -> str:
        """The race for a reader."""
        memory = "DRAM" if race.core < 0 else f"memory {race.space} of core {race.core}"
        lines = [f"race in {self._entry}: nothing orders two accesses to bytes {race.low}..{race.high} of {memory}"]
        for (number, pc), writes in ((race.first, race.first_writes), (race.second, race.second_writes)):
            stream = self._streams[number]
            place = where(stream.core.name, stream.unit, pc, stream.debug(pc), node=True)
            lines.append(f"  {place} {'writes' if writes else 'reads'}")
        return "\n".join(lines)


@lru_cache(maxsize=1 << 10)
def _bytes(shift: int, bits: int, extents: Shape, strides: Shape) -> NDArray[np.int64]:
    """Bytes that the elements touch, ascending, counted from the byte of element 0, which begins at bit *shift*."""
    starts = np.full(1, shift, np.int64)
    for extent, stride in zip(extents, strides, strict=True):
        if extent == 0:
            return np.zeros(0, np.int64)
        if stride:
            starts = np.unique((starts[:, None] + np.arange(extent, dtype=np.int64) * stride).reshape(-1))
    if bits < 8:
        return np.unique(np.concatenate([starts >> 3, (starts + bits - 1) >> 3]))
    return np.unique((starts >> 3)[:, None] + np.arange(bits // 8))
