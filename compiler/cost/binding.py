"""What binds a stage, and what stands between it and the roofline: all from predicted cycles, none of it measured.

The roofline of a stage is the largest of what its work takes where all of its cores have as much of it, what its bytes
take on the DRAM channel, and what its words take on links.  A stage that runs alone could have all cores.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...isa.target import Target
from ..ir.schedule import Stage
from .duration import duration

MOVING = ("load", "store")
"""Units whose turns are the channel's, and its latency."""

CHANNEL = "DRAM channel"
LATENCY = "latency of the first and the last move"
EVERY_TURN = "latency of every turn of the {} unit"
UNEVEN = "cores with less to do than the busiest, or nothing"
FIRST_TURN = "the first turn of each unit, and descriptions of moves"
SINGLE = "single buffers, for which units wait for one another"


@dataclass(frozen=True)
class Binding:
    """The *resource* that binds, predicted *cycles* of a turn, those of the *roofline*, and by what each other cycle
    comes: *why*, the most first."""

    resource: str
    cycles: float
    roofline: float
    why: tuple[tuple[str, float], ...]


def binding(stage: Stage, target: Target) -> Binding:
    """What binds *stage* in one turn of the loops that it shares with others."""
    lasts = duration(stage, target)
    cores = len(stage.active) if stage.team else len(stage.mapping.shares)
    even = {unit: cycles / cores for unit, cycles in lasts.all_units.items() if unit not in MOVING}
    roofline = max(lasts.channel, *even.values())
    if lasts.channel + lasts.ends >= lasts.core:
        return _because(CHANNEL, lasts.alone, roofline, {LATENCY: lasts.alone - roofline})
    unit = max(lasts.units, key=lambda name: lasts.units[name])
    if stage.mapping.rings == 1:
        return _because(_named(unit, target), lasts.core, roofline, {SINGLE: lasts.core - roofline})
    above = max(0.0, lasts.units[unit] - roofline)
    before = EVERY_TURN.format(unit) if unit in MOVING else UNEVEN
    return _because(
        _named(unit, target), lasts.core, roofline, {before: above, FIRST_TURN: lasts.core - roofline - above}
    )


def _because(resource: str, cycles: float, roofline: float, why: dict[str, float]) -> Binding:
    told = sorted(((name, more) for name, more in why.items() if more > 0), key=lambda item: -item[1])
    return Binding(resource, cycles, roofline, tuple(told))


def _named(unit: str, target: Target) -> str:
    """A unit as a person calls it; what the router carries goes over links."""
    if unit in target.engines:
        return f"engine {unit}"
    return "links of the mesh" if unit == "router" else f"{unit} unit"
