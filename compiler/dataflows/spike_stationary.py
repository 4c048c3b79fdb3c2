"""Spike-stationary: a tile of what comes in (spikes, or errors on the way back) stays while output channels pass by."""

from __future__ import annotations

from ..ir.statement import Contraction
from .dataflow import Dataflow, outermost


def _orders(contraction: Contraction) -> tuple[tuple[str, ...], ...]:
    left = contraction.left
    return (outermost(contraction, left.loops if left is not None else contraction.right.loops),)


dataflow = Dataflow("a tile of spikes or errors stays on chip; output channels turn inside", _orders)
