"""Weight-stationary: a tile of weights (or of their gradient) stays while time, samples and pixels pass by."""

from __future__ import annotations

from ..ir.statement import Contraction
from .dataflow import Dataflow, outermost


def _order(contraction: Contraction) -> tuple[str, ...]:
    weight = contraction.target if contraction.engine == "wg" else contraction.right
    return outermost(contraction, weight.loops)


dataflow = Dataflow("a tile of weights stays on chip; time, samples and pixels turn inside", _order)
