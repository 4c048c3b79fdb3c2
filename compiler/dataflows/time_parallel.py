"""Time-parallel: several time steps in one tile, so that what does not change with time is read once for them."""

from __future__ import annotations

from ..ir.statement import Contraction
from .dataflow import Dataflow, outermost, weight_of


def _orders(contraction: Contraction) -> tuple[tuple[str, ...], ...]:
    left = contraction.left if contraction.left is not None else contraction.right
    stays = (weight_of(contraction), left.loops, contraction.target.loops)
    return tuple(outermost(contraction, loops) for loops in stays)


dataflow = Dataflow("several time steps in one tile; what stays besides is whatever moves the fewest bytes", _orders)
