"""More tiles in a buffer than a stage needs by itself: a unit that others keep waiting has worked ahead.

A search gives what is loaded two tiles, and a sum one: what drains it takes little time beside the products.  In lanes
the vector unit serves several stages, and the channel all of them.  So where memories have room left, a sum has a
second tile, in which the engine goes on while another drains, and what is loaded has a third.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...source import TargetError
from ..ir.joined import use_in
from ..ir.schedule import Stage
from ..ir.statement import Contraction
from .build_stage import build_stage
from .mapping import Mapped
from .ways import Planned


def deeper(planned: Planned) -> Planned:
    """*planned*, or the same stage with more tiles in its buffers, as far as memories have room."""
    stage = planned.stage
    if stage.mapping.rings == 1:
        return planned
    for use, tiles in (*((use, 2) for use in _sums(stage)), *((use, 3) for use in _loaded(stage))):
        mapping = replace(stage.mapping, ahead=(*stage.mapping.ahead, (use, tiles)))
        try:
            more = build_stage(Mapped(planned.request, mapping, stage.explanation))
        except TargetError:
            continue
        if more.by_name[use].ring > stage.by_name[use].ring:
            stage = more
    return replace(planned, stage=stage)


def _sums(stage: Stage) -> Iterator[str]:
    """The buffers in which engines form sums of products."""
    for part, statement in enumerate(stage.statements):
        if isinstance(statement, Contraction):
            yield use_in(part, "acc")


def _loaded(stage: Stage) -> Iterator[str]:
    """The buffers that are loaded tile by tile."""
    for _, step in stage.steps():
        if step.kind == "load" and stage.by_name[step.writes[0]].ring == stage.mapping.rings:
            yield step.writes[0]
