"""Splitting a statement over cores: by samples, by rows, or by channels in multiples of 16; sums by their samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..ir.accesses import accesses
from ..ir.statement import TIME, Contraction, Elementwise, Moments, Statement, Window

CHANNEL_GRAIN = 16
"""Channel splits fall on multiples of this, so that packed rows never share a byte between cores."""


@dataclass(frozen=True)
class Split:
    """How one loop is shared out: its name (None where a single core does it all), and (first, extent) a core."""

    loop: str | None
    shares: tuple[tuple[int, int], ...]

    @cached_property
    def largest(self) -> int:
        """The largest share."""
        return max(extent for _, extent in self.shares)

    @cached_property
    def active(self) -> int:
        """Cores that have work."""
        return len(self.working)

    @cached_property
    def working(self) -> tuple[tuple[int, int], ...]:
        """The shares of cores that have work."""
        return tuple(share for share in self.shares if share[1])


def shares(extent: int, cores: int, grain: int = 1) -> tuple[tuple[int, int], ...]:
    """*extent* values in *cores* contiguous shares, as even as multiples of *grain* allow; the last cores idle where
    there are more of them than multiples."""
    units = -(-extent // grain)
    having = min(units, cores)
    found: list[tuple[int, int]] = []
    for core in range(having):
        low = min(extent, units * core // having * grain)
        high = min(extent, units * (core + 1) // having * grain)
        found.append((low, high - low))
    return (*found, *[(extent, 0)] * (cores - having))


def splittable(statement: Statement, exact: bool) -> dict[str, int]:
    """Loops over which cores may share the statement, with the grain of each: every loop that all results follow.

    Sums stay whole, but those of moments are shared by samples where they are `summable`.
    """
    match statement:
        case Contraction():
            targets = [statement.target]
        case Elementwise():
            targets = list(statement.targets)
        case Window():
            targets = [statement.target]
        case Moments():
            targets = [statement.comoment]
    common = {name for name in targets[0].loops if all(name in target.loops for target in targets)} - set(TIME)
    if isinstance(statement, Elementwise):
        common -= set(statement.reduced)
    if isinstance(statement, Moments):
        common |= summable(statement, exact).keys()
    grains: dict[str, int] = {}
    for name, extent in statement.loops:
        if name in common and extent > 1:
            grain = 1
            for _, access in accesses(statement):
                coefficient = abs(access.index[-1].coefficient(name)) if access.index else 0
                if coefficient:
                    grain = math.lcm(grain, CHANNEL_GRAIN // math.gcd(CHANNEL_GRAIN, coefficient))
            grains[name] = grain
    return grains


def summable(statement: Statement, exact: bool) -> dict[str, int]:
    """Loops of a sum that cores may share, each adding what it has of it: the first adds what the others have.

    That are samples, of sums that are *exact*: then no order shows.
    """
    summed = statement.summed if isinstance(statement, Contraction | Moments) else ()
    many = "n" in summed and statement.extents["n"] > 1
    return {"n": 1} if exact and many else {}


def shareable(statements: Sequence[Statement], exact: bool) -> dict[str, int]:
    """Loops over which cores may share all of *statements*, which walk the same loops, with the grain of each."""
    first, *others = (splittable(statement, exact) for statement in statements)
    for grains in others:
        first = {name: math.lcm(grain, grains[name]) for name, grain in first.items() if name in grains}
    return first


def splits(extents: Mapping[str, int], grains: Mapping[str, int], cores: int) -> list[Split]:
    """Every way to share a loop of *extents* by its grain that keeps the busiest core within a quarter of the best."""
    alone = Split(None, ((0, 1),) + ((0, 0),) * (cores - 1))
    if cores == 1:
        return [alone]
    found = [(1.0, alone)]
    for name, grain in grains.items():
        split = Split(name, shares(extents[name], cores, grain))
        found.append((split.largest / extents[name], split))
    best = min(load for load, _ in found)
    return [split for load, split in found if load <= 1.25 * best]


def named(statement: Statement, word: str) -> str | None:
    """The loop that a pin means by ``batch``, ``rows``, ``channels`` or the loop's own name; None where it has none."""
    match statement:
        case Elementwise():
            target = statement.targets[0]
        case Moments():
            target = statement.comoment
        case _:
            target = statement.target
    if word == "batch":
        return "n" if "n" in statement.extents else None
    if word in ("rows", "channels"):
        spatial = [index for index in target.index if not {*TIME, "n"} & {name for name, _ in index.terms}]
        if not spatial or (word == "rows" and len(spatial) < 2):
            return None
        terms = spatial[0 if word == "rows" else -1].terms
        return terms[0][0] if terms else None
    return word if word in statement.extents else None
