"""The order of an entry's stages, and the cores of each: side by side in teams, or in turn.

Stages of a cycle stay in their cycle, those of a window in their window, and those of chosen steps among themselves:
what is weighed is one turn of the loop around them.  Where the turns of a cycle may overlap (see `pipelined`), an order
is made of that as well, in which stages of a step stand beside those of the step before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, groupby

from ...isa.target import Target
from ..cost.duration import duration
from ..ir.decision import Decision
from ..ir.overlap import Overlap
from ..ir.schedule import Stage
from .build_stage import build_stage
from .deeper import deeper
from .dependencies import touches
from .finer import finer, shorter
from .lanes import in_lanes, shared_out
from .layout import ALIGNMENT
from .mapping import Mapped
from .patches import patched
from .pipelined import ROOMS, parts_of, told
from .published import placed
from .seats import Seats
from .teams import Team, Work, cycle_of, cycles_of, order_of, single_of, stages_of
from .waves import in_waves
from .ways import Planned

WORTH_ROOM = 0.96
"""What is not predicted to take less than this part of the cycles is not worth room for two steps: predictions of teams
are not much finer."""


WORTH_LANES = 0.9
"""Lanes must be predicted to take no more than this part of the cycles of teams: they wait for one another more often
than is predicted."""

WORTH_MOVED = 4
"""What is moved more of DRAM for lanes and waves must save so many times the cycles that it takes the channel."""

WAVES = (1, 2, 4, 8, 16)
"""Numbers of waves that are tried."""

PART = 1 / 256
"""What takes less than this part of the cycles of an entry is not worth a search."""


@dataclass(frozen=True)
class Arranged:
    """The stages of an entry in their order, and what was decided of each cycle that has a way back."""

    stages: tuple[Stage, ...]
    overlaps: tuple[Overlap, ...] = ()
    cycles: float = 0.0
    """Those that are predicted, where stages were put in an order by them."""


@dataclass(frozen=True)
class Room:
    """What is known of values in DRAM: *aliases* by other names, and the *momentary* ones, with room for one step."""

    aliases: Mapping[str, str]
    momentary: Collection[str]


def chosen(planned: Sequence[Planned], room: Room, cores: int, overlap: str) -> Arranged:
    """The stages of an entry in the order and on the cores in which they take the fewest predicted cycles.

    *overlap* says when steps of time do (see `OVERLAP`).
    """
    if not planned:
        return Arranged(())
    seats = Seats.of(planned[0].request.target, cores)
    numbers = count(1)
    overlaps: list[Overlap] = []

    def ordered(works: Sequence[Work], teams: Sequence[Team]) -> Iterator[Stage]:
        for team in teams:
            number = next(numbers) if len(team.members) > 1 else 0
            for member in team.members:
                late = member.number in team.late
                yield from stages_of(works[member.number], member, cores, number, late)

    def turned(singles: Sequence[Work]) -> tuple[Stage, ...]:
        """The stages of a cycle."""
        apart = _Turn.apart(singles, seats)
        if overlap != "off":
            decided, turn = _overlapping(singles, apart, room, seats, overlap)
            overlaps.extend(decided)
            return tuple(ordered(turn.works, turn.teams))
        return tuple(ordered(apart.works, apart.teams))

    found: list[Stage] = []
    cycles = 0.0
    for _, window in groupby(planned, lambda each: each.stage.windows):
        works: list[Work] = []
        for cycle, run in groupby(window, lambda each: each.stage.cycle):
            singles = [single_of(each, room.aliases) for each in run]
            works += [cycle_of(singles, turned(singles))] if cycle else singles
        order = order_of(works, seats)
        found += ordered(works, order)
        cycles += math.fsum(team.cycles for team in order)
    return Arranged(tuple(found), tuple(overlaps), cycles)


def in_patches(planned: Sequence[Planned], room: Room, cores: int, overlap: str) -> Arranged:
    """What `chosen` makes of stages that are in patches, and whose tiles are finer, where that is quicker.

    That takes searches of its own, which nobody pays for who does not ask.
    """
    return chosen(list(map(_improving(planned), planned)), room, cores, overlap)


def _improving(planned: Sequence[Planned], waves: int = 0) -> Callable[[Planned], Planned]:
    """What makes patches and finer tiles of a stage, where these are worth it in an entry of those that are *planned*,
    and of one in lanes, in so many *waves*, what makes others wait less; those that are alike it looks at once."""
    every = max(waves, 1)
    least = PART * math.fsum(duration(each.stage, each.request.target).alone for each in planned) / every
    known: dict[object, Decision] = {}

    def improved(each: Planned) -> Planned:
        key, stage = each.request.likeness, each.stage
        if key not in known:
            found = finer(patched(each, least), least)
            known[key] = (deeper(shorter(found)) if waves else found).stage.mapping
        if known[key] != stage.mapping:
            stage = build_stage(Mapped(each.request, known[key], stage.explanation))
        return replace(each, stage=stage)

    return improved


def lanes(planned: Sequence[Planned], room: Room, cores: int, overlap: str) -> Arranged:
    """The stages of an entry in lanes, and their samples in as many waves as take the fewest predicted cycles; what
    `in_patches` makes of them, where they share loops, or have nothing to do on the way back, or are better so.
    """
    if not planned or not _may_be_in_lanes([each.stage for each in planned], planned[0].request.target):
        return in_patches(planned, room, cores, overlap)
    seats = Seats.of(planned[0].request.target, cores)
    part = shared_out(seats.target)
    waves = (in_waves(planned, count, part, _improving(planned, count)) for count in WAVES)
    found = [in_lanes(stages, room.aliases, seats) for stages in waves]
    others = in_patches(planned, room, cores, overlap)
    apart = [Arranged(lanes.stages, cycles=lanes.cycles / WORTH_LANES) for lanes in found]
    return min((others, *apart), key=lambda each: _weighed(each, seats.target))


def _weighed(arranged: Arranged, target: Target) -> float:
    """What stages cost, beside others that move other bytes."""
    channel = math.fsum(duration(stage, target).channel for stage in arranged.stages)
    return arranged.cycles + WORTH_MOVED * channel


def _may_be_in_lanes(stages: Sequence[Stage], target: Target) -> bool:
    """Whether there are several contexts to go through stages of several phases, none of which share a loop."""
    return target.contexts > 1 and len({stage.phase for stage in stages}) > 1 and not any(s.shared for s in stages)


def in_turn(planned: Sequence[Planned], room: Room, cores: int, overlap: str) -> Arranged:
    """The stages of an entry as they were planned: one after the other, each on all cores that it can use.

    Where no two stages run side by side, nothing is gained by steps that *overlap*.
    """
    return Arranged(tuple(each.stage for each in planned))


def published(planned: Sequence[Planned], room: Room, cores: int, overlap: str) -> Arranged:
    """The stages of an entry as they were planned, each on the cores that hold its layer; steps do not *overlap*."""
    return Arranged(tuple(placed(planned, room.aliases, cores)))


PARTITIONS: Mapping[str, Callable[[Sequence[Planned], Room, int, str], Arranged]] = {
    "chosen": chosen,
    "patches": in_patches,
    "lanes": lanes,
    "in_turn": in_turn,
    "published": published,
}
"""How the stages of an entry share the cores."""

OVERLAP = ("auto", "always", "off")
"""When a step of time begins while the one before is on its way back: where that saves cycles, or wherever it can."""


@dataclass(frozen=True)
class _Turn:
    """One turn of the loop of a cycle: works in *teams*, of which some have nothing to do in some turns."""

    works: tuple[Work, ...]
    teams: tuple[Team, ...]
    seats: Seats

    @classmethod
    def apart(cls, singles: Sequence[Work], seats: Seats) -> _Turn:
        """Stages of chosen steps behind all others."""
        works: list[Work] = []
        teams: list[Team] = []
        for _, part in groupby(singles, lambda work: work.stage.turns):
            own = list(part)
            teams += [team.moved(len(works)) for team in order_of(own, seats)]
            works += own
        return cls(tuple(works), tuple(teams), seats)

    def cycles(self, numbers: Collection[int]) -> float:
        """Cycles of a turn in which works of these *numbers* alone have something to do."""
        return math.fsum(cycles_of(team, numbers, self.seats) for team in self.teams)


def _overlapping(
    singles: Sequence[Work], apart: _Turn, room: Room, seats: Seats, overlap: str
) -> tuple[tuple[Overlap, ...], _Turn]:
    """What is decided of a cycle, and the turn that comes of it; *apart* is one of stages that take the same step.

    All turns together must take fewer cycles: one more of them, in the first and the last of which cores are idle.
    """
    stages = [work.stage for work in singles]
    steps = stages[0].statement.extents["t"]
    parts = parts_of(stages, room.aliases, room.momentary)
    if steps < 2 or not parts.first or not (parts.behind or parts.why):
        return (), apart
    chosen = max(stage.turns for stage in stages) or steps
    everything = range(len(singles))
    always = [number for number in everything if not stages[number].turns]
    before = chosen * apart.cycles(everything) + (steps - chosen) * apart.cycles(always)
    if not parts.behind:
        return (Overlap(apart=before, why=parts.why),), apart
    rooms = dict.fromkeys(room.momentary, 1) | dict.fromkeys(parts.handed, ROOMS)
    works: list[Work] = []
    for behind, numbers in ((1, parts.behind), (0, parts.first)):
        for number in numbers:
            stage = replace(stages[number], behind=behind)
            works.append(replace(singles[number], touches=tuple(touches(stage, room.aliases, rooms)), behind=behind))
    turn = _Turn(tuple(works), tuple(order_of(works, seats)), seats)
    begins, ends = turn.cycles(range(len(parts.behind), len(works))), turn.cycles(range(len(parts.behind)))
    both = chosen * (steps - 1) / steps  # one of the steps is the last, which no other begins beside
    cycles = both * turn.cycles(everything) + (steps - both) * begins + (chosen - both) * ends
    if overlap != "always" and cycles >= WORTH_ROOM * before:
        return (Overlap(cycles=cycles, apart=before, why=parts.why),), apart
    handed = sorted(parts.handed)
    request = singles[0].planned.request
    more = sum(-(-request.types[name].bytes(1, request.batch) // ALIGNMENT) * ALIGNMENT for name in handed)
    behind = tuple(told(stages[number]) for number in parts.behind)
    return (Overlap(behind, tuple(handed), more, cycles, before, parts.why),), turn
