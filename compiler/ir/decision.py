"""What was decided for a statement, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

Shares = tuple[tuple[int, int], ...]
"""First value and extent of a loop in each core."""


@dataclass(frozen=True)
class Decision:
    """What was decided for a statement: loops in order (outermost first), tile of every loop, split over cores."""

    dataflow: str
    order: tuple[str, ...]
    tiles: Mapping[str, int]
    split: str | None
    shares: Shares
    """First value and extent of the split loop in each core."""

    rings: int = 2
    """Tiles that a buffer has which is filled again while it is used: 2 is double buffering."""

    whole: tuple[tuple[str, str], ...] = ()
    """Operands (by use) whose buffers hold all tiles of a loop side by side, while it turns through them."""

    cast: tuple[str, ...] = ()
    """Operands of which several cores need the same tiles: the first of them loads each and sends it to the others."""

    ahead: tuple[tuple[str, int], ...] = ()
    """Operands (by use) whose buffers have so many tiles, where they are filled again, whatever *rings* says."""

    further: tuple[tuple[str, Shares], ...] = ()
    """More loops that cores share, each with its shares: a core does what lies in its part of every one, and where it
    has none of one it has none of any."""

    @cached_property
    def parts(self) -> Mapping[str, Shares]:
        """The shares of each loop that cores share."""
        return {} if self.split is None else {self.split: self.shares, **dict(self.further)}

    @property
    def working(self) -> Decision:
        """The same without the cores that have nothing to do."""
        return self._of(lambda shares: (own for own, (_, extent) in zip(shares, self.shares, strict=True) if extent))

    def placed(self, first: int, cores: int) -> Decision:
        """The same on the cores from *first* on, of so many *cores*."""
        idle = ((0, 0),)
        return self._of(lambda shares: idle * first + shares + idle * (cores - first - len(shares)))

    def _of(self, made: Callable[[Shares], Iterable[tuple[int, int]]]) -> Decision:
        further = tuple((name, tuple(made(shares))) for name, shares in self.further)
        return replace(self, shares=tuple(made(self.shares)), further=further)


class Rivals(NamedTuple):
    """What a mapping was chosen among: candidates, how many of them fit, and the best of those that are unlike it."""

    candidates: int = 0
    feasible: int = 0
    runner_up: str = ""
    runner_up_cost: float = 0


@dataclass(frozen=True)
class Explanation:
    """Why this mapping: the DRAM bytes that it is predicted to move, what it costs by the *objective* (in bytes, cycles
    or picojoules), what binds, and its rivals."""

    dram: int
    cost: float = 0
    binds: str = ""
    objective: str = "dram"
    found: Callable[[], Rivals] = field(default=Rivals, compare=False, repr=False)
    """Finds the rivals: most mappings are never asked for theirs."""

    @property
    def rivals(self) -> Rivals:
        """What it was chosen among."""
        return self.found()
