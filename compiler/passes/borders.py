"""Borders between stages: who waits until what has landed, who meets there, and which contexts tell one another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ...isa.instructions.control import Barrier
from ...isa.program import Debug
from ..ir.schedule import Stage
from .writer import Semaphores, Writer, debug_of, made_post, made_wait


def contexts_of(stages: Iterable[Stage]) -> int:
    """In how many contexts of each core there are *stages*."""
    return 1 + max((stage.context for stage in stages), default=0)


def numbered_as(stage: Stage, cores: int, numbered: int) -> Stage:
    """*stage* on contexts as instructions number them: those of number 0 first, each of so many *cores*."""
    return stage if numbered == cores else replace(stage, mapping=stage.mapping.placed(stage.context * cores, numbered))


def landed(stage: Stage, core: int, semaphores: Semaphores) -> int:
    """The semaphore by which a load unit learns that its core is through with *stage*."""
    return semaphores.number(stage.ends_with(core), "load", "landed", 0)


def land(writer: Writer, debug: Debug, stage: Stage, semaphores: Semaphores) -> None:
    """A load unit waits until its core is through with *stage*."""
    writer.put(debug, made_wait(landed(stage, writer.core, semaphores)))


def own_last(team: Sequence[Stage], core: int) -> Sequence[Stage]:
    """The last stage that a core has in a team, if it has one."""
    return [stage for stage in team if stage.works(core)][-1:]


def meet_behind(writer: Writer, debug: Debug, before: Sequence[Stage], cores: int, semaphores: Semaphores) -> None:
    """A load unit at the border behind the team *before*, if there is one."""
    for stage in own_last(before, writer.core):
        land(writer, debug, stage, semaphores)
    if before and cores > 1:
        writer.put(debug, Barrier(cores))


@dataclass(frozen=True)
class Border:
    """Where a context of an entry in lanes is through with the stage *before*, if there is one, and begins *stage*; or,
    behind the *last*, where it ends."""

    stage: Stage
    before: Stage | None
    cores: int
    semaphores: Semaphores
    last: bool = False

    def put(self, writer: Writer) -> None:
        """What the load unit of a core does there."""
        debug, context = debug_of(self.stage), self.stage.context
        if (before := self.before) is not None:
            if before.works(writer.core):
                land(writer, debug, before, self.semaphores)
            if self.cores > 1:
                writer.put(debug, Barrier(self.cores, context * self.cores))
            own = writer.core % self.cores
            for other in before.tells:
                told = self._told(context, other)
                writer.put(debug, made_post(told, other * self.cores + own))
        if not self.last:
            for other in self.stage.awaits or ():
                writer.put(debug, made_wait(self._told(other, context)))

    def _told(self, context: int, other: int) -> int:
        """The semaphore by which one context tells another that it is through with a stage."""
        return self.semaphores.number("load", f"load of context {other}", "told", context)
