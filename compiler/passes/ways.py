"""Ways to do a stage: on all cores, or on a group of fewer, which has less of some operands to read more than once.

On fewer cores a stage is mapped as on all but for its tiles and the order of its loops, which are searched anew; it is
a way only if it moves no more of DRAM.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from ..cost.duration import Duration, duration, least_work, operations
from ..ir.decision import Decision
from ..ir.schedule import Stage
from ..ir.statement import Contraction
from .build_stage import build_stage
from .mapping import Mapped, Mapper
from .request import Request

WORTH = 0.98
"""What is not predicted to take less than this part of the cycles is not worth a change."""

PARTS = (2, 4, 10)
"""Groups are as large as a stage can use, or so many times smaller, or one core."""


@dataclass(frozen=True)
class Planned:
    """A stage on all cores, and what it was made of."""

    request: Request
    stage: Stage
    mapper: Mapper


@dataclass(frozen=True)
class Way:
    """A stage on as many cores as have work in it, and how long it takes there."""

    stage: Stage
    lasts: Duration

    @cached_property
    def cores(self) -> int:
        """The size of the group."""
        return len(self.stage.mapping.shares)

    @cached_property
    def room(self) -> Mapping[int, int]:
        """Bytes that it takes of each memory of a core, from the first on."""
        return room_of(self.stage)

    def on(self, first: int, cores: int, context: int = 0, behind: Mapping[int, int] | None = None) -> Stage:
        """The stage on the group that begins with core *first* of so many *cores*, in a *context* of each.

        In each memory it leaves the first bytes, as many as are *behind*, to other contexts.
        """
        buffers = self.stage.buffers
        if behind:
            buffers = tuple(replace(each, address=each.address + behind.get(each.memory, 0)) for each in buffers)
        mapping = self.stage.mapping.placed(first, cores)
        return replace(self.stage, mapping=mapping, buffers=buffers, context=context)


class Ways:
    """All ways to do one stage, made when they are asked for."""

    def __init__(self, planned: Planned) -> None:
        self.planned = planned
        self._known: dict[int, Way | None] = {}

    @cached_property
    def widest(self) -> Way:
        """The stage as it was planned, less the cores that are idle in it."""
        return self._way(self.planned.stage)

    @cached_property
    def alone(self) -> Way:
        """The way that takes the fewest cycles where nothing else runs.

        Smaller groups are only looked at where the channel binds and cores read the same.
        """
        best = self.widest
        wanted = best.lasts.core < best.lasts.alone and reads_again(best.stage)
        for cores in self._sizes[1:] if wanted else ():
            most = WORTH * best.lasts.alone
            way = self._on(cores) if self._least(cores) < most else None
            if way is None or way.lasts.alone >= most:
                break
            best = way
        return best

    def within(self, cycles: float) -> Way:
        """The way with the fewest cores of which none takes more *cycles*; the widest where there is none.

        Half the cores take at most twice as long, and no less than their products: few sizes need a search.
        """
        for cores in reversed(self._sizes):
            few = self.widest.lasts.core * self.widest.cores > 2 * cycles * cores
            if not few and self._least(cores) <= cycles:
                way = self._on(cores)
                if way is not None and way.lasts.core <= cycles:
                    return way
        return self.widest

    @cached_property
    def _sizes(self) -> tuple[int, ...]:
        """Sizes of groups, from the largest."""
        most = self.widest.cores
        return tuple(sorted({most, *(max(1, most // part) for part in PARTS), 1}, reverse=True))

    def _least(self, cores: int) -> float:
        """Cycles that the busiest of so many cores takes at least."""
        return self.work / cores

    @cached_property
    def unit(self) -> str:
        """The unit whose cycles `work` are."""
        statement = self.planned.stage.statement
        return statement.engine if isinstance(statement, Contraction) else "vector"

    @cached_property
    def work(self) -> float:
        """Cycles that all cores of any group take together at least."""
        request = self.planned.request
        return least_work(self.widest.stage, request.target, not request.densities.values)

    def _on(self, cores: int) -> Way | None:
        """The stage on so many cores; None where it does not fit, or moves more than on all."""
        if cores == self.widest.cores:
            return self.widest
        if cores not in self._known:
            request, stage = self.planned.request, self.planned.stage
            wide = Mapped(request, stage.mapping, stage.explanation)
            mapped = self.planned.mapper.near(request.on(cores), wide)
            way = None if mapped is None else self._way(build_stage(mapped))
            fits = way is not None and way.lasts.channel <= self.widest.lasts.channel
            self._known[cores] = way if fits else None
        return self._known[cores]

    def _way(self, stage: Stage) -> Way:
        """The stage as a way; of those that are mapped alike and compute as much, one is timed."""
        kept = replace(stage, mapping=stage.mapping.working)
        request, known = self.planned.request, self.planned.mapper.lasting
        gatings = (kept.gating, *(each.gating for each in kept.beside))
        key = request.likeness, _mapped(kept.mapping), tuple(operations(each) for _, each in kept.elements), gatings
        if key not in known:
            known[key] = duration(kept, request.target)
        return Way(kept, known[key])


def _mapped(mapping: Decision) -> object:
    """All of a mapping that bears on how long it takes."""
    tiles, parts = tuple(mapping.tiles.items()), tuple(mapping.parts.items())
    return mapping.order, tiles, parts, mapping.rings, mapping.whole, mapping.cast


def reads_again(stage: Stage) -> bool:
    """Whether some of what a core reads, another reads too: what the split leaves whole, or the rim of a window."""
    parts = stage.mapping.parts
    reads = [access for name, access in stage.accesses if not name.startswith("out")]
    rims = (index for access in reads for index in access.index if len(index.terms) > 1)
    followed = (name in access.loops for access in reads for name in parts)
    return not all(followed) or any(index.coefficient(name) for index in rims for name in parts)


def room_of(stage: Stage) -> dict[int, int]:
    """Bytes that a stage takes of each memory of a core, from the first on."""
    taken: dict[int, int] = {}
    for buffer in stage.buffers:
        end = buffer.address + buffer.bytes * buffer.ring
        taken[buffer.memory] = max(taken.get(buffer.memory, 0), end)
    return taken
