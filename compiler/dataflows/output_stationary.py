"""Output-stationary: a tile of sums stays in its accumulators until it is complete; operands pass by."""

from __future__ import annotations

from ..ir.statement import Contraction
from .dataflow import Dataflow, outermost


def _orders(contraction: Contraction) -> tuple[tuple[str, ...], ...]:
    return (outermost(contraction, contraction.target.loops),)


dataflow = Dataflow("a tile of sums stays in the accumulators; weights and data turn inside", _orders)
