"""Lanes: each phase of training in a context of its own, which goes through its stages without waiting for the others.

Of a chip whose cores have several contexts, one does the way there, one errors, one weight gradients and updates.  A
stage waits for those of other lanes that it has to stay behind (see `dependencies`), and for those alone: so the
engines of a core work on different layers, and on different samples, at once.

For that the samples of a batch go through the network in *waves*, some behind the others: a stage that treats each
sample by itself is there once for each wave, and the way there of one wave runs while errors of the wave before come
back, and so is a weight gradient that goes on with what the wave before has left.  What takes all samples together
(the statistics of a norm) waits for all waves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...isa.target import ROLES, Target
from ..cost.duration import duration
from ..cost.span import span
from ..ir.schedule import Stage
from .dependencies import touches, waits
from .seats import Seats
from .waves import Wave
from .ways import room_of

PHASES: Mapping[str, int] = {"FP": 0, "BP": 1, "WG": 2, "UP": 2}
"""The lane of each phase."""


def shared_out(target: Target) -> Target:
    """*target* with room for a lane in each memory that several of them may have buffers in."""
    lanes: defaultdict[int, set[int]] = defaultdict(set)
    for role in ROLES:
        for memory in target.memory_for(role):
            lanes[memory].add(lane_of(role.partition(".")[0], target.contexts))
    memories = (
        replace(m, bytes=m.bytes // len(lanes[k]) if lanes[k] else m.bytes) for k, m in enumerate(target.memories)
    )
    return replace(target, memories=tuple(memories))


def lane_of(phase: str, contexts: int) -> int:
    """The context in which a phase goes its own way."""
    return min(PHASES[phase.upper()], contexts - 1)


@dataclass(frozen=True)
class Lanes:
    """The *stages* of an entry in lanes, in an order that no dependency forbids, and the cycles that are predicted."""

    stages: tuple[Stage, ...]
    cycles: float


def in_lanes(waves: Sequence[Wave], aliases: Mapping[str, str], seats: Seats) -> Lanes:
    """All stages in the contexts of their phases; *waves* are in an order in which they may run."""
    touched = [tuple(touches(wave.stage, aliases)) for wave in waves]
    order = _ordered(waves, waits(touched), seats)
    lanes = [lane_of(waves[number].stage.phase, seats.contexts) for number in order]
    stages = [replace(waves[number].stage, context=lane) for number, lane in zip(order, lanes, strict=True)]
    stages, full = _placed(stages, seats)
    before = waits([touched[number] for number in order])
    needed = list(_needed(stages, before, full))
    found = tuple(_told(stages, needed))
    return Lanes(found, span(found, seats.target))


def _ordered(waves: Sequence[Wave], before: Sequence[frozenset[int]], seats: Seats) -> list[int]:
    """The order of all: each lane takes next what it may begin with the soonest, of several what a wave before
    others needs."""
    waiting = [len(others) for others in before]
    behind: defaultdict[int, list[int]] = defaultdict(list)
    for number, others in enumerate(before):
        for other in others:
            behind[other].append(number)
    needed = [wave.number for wave in waves]
    for number in reversed(range(len(waves))):
        needed[number] = min((needed[number], *(needed[other] for other in behind[number])))
    free: defaultdict[int, float] = defaultdict(float)
    begins = [0.0] * len(waves)
    ready = {number for number, count in enumerate(waiting) if not count}
    lanes = [lane_of(wave.stage.phase, seats.contexts) for wave in waves]
    order: list[int] = []
    while ready:
        at, _, number = min((max(free[lanes[k]], begins[k]), needed[k], k) for k in ready)
        ready.remove(number)
        order.append(number)
        free[lanes[number]] = at + duration(waves[number].stage, seats.target).alone
        for other in behind[number]:
            waiting[other] -= 1
            begins[other] = max(begins[other], free[lanes[number]])
            if not waiting[other]:
                ready.add(other)
    assert len(order) == len(waves), "works wait for one another"
    return order


def _placed(stages: Sequence[Stage], seats: Seats) -> tuple[list[Stage], frozenset[int]]:
    """The stages with buffers behind those of the lanes before theirs; and the memories that are too small for all of
    them at once, where each lane begins at the beginning."""
    most: dict[int, dict[int, int]] = defaultdict(dict)
    for stage in stages:
        for memory, size in room_of(stage).items():
            most[memory][stage.context] = max(most[memory].get(stage.context, 0), size)
    full = frozenset(memory for memory, lanes in most.items() if sum(lanes.values()) > seats.memories[memory])
    first: dict[tuple[int, int], int] = {}
    for memory, lanes in most.items():
        behind = 0
        for lane, size in sorted(lanes.items()):
            first[memory, lane] = behind
            behind += 0 if memory in full else size
    return [
        replace(
            stage,
            buffers=tuple(
                replace(each, address=each.address + first[each.memory, stage.context]) for each in stage.buffers
            ),
        )
        for stage in stages
    ], full


def _needed(
    stages: Sequence[Stage], before: Sequence[frozenset[int]], full: frozenset[int]
) -> Iterator[dict[int, int]]:
    """For each stage, the last stage of each other lane that it has to stay behind, by what both touch in DRAM, or have
    in a memory that is too small for both; none that one before it in its lane has waited for."""
    known: defaultdict[tuple[int, int], int] = defaultdict(lambda: -1)
    latest: dict[tuple[int, int], int] = {}
    for number, (stage, others) in enumerate(zip(stages, before, strict=True)):
        held = {buffer.memory for buffer in stage.buffers} & full
        shared = {latest[key] for key in latest if key[0] in held}
        needed: dict[int, int] = {}
        for other in others | shared:
            lane = stages[other].context
            if lane != stage.context and other > known[stage.context, lane]:
                needed[lane] = max(needed.get(lane, -1), other)
        for lane, other in needed.items():
            known[stage.context, lane] = other
        for memory in held:
            latest[memory, stage.context] = number
        yield needed


def _told(stages: Sequence[Stage], needed: Sequence[Mapping[int, int]]) -> Iterator[Stage]:
    """The stages with whom they wait for, and whom they tell."""
    tells: defaultdict[int, list[int]] = defaultdict(list)
    for stage, others in zip(stages, needed, strict=True):
        for other in others.values():
            tells[other].append(stage.context)
    for number, (stage, others) in enumerate(zip(stages, needed, strict=True)):
        yield replace(stage, awaits=tuple(sorted(others)), tells=tuple(sorted(tells[number])))
