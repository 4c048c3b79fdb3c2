"""A stage as one core sees it: its share of every loop, and the registers of these."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from .schedule import Buffer, Stage

STEP, CHOSEN = 14, 15
"""The loop registers that hold the step of a stage that runs behind, and count the chosen steps; loops of stages are
fewer."""

GATE = 13
"""The first of the loop registers, downwards, of loops of one turn around what is not taken in every turn."""


@dataclass(frozen=True)
class OnCore:
    """A stage on one core: its share of every loop."""

    stage: Stage
    core: int

    @cached_property
    def loops(self) -> tuple[str, ...]:
        """Loops that are instructions, outermost first."""
        return self.stage.loops

    @cached_property
    def extents(self) -> dict[str, int]:
        """Extent of each loop on this core."""
        own = {name: shares[self.core][1] for name, shares in self.stage.mapping.parts.items()}
        return {**self.stage.extents, **own}

    @cached_property
    def lows(self) -> dict[str, int]:
        """First value of each loop that is split over cores."""
        return {name: shares[self.core][0] for name, shares in self.stage.mapping.parts.items()}

    @property
    def share(self) -> tuple[int, ...]:
        """How much the core has of each loop that is split over cores."""
        return tuple(shares[self.core][1] for shares in self.stage.mapping.parts.values())

    def along(self, loop: str, buffer: Buffer) -> tuple[int, int]:
        """First value and extent of *loop* in what all tiles of *buffer* have: the core's share, or all of it."""
        if loop in buffer.whole:
            return 0, self.stage.extents[loop]
        return self.lows.get(loop, 0), self.extents[loop]

    def tile(self, loop: str) -> int:
        """The most that one instruction sees of *loop*."""
        return min(self.stage.mapping.tiles[loop], self.extents[loop]) if loop in self.loops else self.extents[loop]

    def trips(self, loop: str) -> int:
        """Turns of a loop on this core."""
        return -(-self.extents[loop] // self.stage.mapping.tiles[loop])

    def register(self, loop: str) -> int:
        """The loop register of *loop*; the step that a stage takes is not the turn where turns overlap."""
        return STEP if loop == "t" and self.stage.behind is not None else self.loops.index(loop)

    def gate(self, number: int) -> int:
        """The loop register of the loop of one turn with that *number*, the innermost is 0."""
        assert GATE - number >= len(self.loops), f"{self.stage.node}: {len(self.loops)} loops, and {number + 1} more"
        return GATE - number

    def mask(self, loops: Iterable[str]) -> int:
        """Mask of the registers of those of *loops* that are instructions; chosen steps have one of their own."""
        numbers = {loop: self.register(loop) for loop in loops if loop in self.loops}
        if self.stage.turns and "t" in numbers:
            numbers["t"] = CHOSEN
        return sum(1 << number for number in numbers.values())
