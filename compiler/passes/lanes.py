"""Lanes: the contexts of a chip whose cores have several, each of which goes through stages without waiting for others.

A stage waits for those of other lanes that it has to stay behind (see `dependencies`), and for those that had its room
in a memory; and for those alone.  So the engines of a core work on different layers, and on different samples, at once.
For that the samples of a batch go through the network in *waves* (see `waves`): the way there of one wave runs while
errors of the wave before come back, and so is a weight gradient that goes on with what the wave before has left.  What
takes all samples together (the statistics of a norm) waits for all waves.

Which stage a lane takes next is found by going through time: whenever a lane is free, it takes of the stages that wait
for nobody the one that adds the most to what all lanes get done, by what they share (see `sharing`).  Among those that
add as much the one comes first behind which there is the longest chain, or that of the first samples: both are tried.
One that would mostly wait for what others use is left for later.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...isa.target import ROLES, Target
from ..cost.duration import duration
from ..cost.sharing import Sharing, asked
from ..cost.span import span
from ..ir.schedule import Stage
from .dependencies import touches, waits
from .seats import Seats
from .waves import SAMPLES
from .ways import room_of

PHASES: Mapping[str, int] = {"FP": 0, "BP": 1, "WG": 2, "UP": 2}
"""Phases that have room of their own in a memory beside one another."""


LEAST = 0.3
"""Beside others that are at work, a stage begins that adds at least so much to what all lanes get done."""

STEP = 0.1
"""Stages that add as much to the next such step add as much."""


def shared_out(target: Target) -> Target:
    """*target* with room for a stage of each phase in each memory in which stages of several may have buffers, as far
    as there are contexts for them."""
    phases: defaultdict[int, set[int]] = defaultdict(set)
    for role in ROLES:
        for memory in target.memory_for(role):
            phases[memory].add(min(PHASES[role.partition(".")[0].upper()], target.contexts - 1))
    memories = (
        replace(m, bytes=m.bytes // len(phases[k]) if phases[k] else m.bytes) for k, m in enumerate(target.memories)
    )
    return replace(target, memories=tuple(memories))


@dataclass(frozen=True)
class Lanes:
    """The *stages* of an entry in lanes, in an order that no dependency forbids, and the cycles that are predicted."""

    stages: tuple[Stage, ...]
    cycles: float


def in_lanes(stages: Sequence[Stage], aliases: Mapping[str, str], seats: Seats) -> Lanes:
    """All *stages*, which are in an order in which they may run, in contexts."""
    before = waits([tuple(touches(stage, aliases)) for stage in stages])
    plan = _Plan(stages, before, seats)
    found = (_laid_out(stages, before, plan.made(by_samples), seats.target) for by_samples in (False, True))
    return min(found, key=lambda each: each.cycles)


@dataclass(frozen=True)
class _Begun:
    """Stage *number* in a *context*, which leaves so many bytes of each memory free that are *behind* it."""

    number: int
    context: int
    behind: Mapping[int, int]

    def on(self, stage: Stage) -> Stage:
        """The stage in its place."""
        buffers = tuple(replace(each, address=each.address + self.behind[each.memory]) for each in stage.buffers)
        return replace(stage, context=self.context, buffers=buffers)


class _Plan:
    """Stages that begin one by one, each where it fits: *before* are those that each has to stay behind."""

    def __init__(self, stages: Sequence[Stage], before: Sequence[frozenset[int]], seats: Seats) -> None:
        self._before = before
        self._seats = seats
        self._lasts = [duration(stage, seats.target) for stage in stages]
        self._asks = [asked(lasts) for lasts in self._lasts]
        self._rooms = [room_of(stage) for stage in stages]
        self._behind: defaultdict[int, list[int]] = defaultdict(list)
        self._chains = [lasts.alone for lasts in self._lasts]
        self._samples = [_first_of(stage) for stage in stages]
        for number in reversed(range(len(stages))):
            behind = self._behind[number]
            self._chains[number] += max((self._chains[other] for other in behind), default=0.0)
            self._samples[number] = min((self._samples[number], *(self._samples[other] for other in behind)))
            for other in before[number]:
                self._behind[other].append(number)

    def made(self, by_samples: bool) -> list[_Begun]:
        """All stages in the order in which they begin."""
        sharing = Sharing()
        waiting = [len(others) for others in self._before]
        ready = {number for number, count in enumerate(waiting) if not count}
        running: dict[int, _Begun] = {}
        found: list[_Begun] = []
        while ready or running:
            for context in sorted({*range(self._seats.contexts)} - {each.context for each in running.values()}):
                begun = self._next(ready, context, running, sharing, by_samples)
                if begun is None:
                    break
                ready.remove(begun.number)
                running[begun.number] = begun
                found.append(begun)
                sharing.begin(begun.number, self._lasts[begun.number])
            ended = sharing.end()
            del running[ended]
            for other in self._behind[ended]:
                waiting[other] -= 1
                if not waiting[other]:
                    ready.add(other)
        assert len(found) == len(self._before), "stages wait for one another"
        return found

    def _next(
        self, ready: set[int], context: int, running: Mapping[int, _Begun], sharing: Sharing, by_samples: bool
    ) -> _Begun | None:
        """What of all that is *ready* begins in a *context*; None where nothing fits, or adds enough."""
        ranked: list[tuple[int, int, float, int]] = []
        for number in ready:
            added = sharing.with_another(self._asks[number]) - sharing.speed
            if not running or added >= LEAST:
                sample = self._samples[number] if by_samples else 0
                ranked.append((-round(added / STEP), sample, -self._chains[number], number))
        for *_, number in sorted(ranked):
            behind = self._room(number, running.values())
            if behind is not None:
                return _Begun(number, context, behind)
        return None

    def _room(self, number: int, running: Iterable[_Begun]) -> dict[int, int] | None:
        """Where a stage has room in each memory beside those that are *running*; None where it has none."""
        behind: dict[int, int] = {}
        for memory, size in self._rooms[number].items():
            rooms = ((each.behind.get(memory, 0), self._rooms[each.number].get(memory, 0)) for each in running)
            first = 0
            for low, taken in sorted(rooms):
                if taken and low - first < size:
                    first = low + taken
            if first + size > self._seats.memories[memory]:
                return None
            behind[memory] = first
        return behind


def _first_of(stage: Stage) -> int:
    """The first sample that a stage takes, if it says; else a number behind those of all."""
    return min((low for low, extent in stage.mapping.parts.get(SAMPLES, ()) if extent), default=sys.maxsize)


def _laid_out(
    stages: Sequence[Stage], before: Sequence[frozenset[int]], begun: Sequence[_Begun], target: Target
) -> Lanes:
    """*stages* as they have *begun*, with whom they wait for and whom they tell."""
    places = {each.number: place for place, each in enumerate(begun)}
    placed = [each.on(stages[each.number]) for each in begun]
    behind = [frozenset(places[other] for other in before[each.number]) for each in begun]
    found = tuple(_told(placed, list(_needed(placed, behind))))
    return Lanes(found, span(found, target))


def _needed(stages: Sequence[Stage], before: Sequence[frozenset[int]]) -> Iterator[dict[int, int]]:
    """For each stage, the last stage of each other lane that it has to stay behind, by what both touch in DRAM, or have
    room for in one place of a memory; none that one before it in its lane has waited for."""
    known: defaultdict[tuple[int, int], int] = defaultdict(lambda: -1)
    held: defaultdict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for number, (stage, others) in enumerate(zip(stages, before, strict=True)):
        needed: dict[int, int] = {}
        for other in others | _held_before(number, stage, held):
            lane = stages[other].context
            if lane != stage.context and other > known[stage.context, lane]:
                needed[lane] = max(needed.get(lane, -1), other)
        for lane, other in needed.items():
            known[stage.context, lane] = other
        yield needed


def _held_before(number: int, stage: Stage, held: dict[int, list[tuple[int, int, int]]]) -> set[int]:
    """Stages that had the room of *stage*, of those that were the last to have theirs: *held* knows these, by memory,
    and from where to where; and now that one, too."""
    found: set[int] = set()
    for memory in {buffer.memory for buffer in stage.buffers}:
        own = [each for each in stage.buffers if each.memory == memory]
        low, high = min(each.address for each in own), max(each.address + each.bytes * each.ring for each in own)
        found |= {other for other, first, last in held[memory] if first < high and low < last}
        held[memory] = [each for each in held[memory] if each[1] < low or high < each[2]]
        held[memory].append((number, low, high))
    return found


def _told(stages: Sequence[Stage], needed: Sequence[Mapping[int, int]]) -> Iterator[Stage]:
    """The stages with whom they wait for, and whom they tell."""
    tells: defaultdict[int, list[int]] = defaultdict(list)
    for stage, others in zip(stages, needed, strict=True):
        for other in others.values():
            tells[other].append(stage.context)
    for number, (stage, others) in enumerate(zip(stages, needed, strict=True)):
        yield replace(stage, awaits=tuple(sorted(others)), tells=tuple(sorted(tells[number])))
