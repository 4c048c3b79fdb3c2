"""Teams: stages that need nothing of one another run side by side, each on a group of cores.

Stages in turn leave cores idle where a loop is too short to be shared by all, the DRAM channel idle while cores
compute, and cores idle while they wait for it.  So a stage may be moved past others where it does not wait for them
(see `dependencies`), and of those that are ready at the same time as many become a team as saves cycles.  Each member
has a contiguous group of cores, as large as its work asks for; where members are more than fit side by side, cores
take some of them one by one.  A stage that is alone may have fewer cores as well (see `ways`).

An order is made twice, from the first stage on, and from the last one back, which puts off what nobody waits for; of
these and of all stages in turn, the one of the fewest predicted cycles wins.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush

from ..ir.schedule import Stage
from .dependencies import Touch, touches, waits
from .ways import WORTH, Planned, Way, Ways

MEETING = 8
"""Cycles of a border between stages, about: a post and a wait in each core, and the barrier."""

SIZES = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)
"""Numbers of members that are tried, beside all that are ready."""

MOST = 512
"""Of more works that are ready, the rest waits, so that what each team costs to find does not grow with the network."""

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
    """Work *number* done in some way, on the group of cores that begins with *first*; of a cycle, *way* is None."""

    number: int
    way: Way | None = None
    first: int = 0


@dataclass(frozen=True)
class Team:
    """Members side by side, or a single one, and the cycles until all have met."""

    members: tuple[Member, ...]
    cycles: float

    def moved(self, by: int) -> Team:
        """The same works under numbers that are *by* higher."""
        return replace(self, members=tuple(replace(member, number=member.number + by) for member in self.members))


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


def stages_of(work: Work, member: Member, cores: int, number: int) -> tuple[Stage, ...]:
    """The stages of *work* in the team with this *number*, or alone (0)."""
    if work.ways is None or member.way is None:
        return work.stages
    if not number and member.way is work.ways.widest:
        return (replace(work.stage, behind=work.behind),)
    return (replace(member.way.on(member.first, cores), team=number, behind=work.behind),)


def order_of(works: Sequence[Work], cores: int) -> list[Team]:
    """All works, as teams in an order that no dependency forbids."""
    before = waits([work.touches for work in works])
    last = len(works) - 1
    behind = [
        frozenset(last - other for other in range(len(works)) if last - number in before[other])
        for number in range(len(works))
    ]
    back = [
        replace(team, members=tuple(replace(member, number=last - member.number) for member in reversed(team.members)))
        for team in reversed(_teamed(works[::-1], behind, cores))
    ]
    orders = [_alone(works, number) for number in range(len(works))], _teamed(works, before, cores), back
    return min(orders, key=lambda teams: math.fsum(team.cycles for team in teams))


def _alone(works: Sequence[Work], number: int) -> Team:
    work = works[number]
    return Team((Member(number, work.ways.alone if work.ways else None),), work.cycles)


class _Ready:
    """Works that wait for nobody any more: *ranked* by how long they leave the channel idle, and by the longest chain
    of works that waits for each."""

    def __init__(self, works: Sequence[Work], before: Sequence[frozenset[int]]) -> None:
        self._works = works
        self._waiting = [len(others) for others in before]
        self._behind: list[list[int]] = [[] for _ in works]
        self._chains = [work.cycles for work in works]
        for number in reversed(range(len(works))):
            for other in before[number]:
                self._behind[other].append(number)
                self._chains[other] = max(self._chains[other], works[other].cycles + self._chains[number])
        self._done: set[int] = set()
        self._longest: list[tuple[float, int]] = []
        self.ranked: list[tuple[float, int]] = []
        for number, others in enumerate(self._waiting):
            if not others:
                self._enter(number)

    def _enter(self, number: int) -> None:
        heappush(self._longest, (-self._chains[number], number))
        rank = self._rank(number)
        if rank is not None:
            insort(self.ranked, rank)

    def _rank(self, number: int) -> tuple[float, int] | None:
        ways = self._works[number].ways
        return None if ways is None else (ways.alone.lasts.channel - ways.alone.lasts.core, number)

    def longest(self) -> int | None:
        """What the longest chain waits for; None where all are done."""
        while self._longest and self._longest[0][1] in self._done:
            heappop(self._longest)
        return self._longest[0][1] if self._longest else None

    def finish(self, numbers: Iterable[int]) -> None:
        """These are done; those that waited for them alone are ready."""
        for number in numbers:
            self._done.add(number)
            rank = self._rank(number)
            if rank is not None:
                del self.ranked[bisect_left(self.ranked, rank)]
            for other in self._behind[number]:
                self._waiting[other] -= 1
                if not self._waiting[other]:
                    self._enter(other)


def _teamed(works: Sequence[Work], before: Sequence[frozenset[int]], cores: int) -> list[Team]:
    """Teams of what is ready, one after the other; where none is worth it, what the longest chain waits for."""
    ready = _Ready(works, before)
    found: list[Team] = []
    while (next := ready.longest()) is not None:
        found.append(_best(works, [number for _, number in ready.ranked[:MOST]], cores) or _alone(works, next))
        ready.finish(member.number for member in found[-1].members)
    return found


def _best(works: Sequence[Work], ranked: Sequence[int], cores: int) -> Team | None:
    """The team that saves the most, of those of the first so many of *ranked* works; None if none saves any."""
    best, most = None, 0.0
    if cores > 1 and len(ranked) > 1:
        ways = {number: work.ways for number in ranked if (work := works[number]).ways is not None}
        for size in (*(size for size in SIZES if size < len(ranked)), len(ranked)):
            members = {number: ways[number] for number in ranked[:size]}
            apart = sum(works[number].cycles for number in members)
            least = sum(own.work for own in members.values()) / cores + MEETING
            if least >= WORTH * apart or apart - least <= most:  # no mapping of its members can make it worth it
                continue
            team = _bounded(members, cores)
            if team.cycles < WORTH * apart and apart - team.cycles > most:
                best, most = team, apart - team.cycles
    return best


def _bounded(members: Mapping[int, Ways], cores: int) -> Team:
    """*members* side by side, each on as few cores as some bound of the cycles allows."""
    bound = max(ways.widest.lasts.core for ways in members.values())
    bound = max(bound, sum(ways.alone.lasts.channel for ways in members.values()))
    tried: list[Team] = []
    for _ in range(BOUNDS):
        tried.append(_packed({number: ways.within(bound) for number, ways in members.items()}, cores))
        if tried[-1].cycles <= bound:
            break
        bound *= LARGER
    return min(tried, key=lambda team: team.cycles)


def _packed(ways: Mapping[int, Way], cores: int) -> Team:
    """*ways* side by side, the longest first, each on the cores that are free the soonest."""
    free = [0.0] * cores
    members: list[Member] = []
    for number, way in sorted(ways.items(), key=lambda item: -item[1].lasts.core):
        begins, first = _soonest(free, way.cores)
        free[first : first + way.cores] = [begins + way.lasts.core] * way.cores
        members.append(Member(number, way, first))
    return Team(tuple(sorted(members, key=lambda member: member.number)), max(*free, _moving(ways.values())) + MEETING)


def _soonest(free: Sequence[float], count: int) -> tuple[float, int]:
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


def cycles_of(team: Team, numbers: Collection[int], cores: int) -> float:
    """Cycles of *team* where works of these *numbers* alone have something to do; all are stages."""
    free = [0.0] * cores
    ways = [(member.first, member.way) for member in team.members if member.way and member.number in numbers]
    for first, way in sorted(ways, key=lambda item: -item[1].lasts.core):
        group = slice(first, first + way.cores)
        free[group] = [max(free[group]) + way.lasts.core] * way.cores
    return max(*free, _moving([way for _, way in ways])) + MEETING


def _moving(ways: Collection[Way]) -> float:
    """Cycles until all that *ways* move has landed, as if no core had anything else to do."""
    return sum(way.lasts.channel for way in ways) + max((way.lasts.ends for way in ways), default=0)
