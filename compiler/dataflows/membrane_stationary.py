"""Membrane-stationary: all time steps of a tile of sums before the next tile, as membranes of neurons want it."""

from __future__ import annotations

from ..ir.statement import TIME, Contraction
from .dataflow import Dataflow, outermost


def _orders(contraction: Contraction) -> tuple[tuple[str, ...], ...]:
    return (outermost(contraction, contraction.target.loops - set(TIME)),)


dataflow = Dataflow("all time steps of a tile before the next tile; its weights and data turn inside", _orders)
