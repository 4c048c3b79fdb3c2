"""Teams: stages that need nothing of one another run side by side, each on a group of cores.

Stages in turn leave cores idle where a loop is too short to be shared by all, the DRAM channel idle while cores
compute, and cores idle while they wait for it.  So a stage may be moved past others where it does not wait for them
(see `dependencies`), and of those that are ready at the same time as many become a team as saves cycles.  Each member
has a contiguous group of cores, as large as its work asks for; where members are more than fit side by side, cores
take some of them one by one.  Where cores have several contexts, groups may have the same cores: then the engines of a
core work for different stages at once, as far as its memories hold what these need, and share what both need.
One that only overwrites what another reads (an update, the weights that errors go back through) may run beside it, and
stores nothing until all have ended that read.  A stage that is alone may have fewer cores as well (see `ways`).

An order is made twice, from the first stage on, and from the last one back, which puts off what nobody waits for; of
these and of all stages in turn, the one of the fewest predicted cycles wins.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..ir.schedule import Stage
from .dependencies import Touch, overwrites, touches, waits
from .ready import Ready
from .seats import Seats, Taken
from .ways import WORTH, Planned, Way, Ways

MEETING = 8
"""Cycles of a border between stages, about: a post and a wait in each core, and the barrier."""

SIZES = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)
"""Numbers of members that are tried, beside all that are ready."""

MOST = 512
"""Of more works that are ready, the rest waits, so that what each team costs to find does not grow with the network."""

MOST_NEARLY = 16
"""Of works that wait for nothing but to overwrite what others read, so many are looked at one by one."""

BOUNDS, LARGER = 8, 1.25
"""How many bounds are tried for the cycles of a team, and how much larger each is than the one before."""


@dataclass(frozen=True)
class Work:
    """What has its place in an order: a stage with its *ways*, or a whole cycle, whose *stages* are in order already.

    *cycles* are those that it takes alone, its border included.
    """

    touches: tuple[Touch, ...]
    cycles: float
    ways: Ways | None = None
    stages: tuple[Stage, ...] = ()
    behind: int | None = None
    """See `Stage.behind`."""

    @property
    def planned(self) -> Planned:
        """The stage as it was planned, and what it was made of."""
        assert self.ways is not None, "a cycle has many stages"
        return self.ways.planned

    @property
    def stage(self) -> Stage:
        """The stage as it was planned."""
        return self.planned.stage


@dataclass(frozen=True)
class Member:
    """Work *number* done in some way, on the group of cores that begins with *first*, in a *context* of each, *behind*
    what those before it need of each memory; of a cycle, *way* is None."""

    number: int
    way: Way | None = None
    first: int = 0
    context: int = 0
    behind: Mapping[int, int] = field(default_factory=dict[int, int])


@dataclass(frozen=True)
class Team:
    """Members side by side, or a single one, and the cycles until all have met."""

    members: tuple[Member, ...]
    cycles: float
    late: frozenset[int] = frozenset()
    """Numbers of those that overwrite what others read."""

    def moved(self, by: int) -> Team:
        """The same works under numbers that are *by* higher."""
        members = tuple(replace(member, number=member.number + by) for member in self.members)
        return replace(self, members=members, late=frozenset(number + by for number in self.late))


def single_of(planned: Planned, aliases: Mapping[str, str]) -> Work:
    """The work of one stage."""
    ways = Ways(planned)
    return Work(tuple(touches(planned.stage, aliases)), ways.alone.lasts.alone + MEETING, ways)


def cycle_of(singles: Sequence[Work], stages: tuple[Stage, ...]) -> Work:
    """The work of stages that take each step together."""
    steps = stages[0].statement.extents["t"]
    return Work(
        tuple(touch for work in singles for touch in work.touches),
        steps * sum(work.cycles for work in singles),
        stages=stages,
    )


def stages_of(work: Work, member: Member, cores: int, number: int, late: bool) -> tuple[Stage, ...]:
    """The stages of *work* in the team with this *number*, or alone (0); one that is *late* overwrites what others
    there read."""
    if work.ways is None or member.way is None:
        return work.stages
    if not number and member.way is work.ways.widest:
        return (replace(work.stage, behind=work.behind),)
    stage = member.way.on(member.first, cores, member.context, member.behind)
    return (replace(stage, team=number, behind=work.behind, late=late),)


def order_of(works: Sequence[Work], seats: Seats) -> list[Team]:
    """All works, as teams in an order that no dependency forbids."""
    touched = [work.touches for work in works]
    before, some = waits(touched), list(_overwriting(works, overwrites(touched)))
    last = len(works) - 1
    back = [
        replace(team, members=tuple(replace(member, number=last - member.number) for member in reversed(team.members)))
        for team in reversed(_teamed(works[::-1], _reversed(before), _reversed(some), seats))
    ]
    orders = [_alone(works, number) for number in range(len(works))], _teamed(works, before, some, seats), back
    best = min(orders, key=lambda teams: math.fsum(team.cycles for team in teams))
    return [replace(team, late=_late(team, some)) for team in best]


def _overwriting(works: Sequence[Work], found: Sequence[frozenset[int]]) -> Iterator[frozenset[int]]:
    """Of each work, those that it may run beside though it overwrites what they read: stages that are over when they
    have stored the last that they make."""
    for work, others in zip(works, found, strict=True):
        kept = (other for other in others if works[other].ways is not None and not works[other].stage.gathers)
        yield frozenset(kept if work.ways is not None else ())


def _reversed(before: Sequence[frozenset[int]]) -> list[frozenset[int]]:
    """Those behind each of the works, from the last one back, if *before* are those before each."""
    last = len(before) - 1
    behind: list[set[int]] = [set() for _ in before]
    for number, others in enumerate(before):
        for other in others:
            behind[last - other].add(last - number)
    return [frozenset(others) for others in behind]


def _late(team: Team, some: Sequence[frozenset[int]]) -> frozenset[int]:
    """Members of *team* that overwrite what others of it read."""
    numbers = {member.number for member in team.members}
    return frozenset(number for number in numbers if some[number] & numbers)


def _alone(works: Sequence[Work], number: int) -> Team:
    work = works[number]
    return Team((Member(number, work.ways.alone if work.ways else None),), work.cycles)


def _teamed(
    works: Sequence[Work], before: Sequence[frozenset[int]], some: Sequence[frozenset[int]], seats: Seats
) -> list[Team]:
    """Teams of what is ready, one after the other; where none is worth it, what the longest chain waits for."""
    ready = Ready(works, before, some)
    found: list[Team] = []
    while (next := ready.longest()) is not None:
        found.append(_best(works, ready, seats) or _alone(works, next))
        ready.finish([member.number for member in found[-1].members])
    return found


def _best(works: Sequence[Work], ready: Ready, seats: Seats) -> Team | None:
    """The team that saves the most; None if none saves any."""
    best, most = None, 0.0
    if seats.cores * seats.contexts == 1:
        return None
    for numbers in _candidates(ready):
        members = {number: ways for number in numbers if (ways := works[number].ways) is not None}
        apart = sum(works[number].cycles for number in members)
        least = _least(members.values(), seats)
        if least >= WORTH * apart or apart - least <= most:  # no mapping of its members can make it worth it
            continue
        team = _bounded(members, seats)
        if team is not None and team.cycles < WORTH * apart and apart - team.cycles > most:
            best, most = team, apart - team.cycles
    return best


def _candidates(ready: Ready) -> Iterator[tuple[int, ...]]:
    """Members that a team may have: the first so many of what is ready, with or without those that may run beside them
    though they overwrite what these read; such a one with those alone that it would wait for."""
    ranked = [number for _, number in ready.ranked[:MOST]]
    nearly = ready.nearly
    found: list[tuple[int, ...]] = []
    for size in (*(size for size in SIZES if size < len(ranked)), len(ranked)):
        first = ranked[:size]
        more = [number for number, others in nearly if others <= {*first}]
        found += [tuple(first), (*first, *more)]
    found += [(*sorted(others), number) for number, others in nearly[:MOST_NEARLY] if others <= {*ranked}]
    return (numbers for numbers in dict.fromkeys(found) if len(numbers) > 1)


def _least(members: Iterable[Ways], seats: Seats) -> float:
    """Cycles that *members* take side by side at least: units of a core that has several contexts work at once."""
    works: dict[str, float] = {}
    for ways in members:
        unit = ways.unit if seats.contexts > 1 else ""
        works[unit] = works.get(unit, 0.0) + ways.work
    return max(works.values()) / seats.cores + MEETING


def _bounded(members: Mapping[int, Ways], seats: Seats) -> Team | None:
    """*members* side by side, each on as few cores as some bound of the cycles allows; None where they do not fit."""
    bound = max(ways.widest.lasts.core for ways in members.values())
    bound = max(bound, sum(ways.alone.lasts.channel for ways in members.values()))
    tried: list[Team] = []
    for _ in range(BOUNDS):
        ways = {number: ways.within(bound) for number, ways in members.items()}
        for each in (seats.alone, seats) if seats.contexts > 1 else (seats,):
            team = _packed(ways, each) if each.cores * each.contexts > 1 else None
            if team is not None:
                tried.append(team)
                if team.cycles <= bound:
                    return min(tried, key=lambda team: team.cycles)
        bound *= LARGER
    return min(tried, key=lambda team: team.cycles, default=None)


def _packed(ways: Mapping[int, Way], seats: Seats) -> Team | None:
    """*ways* side by side, the longest first, each on the cores that are free the soonest, in the context in which it
    ends first; None where what is at work at once does not fit into the memories.
    """
    taken = Taken(seats)
    members: list[Member] = []
    for number, way in sorted(ways.items(), key=lambda item: -item[1].lasts.core):
        spot = taken.best(way)
        if spot is None:
            return None
        taken.take(way, *spot)
        members.append(Member(number, way, *spot))
    behind = taken.behind
    placed = [replace(member, behind=behind[member.context]) for member in members]
    cycles = max(taken.cycles, _moving(ways.values())) + MEETING
    return Team(tuple(sorted(placed, key=lambda member: member.number)), cycles)


def cycles_of(team: Team, numbers: Collection[int], seats: Seats) -> float:
    """Cycles of *team* where works of these *numbers* alone have something to do; all are stages."""
    taken = Taken(seats)
    own = [(member, member.way) for member in team.members if member.way and member.number in numbers]
    for member, way in sorted(own, key=lambda item: -item[1].lasts.core):
        taken.take(way, member.first, member.context)
    return max(taken.cycles, _moving([way for _, way in own])) + MEETING


def _moving(ways: Collection[Way]) -> float:
    """Cycles until all that *ways* move has landed, as if no core had anything else to do."""
    return sum(way.lasts.channel for way in ways) + max((way.lasts.ends for way in ways), default=0)
