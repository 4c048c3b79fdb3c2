"""Traces: what a synapse remembers of all that it has read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir.derivative import product
from ..ir.expression import edge, lift, read, state, where
from ..ir.statement import State, Statement
from ..ir.types import Type
from .op import Op
from .site import WORKING, Site


@dataclass(frozen=True, kw_only=True)
class Trace(Op):
    """``a[t] = decay * a[t-1] + x[t]``, rounded once a step; online rules make it beside the way there.

    One that is not *additive* is ``x[t]`` where there is a spike, and ``decay * a[t-1]`` else: it remembers the nearest
    spike alone.

    Of bits and counts it is made in their own unit, so that it is exact as long as f16 has the digits: with a decay of
    1/2, eleven steps of bits.
    """

    name: ClassVar = "trace"
    family: ClassVar = "adjoint"
    operands: ClassVar = ("x",)
    keeps: ClassVar = {"x": "weights learn from its trace"}

    decay: float = 0.5
    additive: bool = True

    @staticmethod
    def type_of(x: Type) -> Type:
        """The type of the trace of *x*: f16 in the unit of x, in every step."""
        return x.with_(format=WORKING, timed=True)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Every element."""
        fallen, x = product(state("a"), lift(self.decay)), read("x")
        trace = edge(fallen + x if self.additive else where(x > 0.0, x, fallen), WORKING)
        return at.elementwise({"x": at.operand(0)}, [(at.result(), trace)], (State("a", WORKING, 0.0, trace),))
