"""What is to be mapped: one statement of a node on a machine, and what bears on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...isa.target import Target
from ...source import Place
from ..ir.statement import WINDOW, Moments, Statement
from ..ir.types import Type
from .operands import Operand, exact_moments, operands_of
from .pins import Pin


@dataclass(frozen=True)
class Request:
    """What is to be mapped: a statement of a node, and what bears on it."""

    name: str
    layer: str
    phase: str
    statement: Statement
    types: Mapping[str, Type]
    target: Target
    cores: int
    steps: int
    batch: int
    dataflow: str
    pin: Pin
    place: Place
    cycle: int = 0
    """Other than 0: a number of the cycle through time whose steps the statement takes with others."""

    turns: int = 0
    """Other than 0: of how many steps it takes part in, which the host chooses."""

    rooms: Mapping[str, int] = field(default_factory=dict[str, int])
    """For how many steps there is room of values that are gone with their window."""

    @property
    def shared(self) -> tuple[str, ...]:
        """The loops, outermost, that it turns together with others: over windows, and in a cycle over steps."""
        windows = (WINDOW,) if WINDOW in self.statement.extents else ()
        return (*windows, *(("t",) if self.cycle else ()))

    def operands(self, split: str | None) -> tuple[Operand, ...]:
        """What needs a buffer where cores *split* that loop; nothing outlives a turn of a loop that is shared."""
        hold = frozenset(self.shared)
        sizes = self.steps, self.batch
        return operands_of(self.statement, self.phase, self.types, self.target, *sizes, hold, split, self.rooms)

    @property
    def rounds(self) -> bool:
        """Whether the sums of the statement are rounded, so that their order shows."""
        if isinstance(self.statement, Moments):
            return not exact_moments(self.statement, self.types)
        return self.target.accumulators != "exact"
