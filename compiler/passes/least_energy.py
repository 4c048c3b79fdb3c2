"""The least energy: picojoules of what moves, by the table of the target, which nobody has calibrated.

What a mapping decides is what passes the DRAM channel, the ports of scratchpads at loads and stores, and the links of
the mesh; all of it is counted when a program runs.  Work costs the same under every mapping.  Accesses inside an
instruction, which are modelled, are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...isa.target import Target
from ...source import NOWHERE, TargetError
from ..cost.predict import sent
from ..ir.decision import Explanation
from .build_stage import build_stage
from .legality import Tiles
from .mapping import Mapped
from .objective import Cost, Objective, moves_of
from .repeats import turns_of
from .survey import Ordered, Survey

PARTS = 1 << 10
"""Picojoules are compared in parts of one, so that sums in another order tie."""


class LeastEnergy(Objective):
    """The least energy of all that moves; of equals the tiling with the fewest turns."""

    word = "energy"

    def bound(self, survey: Survey, order: tuple[str, ...], tiles: Tiles, dram: Any, useful: Any) -> Cost:
        energy = _moved(survey.space.request.target, dram, useful)
        return Cost(_parts(energy), turns_of(survey.space, order, tiles))

    def cost(self, survey: Survey, ordered: Ordered, tiles: dict[str, int]) -> Cost:
        request = survey.space.request
        stage = build_stage(Mapped(request, survey.decision(ordered, tiles), Explanation(0)))
        found = moves_of(survey, ordered.order, tiles)
        links = sum(size for _, size in sent(stage, request.target))
        energy = _moved(request.target, found.dram, found.port) + 8 * links * request.target.energy.link_bit_hop
        return Cost(int(_parts(energy)), int(turns_of(survey.space, ordered.order, tiles)))

    def told(self, cost: Cost) -> float:
        return cost.measure / PARTS

    def check(self, target: Target) -> None:
        """TargetError for a target whose moves cost nothing: it has no picojoules to choose by."""
        table = target.energy
        if not (table.dram_bit or table.scratchpad_bit or table.link_bit_hop):
            free = f"`{target.name}` has no picojoules for what moves, so every mapping costs the same"
            hints = ("figures of [energy] in a target file (see `snnc init-target`)", "--objective dram")
            raise TargetError.at(NOWHERE, f"--objective energy: {free}", hints=hints)


def _parts(picojoules: Any) -> Any:
    """Picojoules as whole parts of one."""
    return np.floor(np.asarray(picojoules) * PARTS + 0.5).astype(np.int64)


def _moved(target: Target, dram: Any, port: Any) -> Any:
    """Picojoules of so many bytes of DRAM bursts, and through ports of scratchpads."""
    return 8 * (dram * target.energy.dram_bit + port * target.energy.scratchpad_bit)
