"""Settling: how the errors of spikes find their equilibrium in a sweep of their own.

At the equilibrium of a network the rates a of its spikes follow from each other, ``a = f(a, x)``.  The errors g of the
rates then obey ``g = J^T g + e``, where J is the derivative of f, and e the error that the loss has for them (implicit
differentiation: Bai et al. 2019).  Step after step of the sweep, errors pass layers and neurons until they obey it;
where the network is no ring, errors that pass all layers once do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from ..ir.derivative import product
from ..ir.expression import Expression, edge, lift, read, state, where
from ..ir.statement import Elementwise, State, Statement
from .op import Op
from .site import WORKING, Site

Solver = Literal["spikes", "fixed_point"]

COUNTED = 256
"""Integers up to this are exact in every working format; bf16 has the fewest digits."""


@dataclass(frozen=True, kw_only=True)
class Settle(Op):
    """``turn, sum = settle(error, passes)``: what a neuron makes of the error of its spikes in each step of the sweep.

    With *solver* = spikes (Xiao et al. 2023: SPIDE) the neuron fires errors as the way there fires values:

        u[t] = v[t-1] + amplitude * error[t],    s[t] = 1 where u[t] >= threshold, -1 where u[t] <= -threshold,
        v[t] = u[t] - worth * s[t]

    *turn* is what its input gets in each step, ``worth * slope * s[t]`` where *passes* is 1, and *sum* adds up those
    of the s[t].  Its facet ``mean`` makes the error of the input of them, ``worth * slope * sum / steps``.  With
    *solver* = fixed_point, *turn* is ``amplitude * slope * error[t]`` where *passes* is 1, and *sum* that of the last
    step.  A *turn* whose type is ternary holds s[t] itself, and its scale is the rest.
    """

    name: ClassVar = "settle"
    family: ClassVar = "adjoint"
    operands: ClassVar = ("error", "passes")
    keeps: ClassVar = {"passes": "an error passes where the neuron fires in some steps and rests in others"}

    solver: Solver = "spikes"
    steps: int = 250
    amplitude: float = 1.0
    slope: float = 1.0
    threshold: float = 0.5
    worth: float = 1.0

    @classmethod
    def facets(cls) -> tuple[str, ...]:
        """A step, and what remains of all."""
        return ("", "mean")

    @property
    def sum_format(self) -> str:
        """A format for *sum* that is exact with spikes, and an error without."""
        return WORKING if self.solver == "fixed_point" or self.steps <= COUNTED else "f32"

    @property
    def spike(self) -> float:
        """What a spike brings to the input of the neuron."""
        return self.worth * self.slope

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """One step after the other, also where everything that is read stays the same."""
        error = product(at.value("error", 0), lift(self.amplitude))
        found = self._spikes(at, error) if self.solver == "spikes" else self._passed(at, error)
        return tuple(replace(statement, steps=at.steps) for statement in found)

    def mean(self, at: Site) -> tuple[Statement, ...]:
        """The error of the input, by the spikes of all steps."""
        mean = product(read("sum"), lift(self.spike / self.steps))
        return at.elementwise({"sum": at.operand(0)}, [(at.result(), mean)])

    def _spikes(self, at: Site, error: Expression) -> tuple[Elementwise, ...]:
        u = edge(state("v") + error, WORKING)
        s = where(u >= self.threshold, 1.0, where(u <= -self.threshold, -1.0, 0.0))
        passed = where(read("passes"), s, 0.0)
        turn, total = at.node.results
        total_after = state("sum") + passed
        whole = bool(turn) and at.type(turn).kind.kind == "float"
        states = (
            State("v", WORKING, 0.0, u - product(s, lift(self.worth))),
            State("sum", self.sum_format, 0.0, total_after),
        )
        each = product(passed, lift(self.spike)) if whole else passed
        return at.elementwise(self._reads(at), [(turn, each), (total, total_after, True)], states)

    def _passed(self, at: Site, error: Expression) -> tuple[Elementwise, ...]:
        passed = where(read("passes"), product(error, lift(self.slope)), 0.0)
        turn, last = at.node.results
        return at.elementwise(self._reads(at), [(turn, passed), (last, passed, True)])

    def _reads(self, at: Site) -> dict[str, str]:
        return dict(zip(self.operands, at.node.operands, strict=True))
