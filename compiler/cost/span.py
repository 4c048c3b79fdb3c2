"""How many cycles an entry is predicted to take: its stages, and teams of them, one after the other.

A single stage lasts as `duration` says.  Of a team each core takes its members one by one, and all share the channel;
so it lasts as long as its busiest core, or as all that it moves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...isa.target import Target
from ..ir.schedule import Stage, teams
from .duration import duration


def span(stages: Sequence[Stage], target: Target) -> float:
    """Predicted cycles of *stages* in their order, without what borders between them cost."""
    return math.fsum(_together(team, target) for team in teams(stages))


def _together(team: Sequence[Stage], target: Target) -> float:
    """Cycles until all of a team have met, in all turns of the loops that stages share."""
    lasts = [(stage, duration(stage, target)) for stage in team]
    cores: dict[int, float] = {}
    for stage, each in lasts:
        for core in stage.active:
            cores[core] = cores.get(core, 0.0) + each.core
    channel = sum(each.channel for _, each in lasts) + max(each.ends for _, each in lasts)
    taken = [stage.taken for stage in team]
    turns = max(stage.turns or math.prod(stage.extents[name] for name in stage.shared) for stage in taken)
    return turns * max(*cores.values(), channel)
