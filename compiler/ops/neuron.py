"""Neurons in the canonical form charge, fire, reset, with the full adjoint."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from ..ir.expression import Expression, edge, read, state, where
from ..ir.statement import State, Statement
from ..ir.types import Type
from .op import Adjoint, Op
from .site import WORKING, Site
from .surrogates import TRIANGLE, SurrogateCall, derivative


class Neuron(Op):
    """What integrates ``h[t] = kappa * v[t-1] + rho * I[t] + eta`` and carries ``v`` from step to step.

    Its facet ``adjoint`` carries the gradient of v backwards in time (BPTT); ``adjoint_local`` cuts that path, as
    rules without a temporal carry do.
    """

    operands: ClassVar = ("x",)
    timed: ClassVar = True

    decay: float
    decay_input: bool

    @property
    def gain(self) -> float:
        """rho: 1, or ``1 - decay`` where the input is decayed too."""
        return 1.0 - self.decay if self.decay_input else 1.0

    @classmethod
    def facets(cls) -> tuple[str, ...]:
        """See the class."""
        return ("", "adjoint", "adjoint_local")

    def charge(self, x: Expression, constant: float = 0.0) -> Expression:
        """``kappa * v + rho * x + eta`` from the carried v."""
        charged = _times(self.decay, state("v")) + _times(self.gain, x)
        return charged + constant if constant else charged

    @abstractmethod
    def membrane_gradient(self, at: Site, carried: Expression | None) -> Expression:
        """dL/dh from ``error`` (and what else `adjoints` reads) and dL/dv, None where that path is cut.

        Random numbers, if any, are those of the logical elements of an operand.
        """

    def adjoint(self, at: Site) -> tuple[Statement, ...]:
        """``delta = rho * gh``; the carry ``gv = kappa * gh`` goes to the step before."""
        return self._adjoint(at, state("gv"))

    def adjoint_local(self, at: Site) -> tuple[Statement, ...]:
        """``delta = rho * gh`` with ``gv = 0``."""
        return self._adjoint(at, None)

    def _adjoint(self, at: Site, carried: Expression | None) -> tuple[Statement, ...]:
        gh = self.membrane_gradient(at, carried)
        delta = _times(self.gain, gh)
        states: tuple[State, ...] = ()
        if carried is not None:
            states += (State("gv", WORKING, 0.0, _times(self.decay, gh)),)
        last = not at.type(at.result()).timed
        if last:
            delta = state("sum") + delta
            states += (State("sum", "f32", 0.0, delta),)
        (adjoint,) = self.adjoints
        reads = dict(zip(adjoint.reads, at.node.operands, strict=True))
        drawn = {part.name for part in delta.walk() if part.op == "uniform"}
        keys = {name: at.key(at.type(name)) for name in drawn}
        return at.elementwise(reads, [(at.result(), delta, last)], states, keys)


@dataclass(frozen=True, kw_only=True)
class LIF(Neuron):
    """Leaky integrate-and-fire: spikes, and the membrane ``h`` that they were made from (the tape).

    ``h`` is rounded once; spike, reset and surrogate come from the rounded h.  ``v = h - threshold * s`` (soft) or
    ``v_reset`` where it fired (hard).  *rest* is what the membrane leaks to (eta = (1 - decay) * rest; SpikingJelly
    leaks to its v_reset).  *detach_reset* is False by default, the true gradient of what is computed and the default
    of SpikingJelly, SLTT's BPTT baseline and STBP; snnTorch and MS-ResNet detach.  Random numbers of a
    *surrogate* belong to the element, sample and step of h.
    """

    name: ClassVar = "lif"
    results: ClassVar = ("", "h")
    adjoints: ClassVar = (Adjoint("adjoint", "x", ("error", "h"), "BP", sums=True),)

    decay: float = 0.5
    threshold: float = 1.0
    reset: Literal["hard", "soft"] = "hard"
    v_reset: float = 0.0
    decay_input: bool = False
    rest: float = 0.0
    compare: Literal["ge", "gt"] = "ge"
    detach_reset: bool = False
    initial: float = 0.0
    surrogate: SurrogateCall = TRIANGLE

    def __post_init__(self) -> None:
        self.require(0 <= self.decay <= 1, "decay", "between 0 and 1")

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """Spikes and membrane, with the axes of the input, in every step."""
        (x,) = operands
        return Type("spike", x.axes, True, True), Type(WORKING, x.axes, True, True)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Charge, fire, reset."""
        h = edge(self.charge(at.value("x", 0), (1.0 - self.decay) * self.rest), WORKING)
        s = self._fires(h)
        v = h - _times(self.threshold, s) if self.reset == "soft" else where(s, self.v_reset, h)
        states = (State("v", WORKING, self.initial, v),)
        return at.elementwise({"x": at.operand(0)}, [(at.result(0), s), (at.result(1), h)], states)

    def membrane_gradient(self, at: Site, carried: Expression | None) -> Expression:
        """algorithms.md 1.2."""
        h = read("h")
        phi = derivative(self.surrogate, h - self.threshold, at.operand(1))
        gh = read("error") * phi
        if carried is None:
            return gh
        gh = gh + (carried if self.reset == "soft" else where(self._fires(h), 0.0, carried))
        if self.detach_reset:
            return gh
        if self.reset == "soft":
            return gh - _times(self.threshold, carried) * phi
        return gh + ((self.v_reset - h) * carried) * phi

    def _fires(self, h: Expression) -> Expression:
        return h >= self.threshold if self.compare == "ge" else h > self.threshold


@dataclass(frozen=True, kw_only=True)
class LI(Neuron):
    """Leaky read-out: ``v[t] = decay * v[t-1] + rho * I[t]`` without spikes."""

    name: ClassVar = "li"
    adjoints: ClassVar = (Adjoint("adjoint", "x", ("error",), "BP", sums=True),)

    decay: float = 0.5
    decay_input: bool = False
    initial: float = 0.0

    def __post_init__(self) -> None:
        self.require(0 <= self.decay <= 1, "decay", "between 0 and 1")

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """The membrane, with the axes of the input, in every step."""
        (x,) = operands
        return (Type(WORKING, x.axes, True, True),)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """The membrane is rounded once, then carried and read."""
        v = edge(self.charge(at.value("x", 0)), WORKING)
        return at.elementwise({"x": at.operand(0)}, [(at.result(), v)], (State("v", WORKING, self.initial, v),))

    def membrane_gradient(self, at: Site, carried: Expression | None) -> Expression:
        """``gh = error + gv``."""
        return read("error") if carried is None else read("error") + carried


def _times(factor: float, value: Expression) -> Expression:
    """``factor * value``; 1 leaves no trace."""
    return value if factor == 1.0 else value * factor
