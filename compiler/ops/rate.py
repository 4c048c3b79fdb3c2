"""Rates: what a value of every step is worth in the mean, for a way back that runs once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir.expression import read, state
from ..ir.statement import State, Statement
from ..ir.types import Type
from .counts import counted
from .op import Op
from .site import Site


@dataclass(frozen=True, kw_only=True)
class Rate(Op):
    """``y = sum_t x[t] / T``, of T steps; rules that train on rates make it beside the way there.

    Of bits and counts it is their sum, an integer with 1 / T in its scale, so that it is exact and an engine can gate
    with it, as long as 8 bits hold the sum.  Of all else the sum ascends in f32, is divided, and rounded once.
    """

    name: ClassVar = "rate"
    family: ClassVar = "adjoint"
    operands: ClassVar = ("x",)

    @staticmethod
    def type_of(x: Type, steps: int) -> Type:
        """The type of the rate of *x* over *steps* steps."""
        return counted(x, steps, steps).with_(timed=False)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Every element."""
        x, result = at.operand(0), at.result()
        format = at.type(result).format
        if at.type(result).kind.kind == "float":
            total = state("total") + at.value("x", 0)
            rate, carried = total / float(at.steps), State("total", "f32", 0.0, total)
        else:
            rate = state("count") + read("x")
            carried = State("count", format, 0.0, rate)
        return at.elementwise({"x": x}, [(result, rate, True)], (carried,))
