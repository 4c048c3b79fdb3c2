"""Streams under construction: their instructions, what each of these is for, and the numbers of semaphores."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import PurePath

from ...isa.instruction import Instruction
from ...isa.instructions.control import Choose, End, Loop, Post, Wait, Within
from ...isa.program import Debug
from ...source import Place
from ..ir.schedule import Stage

made_end = lru_cache(1 << 12)(End)
made_post = lru_cache(1 << 14)(Post)
made_wait = lru_cache(1 << 12)(Wait)


@dataclass
class Writer:
    """One stream under construction."""

    core: int
    unit: str
    instructions: list[Instruction] = field(default_factory=list[Instruction])
    debug: list[Debug] = field(default_factory=list[Debug])

    def put(self, debug: Debug, *instructions: Instruction) -> None:
        """Append instructions that serve *debug*."""
        self.instructions += instructions
        self.debug += [debug] * len(instructions)

    def turn(self, first: int, opens: Loop | Choose | Within) -> None:
        """Let all that follows instruction *first* turn in the loop that *opens* there, if it is anything.

        The loop belongs to the stage that it opens with, its end to the one that it ends with.
        """
        if len(self.instructions) > first:
            self.instructions.insert(first, opens)
            self.debug.insert(first, self.debug[first])
            self.put(self.debug[-1], made_end(opens.loop))


@dataclass
class Semaphores:
    """Semaphore numbers: one for each pair of units, purpose and place among the buffers of a stage.

    The same key has one posting and one waiting unit in every stage, so stages may share it.
    """

    numbers: dict[tuple[str, str, str, int], int] = field(default_factory=dict[tuple[str, str, str, int], int])

    def number(self, poster: str, waiter: str, purpose: str, place: int) -> int:
        """The semaphore that *poster* posts and *waiter* waits for."""
        return self.numbers.setdefault((poster, waiter, purpose, place), len(self.numbers))


def debug_of(stage: Stage) -> Debug:
    """What an instruction of *stage* is for.  Of the file only its name: a program does not depend on where it lay."""
    return _noted(stage.node, stage.phase, stage.place)


@lru_cache(1 << 12)
def _noted(node: str, phase: str, place: Place) -> Debug:
    return Debug(node, phase, replace(place, file=PurePath(place.file).name))


def debugs_of(stage: Stage) -> tuple[Debug, ...]:
    """What instructions of each of its statements are for."""
    return (debug_of(stage), *(_noted(each.node, each.phase, each.place) for each in stage.joined))
