"""How many cycles an entry is predicted to take: its stages, and teams of them, one after the other, or in lanes.

A single stage lasts as `duration` says.  Of a team each context of a core takes its members one by one, contexts share
the units that compute, and all share the channel; so it lasts as long as its busiest core, or as all that it moves.  In
lanes each context begins its next stage when those have ended that it waits for, and all of them together need no less
than the units and the channel that they share.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Sequence

from ...isa.instruction import COMPUTING
from ...isa.target import Target
from ..ir.schedule import Stage, teams
from .duration import duration


def span(stages: Sequence[Stage], target: Target) -> float:
    """Predicted cycles of *stages* in their order, without what borders between them cost."""
    if any(stage.awaits is not None for stage in stages):
        return _in_lanes(stages, target)
    return math.fsum(_together(team, target) for team in teams(stages))


def _together(team: Sequence[Stage], target: Target) -> float:
    """Cycles until all of a team have met, in all turns of the loops that stages share."""
    lasts = [(stage, duration(stage, target)) for stage in team]
    taken: defaultdict[tuple[int, int | str], float] = defaultdict(float)
    for stage, each in lasts:
        for core in stage.active:
            taken[core, stage.context] += each.core
            for unit, cycles in each.units.items():
                if unit in COMPUTING:
                    taken[core, unit] += cycles
    channel = sum(each.channel for _, each in lasts) + max(each.ends for _, each in lasts)
    own = [stage.taken for stage in team]
    turns = max(stage.turns or math.prod(stage.extents[name] for name in stage.shared) for stage in own)
    return turns * max(*taken.values(), channel)


def _in_lanes(stages: Sequence[Stage], target: Target) -> float:
    """Cycles until all contexts are through; *stages* are in an order that no wait forbids."""
    free: defaultdict[int, float] = defaultdict(float)
    told: defaultdict[tuple[int, int], deque[float]] = defaultdict(deque)
    units: defaultdict[str, float] = defaultdict(float)
    channel = 0.0
    for stage in stages:
        lasts, own = duration(stage, target), stage.context
        waits = [told[other, own].popleft() for other in stage.awaits or ()]
        free[own] = max(free[own], *waits, 0.0) + lasts.alone
        for other in stage.tells:
            told[own, other].append(free[own])
        channel += lasts.channel
        for unit, cycles in lasts.units.items():
            units[unit] += cycles if unit in COMPUTING else 0.0
    return max(*free.values(), channel, *units.values())
