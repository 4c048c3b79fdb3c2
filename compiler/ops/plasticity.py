"""What weights learn from the spikes on both of their sides, without an error.

A weight keeps to ``w_min <= w <= w_max``.  What it still has to go upwards is ``(w_max - w)**mu``, downwards
``(w - w_min)**mu``; with *mu* = 0 both are 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ...numerics.formats import unsigned_for
from ..ir.derivative import product
from ..ir.expression import Expression, argument, exp, index, lift, log, maximum, minimum, read, state, unary, where
from ..ir.statement import Elementwise, State, Statement, Write, loop
from ..ir.types import Type
from .op import Op
from .site import Site, element_loops


@dataclass(frozen=True, kw_only=True)
class Fired(Op):
    """The spikes of valid samples as bits, whatever they are worth: what weights before their neurons learn from."""

    name: ClassVar = "fired"
    family: ClassVar = "adjoint"
    operands: ClassVar = ("s",)
    keeps: ClassVar = {"s": "weights learn where their neurons fire"}

    @staticmethod
    def type_of(s: Type) -> Type:
        """Bits."""
        return s.with_(scale=1.0)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Every neuron."""
        return at.elementwise({"s": at.operand(0)}, [(at.result(), _valid(read("s")))])


@dataclass(frozen=True, kw_only=True)
class MostFired(Op):
    """In every *every*-th step ``ceil(count / threshold)`` of the neurons that fired most since the last one, else 0.

    Those are the channels of a place with the largest *count* of spikes, of valid samples (FSpiNN, Putra and Shafique
    2020: the adaptive factor of a potentiation).
    """

    name: ClassVar = "most_fired"
    family: ClassVar = "adjoint"
    operands: ClassVar = ("s",)
    keeps: ClassVar = {"s": "weights learn where their neurons fire most"}

    every: int
    threshold: int

    def type_of(self, s: Type) -> Type:
        """The narrowest unsigned format that holds the largest factor."""
        return s.with_(format=unsigned_for(math.ceil(self.every / self.threshold)).name, scale=1.0)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Every neuron; the count begins anew behind each such step."""
        spikes, last = _valid(read("s")), _last(self.every)
        count = spikes if self.every == 1 else state("count") + spikes
        factor = -unary("floor", -(count / float(self.threshold)))
        value = where(count > 0.0, where(count >= unary("rmax", count), factor, 0.0), 0.0)
        if self.every == 1:
            return at.elementwise({"s": at.operand(0)}, [(at.result(), value)])
        kept = State("count", "f32", 0.0, where(last, 0.0, count))
        return at.elementwise({"s": at.operand(0)}, [(at.result(), where(last, value, 0.0))], (kept,))


@dataclass(frozen=True, kw_only=True)
class PlasticUpdate(Op):
    """``w += learning_rate / valid * (potentiation * (w_max - w)**mu * up - depression * (w - w_min)**mu * down)``,
    clipped to the bounds.

    Results are w in the working format and in f32; operands the latter, *up*, sums over samples (and places) of what
    speaks for each weight, and maybe *down*, of what speaks against it.  With *every* above 1 both are added up, and
    the weight changes in every so many steps.
    """

    name: ClassVar = "plastic_update"
    family: ClassVar = "adjoint"
    operands: ClassVar = ("master", "up", "down")
    results: ClassVar = ("", "master")

    potentiation: float
    depression: float = 0.0
    w_min: float = 0.0
    w_max: float = 1.0
    mu: float = 0.0
    every: int = 1

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Every word."""
        reads = dict(zip(self.operands, at.node.operands, strict=False))
        w, last = read("master"), _last(self.every)
        states: list[State] = []

        def gathered(name: str) -> Expression:
            """The sum of all steps since the last change."""
            if self.every == 1:
                return read(name)
            total = state(name) + read(name)
            states.append(State(name, "f32", 0.0, where(last, 0.0, total)))
            return total

        change = product(self._share(self.w_max - w), gathered("up")) * self.potentiation
        if "down" in reads:
            change = change - product(self._share(w - self.w_min), gathered("down")) * self.depression
        changed = w + change * (argument("learning_rate") / argument("valid"))
        made = minimum(maximum(changed, self.w_min), self.w_max)
        made = made if self.every == 1 else where(last, made, w)
        return at.elementwise(reads, [(result, made) for result in at.node.results], tuple(states))

    def _share(self, room: Expression) -> Expression:
        """``room**mu``; nothing where a weight lies outside of its bounds."""
        if self.mu == 0.0:
            return lift(1.0)
        room = maximum(room, 0.0)
        return room if self.mu == 1.0 else exp(log(room) * self.mu)


@dataclass(frozen=True, kw_only=True)
class ConstantSum(Op):
    """``w = w * (total / sum of w over its fan-in)``, of each output; where the sum is not positive, w stays.

    Results are w in the working format and in f32, and the sums, which ascend in f32, taps outermost.
    """

    name: ClassVar = "constant_sum"
    family: ClassVar = "adjoint"
    operands: ClassVar = ("master",)
    results: ClassVar = ("", "master", "sum")
    inner: ClassVar = ("sum",)

    total: float

    @staticmethod
    def sum_type(w: Type) -> Type:
        """f32, a word an output."""
        return Type("f32", w.axes[:1])

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """The sums, then every word."""
        master, (w, made, total) = at.operand(0), at.node.results
        type = at.type(master)
        names = element_loops(type)
        extents = dict(zip(names, type.factors, strict=True))
        order = [names[0], *names[2:], names[1]]
        sums = Elementwise(
            tuple((name, extents[name]) for name in order),
            0,
            {"w": at.access(master, [loop(name) for name in names])},
            writes=(Write(at.access(total, [loop(names[0])]), unary("rsum", read("w"))),),
            over=len(names) - 1,
        )
        scaled = where(read("sum") > 0.0, read("w") * (self.total / read("sum")), read("w"))
        return (sums, *at.elementwise({"w": master, "sum": total}, [(w, scaled), (made, scaled)]))


def _valid(value: Expression) -> Expression:
    """*value*, but nothing in samples that a partial batch lacks."""
    return where(index("n") < argument("valid"), value, 0.0)


def _last(every: int) -> Expression:
    """Whether the time step is the last of *every* steps."""
    step = index("t") + 1.0
    return step.equals(unary("floor", step / float(every)) * float(every))
