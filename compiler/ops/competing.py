"""Neurons that compete, and whose thresholds follow how often they fire from batch to batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ..ir.derivative import product
from ..ir.expression import Expression, argument, edge, index, lift, read, state, unary, where
from ..ir.graph import Setting
from ..ir.statement import Elementwise, State, Statement, Write, loop
from ..ir.types import Type
from .op import Op, ShapeFault, Tracking
from .site import WORKING, Site, element_loops

_BEYOND = float(2**24)
"""More than there are channels."""


@dataclass(frozen=True, kw_only=True)
class CompetingLIF(Op):
    """Leaky integrate-and-fire where each neuron has a threshold that lasts, and the channels at a place compete.

    ``h[t] = decay * v[t-1] + x[t]``; a neuron reaches its threshold where ``h[t] >= threshold + excess``.  With
    *winner* only one channel of a place fires in a step: the one furthest beyond its threshold, the first of equals;
    else all that reach it.  Then ``v[t] = v_reset`` where it fired (*reset* = soft: ``h[t] - threshold - excess``),
    else ``h[t]``, less *inhibition* for every spike of another channel at its place.

    ``excess`` belongs to the neuron and lasts from batch to batch.  While samples are shown it stays; behind a training
    step ``excess = excess_decay * excess + jump * (mean over the samples of the spikes that it fired)``: who fires
    often finds it harder (Diehl and Cook 2015, where it follows every spike of the one sample that is shown).  When
    inferring it stays, and so it does with *frozen*.  No error passes: this is for rules that learn from spikes alone.
    """

    name: ClassVar = "competing_lif"
    operands: ClassVar = ("x",)
    parameters: ClassVar = ("excess",)
    results: ClassVar = ("", "h", "count")
    statistics: ClassVar = ("excess",)
    tracking: ClassVar = Tracking("follow", ("excess",), ("count", "excess"))
    inner: ClassVar = ("",)
    held: ClassVar = ("threshold", "v_reset")
    timed: ClassVar = True
    spiking: ClassVar = True

    decay: float = 0.9
    threshold: float = 1.0
    reset: Literal["hard", "soft"] = "hard"
    v_reset: float = 0.0
    winner: bool = True
    inhibition: float = 0.0
    jump: float = 0.05
    excess_decay: float = 1.0
    frozen: bool = False

    def __post_init__(self) -> None:
        for name in ("decay", "excess_decay"):
            self.require(0 <= getattr(self, name) <= 1, name, "between 0 and 1")
        for name in ("inhibition", "jump"):
            self.require(getattr(self, name) >= 0, name, "at least 0")

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Spikes are counted where the excess follows them."""
        return self.results[:2] if self.frozen else self.results

    def tracks(self) -> Tracking | None:
        """Nothing follows where the excess is frozen."""
        return None if self.frozen else self.tracking

    def parameter_types(self, *operands: Type) -> dict[str, tuple[Type, Setting]]:
        """``excess``: f32, a word a neuron."""
        (x,) = operands
        if any(len(axis) > 1 for axis in x.axes):
            raise ShapeFault(f"{self.name} finds no channels in {x}", 0)
        return {"excess": (Type("f32", x.axes), "zeros")}

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """Spikes and potentials in every step; how often each neuron has fired, once behind the last."""
        (x,) = operands
        each = Type("spike", x.axes, True, True)
        made = each, each.with_(format=WORKING), each.with_(format="f32", timed=False)
        return made[: len(self.suffixes)]

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """A step of all neurons; then the spikes are counted."""
        x, excess = at.node.operands
        s, potential, *counted = at.node.results
        h = edge(product(state("v"), lift(self.decay)) + at.value("x", 0), WORKING)
        theta = read("excess") + self.threshold
        spikes = self._spikes(h - theta)
        left = h - theta if self.reset == "soft" else lift(self.v_reset)
        v = where(spikes, left, h)
        if self.inhibition:
            v = v - (unary("rsum", spikes) - spikes) * self.inhibition
        statements = at.elementwise(
            {"x": x, "excess": excess}, [(s, spikes), (potential, h)], (State("v", WORKING, 0.0, edge(v, WORKING)),)
        )
        if not any(counted):
            return statements
        (total,) = counted
        count = state("count") + read("s")
        return (*statements, *at.elementwise({"s": s}, [(total, count, True)], (State("count", "f32", 0.0, count),)))

    def _spikes(self, distance: Expression) -> Expression:
        """Who fires, of those that are so far beyond their thresholds."""
        reaches = distance >= 0.0
        if not self.winner:
            return reaches
        first = unary("rmin", where(distance >= unary("rmax", distance), index("c"), _BEYOND))
        return where(reaches, index("c").equals(first), 0.0)

    def follow(self, at: Site) -> tuple[Statement, ...]:
        """The excess behind a training step; a skipped one leaves it as it is."""
        count, excess = at.plain
        type = at.type(excess)
        names = element_loops(type)
        here = [loop(name) for name in names]
        reads = {"count": at.access(count, here), "excess": at.access(excess, here)}
        mean = unary("rsum", where(index("n") < argument("valid"), read("count"), 0.0)) / argument("valid")
        value = product(read("excess"), lift(self.excess_decay)) + mean * self.jump
        if at.overflow is not None:
            reads["overflow"] = at.access(at.overflow, [])
            value = where(read("overflow"), read("excess"), value)
        loops = (*((names[k], type.factors[k]) for k in type.order), ("n", at.batch))
        return (Elementwise(loops, 0, reads, writes=(Write(at.access(at.result(), here), value),)),)
