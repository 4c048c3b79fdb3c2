"""How many cycles an entry is predicted to take: its stages, and teams of them, one after the other, or in lanes.

A single stage lasts as `duration` says.  Of a team each context of a core takes its members one by one, contexts share
the units that compute, and all share the channel; so it lasts as long as its busiest core, or as all that it moves.  In
lanes each context begins its next stage when those have ended that it waits for, and stages at work at once are as
quick as what they share allows (see `sharing`).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Sequence

from ...isa.instruction import COMPUTING
from ...isa.target import Target
from ..ir.schedule import Stage, teams
from .duration import duration
from .sharing import Sharing


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
    sharing = Sharing()
    lanes: defaultdict[int, deque[int]] = defaultdict(deque)
    told: Counter[tuple[int, int]] = Counter()
    for number, stage in enumerate(stages):
        lanes[stage.context].append(number)
    free = set(lanes)
    ended = 0
    while ended < len(stages):
        for lane in sorted(free):
            if lanes[lane] and all(told[other, lane] for other in stages[lanes[lane][0]].awaits or ()):
                number = lanes[lane].popleft()
                told.subtract((other, lane) for other in stages[number].awaits or ())
                sharing.begin(number, duration(stages[number], target))
                free.remove(lane)
        done = stages[sharing.end()]
        ended += 1
        free.add(done.context)
        told.update((done.context, other) for other in done.tells)
    return sharing.now
