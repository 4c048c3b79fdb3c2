"""Traces: what a synapse remembers of all that it has read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ..ir.derivative import product
from ..ir.expression import edge, lift, read, state, where
from ..ir.statement import State, Statement
from ..ir.types import Type
from .counts import COUNTS
from .op import Op
from .site import WORKING, Site


@dataclass(frozen=True, kw_only=True)
class Trace(Op):
    """``a[t] = decay * a[t-1] + x[t]``, rounded once a step; online rules make it beside the way there.

    One that is not *additive* is ``x[t]`` where there is a spike, and ``decay * a[t-1]`` else: it remembers the nearest
    spike alone.

    Of bits and counts it may be a *history*: an unsigned word, in which each step moves what was before to the right by
    the binary digits of its decay.  With one of 1/2, T bits are all that happened in T steps of bits; with one of 1 it
    is a count.  Else it is f16, in the unit of x, so that it is exact as long as f16 has the digits: with a decay of
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

    def history_of(self, x: Type, steps: int) -> Type | None:
        """The type of a history of *x* over *steps* in the narrowest format that gates; None where there is none."""
        mantissa, _ = math.frexp(self.decay)
        if x.kind.kind not in ("bit", "unsigned") or self.decay > 1.0 or mantissa not in (0.0, 0.5):
            return None
        unit = self.decay ** (steps - 1) if self.decay else 1.0
        weight = sum(self.decay**step for step in range(steps)) if self.additive else 1.0
        for form in COUNTS:
            if x.kind.maximum * weight <= form.maximum * unit:
                return x.with_(format=form.name, timed=True, scale=x.scale * unit)
        return None

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Every element, in the unit of the trace."""
        of, made = at.type(at.operand(0)), at.type(at.result())
        fallen, x = product(state("a"), lift(self.decay)), product(read("x"), lift(of.scale / made.scale))
        trace = fallen + x if self.additive else where(x > 0.0, x, fallen)
        if made.kind.kind == "float":
            trace = edge(trace, made.format)
        return at.elementwise({"x": at.operand(0)}, [(at.result(), trace)], (State("a", made.format, 0.0, trace),))
