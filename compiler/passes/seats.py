"""Where stages may be at once, and what of it some have taken: cores and their contexts, units, memories."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ...isa.instruction import COMPUTING
from ...isa.target import Target
from .ways import Way


@dataclass(frozen=True)
class Seats:
    """Where stages may be: on so many *cores* of a *target*, in so many *contexts* of each."""

    target: Target
    cores: int
    contexts: int

    @classmethod
    def of(cls, target: Target, cores: int) -> Seats:
        """Those of so many *cores* of a machine."""
        return cls(target, cores, target.contexts)

    @cached_property
    def memories(self) -> tuple[int, ...]:
        """The bytes of each memory of a core."""
        return tuple(memory.bytes for memory in self.target.memories)

    @property
    def alone(self) -> Seats:
        """The same where a stage has its cores for itself."""
        return replace(self, contexts=1)


class Taken:
    """What of a chip members of a team have taken: contexts of cores, and units and memories that these share."""

    def __init__(self, seats: Seats) -> None:
        self._seats = seats
        self._free = [[0.0] * seats.cores for _ in range(seats.contexts)]
        self._units: dict[str, list[float]] = {}
        self._rooms: list[dict[int, int]] = [{} for _ in range(seats.contexts)]

    def best(self, way: Way) -> tuple[int, int] | None:
        """The first core, and the context, in which *way* ends first; None where it fits nowhere."""
        if self._seats.contexts == 1:
            return soonest(self._free[0], way.cores)[1], 0
        spots: list[tuple[float, int, int]] = []
        for context, free in enumerate(self._free):
            if self._fits(way, context):
                begins, first = soonest(free, way.cores)
                spots.append((max(begins + way.lasts.core, self._shared(way, first)), context, first))
            if not self._rooms[context]:  # the others have nothing in them either
                break
        if not spots:
            return None
        _, context, first = min(spots)
        return first, context

    def take(self, way: Way, first: int, context: int) -> None:
        """*way* runs on the cores from *first* on, in a *context* of each."""
        group = slice(first, first + way.cores)
        free = self._free[context]
        free[group] = [max(free[group]) + way.lasts.core] * way.cores
        if self._seats.contexts == 1:
            return
        self._rooms[context] = self._with(way, context)
        for unit, cycles in way.lasts.units.items():
            if unit in COMPUTING:
                busy = self._units.setdefault(unit, [0.0] * self._seats.cores)
                busy[group] = [before + cycles for before in busy[group]]

    @property
    def cycles(self) -> float:
        """Cycles until all are through, but for what moves."""
        return max(max(map(max, self._free)), max(map(max, self._units.values()), default=0.0))

    @property
    def behind(self) -> list[dict[int, int]]:
        """For each context, the bytes of each memory that those before it take."""
        found: list[dict[int, int]] = []
        sums: dict[int, int] = {}
        for room in self._rooms:
            found.append(dict(sums))
            for memory, size in room.items():
                sums[memory] = sums.get(memory, 0) + size
        return found

    def _shared(self, way: Way, first: int) -> float:
        """Cycles until units that contexts share are through with *way* and all that they have to do besides."""
        group = slice(first, first + way.cores)
        busy = ((self._units.get(unit), cycles) for unit, cycles in way.lasts.units.items())
        return max((max(before[group]) + cycles for before, cycles in busy if before), default=0.0)

    def _fits(self, way: Way, context: int) -> bool:
        """Whether memories hold what *way* needs in a context beside what all others need."""
        room = self._with(way, context)
        others = [each for number, each in enumerate(self._rooms) if number != context]
        return all(
            size + sum(other.get(memory, 0) for other in others) <= self._seats.memories[memory]
            for memory, size in room.items()
        )

    def _with(self, way: Way, context: int) -> dict[int, int]:
        """Bytes of each memory that a context needs where it takes *way*, too, before or after its others."""
        room = self._rooms[context]
        return room | {memory: max(size, room.get(memory, 0)) for memory, size in way.room.items()}


def soonest(free: Sequence[float], count: int) -> tuple[float, int]:
    """When and from which core on so many neighbours are *free* first; of a run the one that is free last decides."""
    if count == 1:
        return min(free), free.index(min(free))
    latest: deque[int] = deque()  # cores of the run that are free later than all behind them
    best = (math.inf, 0)
    for core, cycles in enumerate(free):
        while latest and free[latest[-1]] <= cycles:
            latest.pop()
        latest.append(core)
        first = core - count + 1
        if latest[0] < first:
            latest.popleft()
        if first >= 0:
            best = min(best, (free[latest[0]], first))
    return best
