"""Weight-stationary: a tile of weights (or of their gradient) stays while time, samples and pixels pass by."""

from __future__ import annotations

from ..ir.statement import Contraction
from .dataflow import Dataflow, outermost, weight_of


def _orders(contraction: Contraction) -> tuple[tuple[str, ...], ...]:
    return (outermost(contraction, weight_of(contraction)),)


dataflow = Dataflow("a tile of weights stays on chip; time, samples and pixels turn inside", _orders)
