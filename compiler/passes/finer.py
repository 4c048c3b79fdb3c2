"""Finer tiles: where a stage waits for its first tile to come, or its last to be worked on, smaller ones wait less.

The search takes of all tilings that move the same bytes the one with the fewest turns.  But while a core waits for the
first of few large tiles its engine is idle, and while it works on the last the channel is.  So tiles are cut again as
long as that is predicted to take fewer cycles, and hardly a byte of DRAM more is moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...source import TargetError
from ..cost.duration import Duration, duration
from ..ir.decision import Decision
from ..ir.schedule import Stage
from .build_stage import build_stage, largest_share
from .legality import legal_tiles
from .mapping import Mapped
from .parted import cast_of, cost_of, dram_of
from .request import Request
from .space import cuttable, orders_of, sizes_of
from .split import Split
from .ways import Planned

WORTH_CUT = 0.9
"""A cut must leave no more than this part of the cycles: many small tiles wait longer where others use the channel."""

LONGEST = 1500
"""Cycles for which a tile may keep engines and vector unit where other stages wait for these."""

SHORTER = 0.75
"""A cut must leave no more than this part of the cycles in which a tile keeps units."""

HARDLY = 1.01
"""To be short, tiles may make a stage take so many times the cycles that it takes, and move as much more."""

ROUNDS = 6
"""How often tiles are cut at most."""


def finer(planned: Planned, least: float) -> Planned:
    """*planned*, or the same stage with smaller tiles, if it waits for *least* cycles or more."""
    request, stage = planned.request, planned.stage
    lasts = duration(stage, request.target)
    if stage.mapping.rings == 1 or _waits(lasts) < least:
        return planned
    for _ in range(ROUNDS):
        best, cost = None, cost_of(request, stage.mapping, WORTH_CUT * lasts.settled)
        for each in _cut(request, stage):
            takes = duration(each, request.target)
            own = cost_of(request, each.mapping, takes.settled)
            if own < cost:
                best, cost = (each, takes), own
        if best is None:
            break
        stage, lasts = best
        if _waits(lasts) < least:
            break
    return planned if stage is planned.stage else replace(planned, stage=stage)


def shorter(planned: Planned) -> Planned:
    """*planned*, or the same stage with tiles that keep units for no more than `LONGEST` cycles, or not as much more as
    can be had for next to nothing."""
    request, stage = planned.request, planned.stage
    lasts, moved = duration(stage, request.target), dram_of(request, stage.mapping)
    most = HARDLY * lasts.alone
    for _ in range(ROUNDS if stage.mapping.rings > 1 else 0):
        if lasts.last <= LONGEST:
            break
        cut = ((each, duration(each, request.target)) for each in _cut(request, stage))
        short = [
            (each, takes)
            for each, takes in cut
            if takes.last <= SHORTER * lasts.last
            and takes.alone <= most
            and dram_of(request, each.mapping) <= HARDLY * moved
        ]
        if not short:
            break
        stage, lasts = min(short, key=lambda found: found[1].alone)
    return replace(planned, stage=stage)


def _waits(lasts: Duration) -> float:
    """Cycles in which what binds has nothing to do."""
    return lasts.settled - max(lasts.channel, lasts.busiest)


def _cut(request: Request, stage: Stage) -> Iterator[Stage]:
    """The stage with the tiles of one loop cut in two or more."""
    mapping = stage.mapping
    extents = largest_share(request, mapping)
    operands = request.operands(mapping.split, mapping.whole)
    for name in sorted(cuttable(request)):
        split = Split(name, mapping.parts[name]) if name in mapping.parts else Split(None, ())
        sizes = sizes_of(request, operands, name, extents[name], split)
        smaller = [size for size in sizes if 2 * size <= mapping.tiles[name] + 1 and size < mapping.tiles[name]]
        if not smaller:
            continue
        tiles = {**mapping.tiles, name: smaller[-1]}
        if not legal_tiles(request, operands, mapping.order, tiles, extents):
            continue
        decision = replace(mapping, tiles=tiles, dataflow=_told(request, mapping, tiles.get("t", 1)))
        decision = replace(decision, cast=cast_of(request, decision))
        try:
            yield build_stage(Mapped(request, decision, stage.explanation))
        except TargetError:
            continue


def _told(request: Request, mapping: Decision, steps: int) -> str:
    """The dataflow of tiles with so many steps, as it is called in this order of loops."""
    if mapping.tiles.get("t", 1) == 1 or steps > 1:
        return mapping.dataflow
    return next((name for name, order in orders_of(request) if order == mapping.order), mapping.dataflow)
