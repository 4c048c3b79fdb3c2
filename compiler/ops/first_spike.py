"""Time-to-first-spike coding: a value is told by when its neuron fires, once, in a window of time of its layer.

A neuron's *kernel* says what a spike is worth, ``exp(-(t - delay) / tau)`` in step t of the window: the potential has
to reach it for the neuron to fire, and whoever reads the spike takes it for that (Park et al. 2020, T2FSNN).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir.expression import Expression, edge, exp, index, maximum, read, state, where
from ..ir.graph import Setting
from ..ir.statement import State, Statement
from ..ir.types import Type
from .op import Op, ShapeFault
from .site import WORKING, Site


class Windowed(Op):
    """What acts in the *window* steps from step *start* on, by a kernel with the parameters tau and delay, in steps."""

    parameters: ClassVar = ("tau", "delay")

    start: int
    window: int
    initial_tau: float
    initial_delay: float

    def __post_init__(self) -> None:
        self.require(self.start >= 0, "start", "at least 0")
        self.require(1 <= self.window <= 2048, "window", "between 1 and 2048")
        self.require(self.initial_tau > 0, "initial_tau", "positive")

    def parameter_types(self, *operands: Type) -> dict[str, tuple[Type, Setting]]:
        """One of each, f32, and what they begin at."""
        firsts = ("tau", self.initial_tau), ("delay", self.initial_delay)
        return {name: (Type("f32", ()), ("constant", ("value", first))) for name, first in firsts}

    @property
    def local(self) -> Expression:
        """The step of the window; negative before it."""
        return index("t") - float(self.start)

    @property
    def within(self) -> Expression:
        """Whether the step is one of the window."""
        return Expression("and", (self.local >= 0.0, self.local < float(self.window)))


def kernel(local: Expression) -> Expression:
    """What a spike in step *local* of the window is worth, by the operands *tau* and *delay*."""
    return exp((read("delay") - local) / read("tau"))


@dataclass(frozen=True, kw_only=True)
class TTFS(Windowed):
    """``s[t] = 1`` in the first step of its window in which the potential is at least the kernel, and never again.

    The potential is the sum of all that x was until then, this step included; an x that is the same in every step, an
    image, is the potential itself.
    """

    name: ClassVar = "ttfs"
    operands: ClassVar = ("x",)
    timed: ClassVar = True

    start: int = 0
    window: int = 20
    initial_tau: float = 10.0
    initial_delay: float = 0.0

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """Bits, in every step."""
        (x,) = operands
        return (Type("spike", x.axes, True, True),)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """The potential is rounded once a step."""
        x, tau, delay = at.node.operands
        timed = at.type(x).timed
        u = edge(state("u") + at.value("x", 0), WORKING) if timed else at.value("x", 0)
        reached = u >= kernel(maximum(self.local, 0.0))
        fires = where(Expression("and", (self.within, reached)), 1.0 - state("fired"), 0.0)
        states = [State("u", WORKING, 0.0, u)] if timed else []
        states.append(State("fired", "spike", 0.0, maximum(state("fired"), fires)))
        reads = {"x": x, "tau": tau, "delay": delay}
        return at.elementwise(reads, [(at.result(), fires)], tuple(states))


@dataclass(frozen=True, kw_only=True)
class TTFSKernel(Windowed):
    """``y[t] = x[t] * exp(-(t - start - delay) / tau)`` within the window, else 0: sums of spikes, as they are worth.

    x is what weights make of the spikes of a `ttfs` with the same window, tau and delay.
    """

    name: ClassVar = "ttfs_kernel"
    operands: ClassVar = ("x",)

    start: int = 0
    window: int = 20
    initial_tau: float = 10.0
    initial_delay: float = 0.0

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """f16, as x."""
        (x,) = operands
        if not x.timed:
            raise ShapeFault(f"{self.name} reads what spikes make in each step, not {x}", 0)
        return (Type(WORKING, x.axes, True, True),)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Every element; steps outside of the window are 0."""
        x, tau, delay = at.node.operands
        worth = at.value("x", 0) * kernel(maximum(self.local, 0.0))
        return at.elementwise({"x": x, "tau": tau, "delay": delay}, [(at.result(), where(self.within, worth, 0.0))])
