"""What a dataflow is: which operand of a contraction stays, and hence the order of the tile loops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...catalog import Catalog
from ..ir.statement import Contraction


@dataclass(frozen=True)
class Dataflow:
    """A dataflow: a line for `snnc list`, and the orders in which it turns the loops of a contraction, outermost first.

    Loops of the operand that stays come first: below them it is loaded once.  Summed loops keep their canonical order
    among themselves, so that rounding accumulators can follow any dataflow.
    """

    summary: str
    orders: Callable[[Contraction], tuple[tuple[str, ...], ...]]


DATAFLOWS: Catalog[Dataflow] = Catalog("snnc.compiler.dataflows", "dataflow")


def weight_of(contraction: Contraction) -> frozenset[str]:
    """The loops of the weights, or of their gradient."""
    return (contraction.target if contraction.engine == "wg" else contraction.right).loops


def outermost(contraction: Contraction, stays: frozenset[str]) -> tuple[str, ...]:
    """*stays* first, then the target's other loops, then the other summed ones, each group in its own order."""
    of_target = [name for name, _ in contraction.loops if name not in contraction.summed]
    ordered = [*of_target, *contraction.summed]
    first = [name for name in ordered if name in stays]
    rest = [name for name in ordered if name not in stays]
    return (*first, *rest)
