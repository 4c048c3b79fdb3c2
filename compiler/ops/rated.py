"""Neurons that have a rate: in the mean over time their spikes follow their input, between two borders.

A soft reset takes the threshold away with every spike, so what came in went out as spikes, but for the potential that
is left.  With ``h[t] = decay * v[t-1] + rho * x[t]``, and all means weighted by ``w[t] = decay**(T-1-t)``:

    mean(s) = min(max(rho * mean(x) / threshold, 0), 1),    all but ``v[T-1] / (threshold * sum w)``

Without the upper border, which the sum of all that came in does not have, spikes are counted instead
(Wu et al. 2021: tandem learning): an error passes wherever that sum is above 0.

The derivative of the mean is what an error passes (Meng et al. 2022: differentiation on spike representation).  With
their neurons, whose spikes are worth the threshold (*amplitude*), it is rho: 1 of ``if``, and ``1 - decay`` of ``lif``
with *decay_input*, for which they write its first order, ``1 / tau``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

from ..ir.derivative import product
from ..ir.expression import Expression, lift, read, state, unary, where
from ..ir.graph import Node
from ..ir.statement import State, Statement
from ..ir.types import Type
from .neuron import Learned, Neuron
from .op import OPS, Adjoint, Op
from .site import WORKING, Site


class Rated(Neuron):
    """A spiking neuron with a rate; facet ``adjoint_rate`` takes the place of ``adjoint``.

    It reads the error of all steps together, which is ``total`` where each step has one of its own, and what the way
    there has made of the input: ``window``, a bit that is 1 where ``rho * mean(x)`` lies between 0 and the threshold,
    or ``mean`` itself where the threshold is learned.  *closed* says whether an error passes on the borders too.
    Where spikes are counted that is ``above``, a bit that is 1 where mean(x) is above 0, for ``adjoint_count`` to read.
    """

    closed: ClassVar[bool] = True

    threshold: float
    amplitude: float
    reset: Literal["hard", "soft", "none"]
    reset_time: Literal["immediate", "delayed"]
    learn_threshold: Learned

    @classmethod
    def facets(cls) -> tuple[str, ...]:
        """Those of a neuron, and those of its rate."""
        return (*super().facets(), "window", "mean", "between", "above", "total", "adjoint_rate", "adjoint_count")

    @property
    @abstractmethod
    def remains(self) -> float:
        """What is left of the potential a step later: the decay that weighs the steps."""

    @property
    @abstractmethod
    def rho(self) -> float:
        """What the potential gets of the input."""

    def unrated(self) -> tuple[str, str] | None:
        """Why spikes do not follow the input with these settings, and what would help; None where they do."""
        if self.reset != "soft":
            told = "loses what lies above the threshold" if self.reset == "hard" else "keeps its potential"
            return f"with reset={self.reset} it {told} when it fires", "reset=soft"
        if self.reset_time != "immediate":
            return "a delayed reset takes the threshold from what has not decayed", "reset_time=immediate"
        return None

    @property
    def averaged(self) -> Literal["window", "mean"]:
        """The facet of what the way back reads of the input."""
        return "window" if self.learn_threshold == "none" else "mean"

    @staticmethod
    def averaged_type(facet: str, x: Type) -> Type:
        """A bit or a number of every sample and element, for all steps."""
        return Type(WORKING if facet == "mean" else "spike", x.axes, batched=True)

    @property
    def mean_gain(self) -> float:
        """What the mean of the spikes is worth, over that of the input."""
        return self.amplitude * self.rho / self.threshold

    def count_gradient(self) -> Adjoint:
        """The way back where spikes are counted."""
        return Adjoint("adjoint_count", "x", ("error", "above"), "BP", True)

    def rate_gradients(self) -> tuple[Adjoint, ...]:
        """One facet; the threshold gets a term of each sample and element."""
        learned = tuple(self.learned())
        return (Adjoint("adjoint_rate", "x", ("error", self.averaged, *learned), "BP", True, learned, terms=learned),)

    def window(self, at: Site) -> tuple[Statement, ...]:
        """Where an error passes."""
        return self._averaged(at, self._passes)

    def above(self, at: Site) -> tuple[Statement, ...]:
        """Where an error passes, if spikes are counted."""
        return self._averaged(at, lambda mean: mean > 0.0)

    def mean(self, at: Site) -> tuple[Statement, ...]:
        """The mean of the input over time, the last step counting most where the neuron leaks."""
        return self._averaged(at, lambda mean: mean)

    def between(self, at: Site) -> tuple[Statement, ...]:
        """Whether its spikes tell that their rate lies between 0 and 1: some step has one, and some has none.

        Where a window of the mean input would tell what the rate will be, this tells what it is.
        """
        fired = Expression("or", (state("fired"), read("s")))
        rested = Expression("or", (state("rested"), unary("not", read("s"))))
        carried = State("fired", "spike", 0.0, fired), State("rested", "spike", 0.0, rested)
        both = Expression("and", (fired, rested))
        return at.elementwise({"s": at.operand(0)}, [(at.result(), both, True)], carried)

    def total(self, at: Site) -> tuple[Statement, ...]:
        """``T * mean(error)``, the sweep going down: the error of all steps together, weighted as the input is."""
        steps = float(at.steps)
        weight = state("weight") if self.remains != 1.0 else lift(1.0)
        total = state("total") + product(read("error"), weight)
        carried = [State("total", "f32", 0.0, total)]
        if self.remains != 1.0:
            carried.append(State("weight", "f32", 1.0, weight * self.remains))
        value = product(total, lift(steps / self._weights(at.steps)))
        return at.elementwise({"error": at.operand(0)}, [(at.result(), value, True)], tuple(carried))

    def adjoint_rate(self, at: Site) -> tuple[Statement, ...]:
        """With the error g of all steps, in the window: ``d.x = g * rho / threshold``, or the T-th part of it in each
        step, and ``d.theta = -(g * rho / threshold) * mean(x) / threshold``; g is that of what spikes are worth."""
        (gradient,) = self.rate_gradients()
        reads = dict(zip(gradient.reads, at.node.operands, strict=True))
        passes = read("window") if self.averaged == "window" else self._passes(read("mean"))
        slope = self.rho / self.threshold if self.averaged == "window" else self.rho / self._limit
        passed = where(passes, product(self.error(), lift(slope)), 0.0)
        every_step = any(at.type(result).timed for result in at.node.results if result)
        each = passed / float(at.steps) if every_step else passed
        writes = [(at.result(), each, False)]
        if self.averaged == "mean":
            writes.append((at.result(1), -(passed * read("mean") / self._limit), every_step))
        return at.elementwise(reads, writes)

    def adjoint_count(self, at: Site) -> tuple[Statement, ...]:
        """With the error g of all steps: ``d.x = g * rho / threshold`` where the mean of x is above 0."""
        reads = dict(zip(self.count_gradient().reads, at.node.operands, strict=True))
        passed = product(self.error(), lift(self.rho / self.threshold))
        return at.elementwise(reads, [(at.result(), where(read("above"), passed, 0.0))])

    def _averaged(self, at: Site, of: Callable[[Expression], Expression]) -> tuple[Statement, ...]:
        """*of* the mean of x; sums ascend in f32, and an x that does not change with time is its mean."""
        x, value = at.operand(0), at.value("x", 0)
        if not at.type(x).timed:
            return at.elementwise({"x": x}, [(at.result(), of(value))])
        total = product(state("total"), lift(self.remains)) + value
        mean = total / self._weights(at.steps)
        return at.elementwise({"x": x}, [(at.result(), of(mean), True)], (State("total", "f32", 0.0, total),))

    def _passes(self, mean: Expression) -> Expression:
        charge = product(mean, lift(self.rho))
        above = charge >= 0.0 if self.closed else charge > 0.0
        below = charge <= self._limit if self.closed else charge < self._limit
        return Expression("and", (above, below))

    @property
    def _limit(self) -> Expression:
        """The threshold."""
        return lift(self.threshold) if self.learn_threshold == "none" else read("theta")

    def _weights(self, steps: int) -> float:
        """The sum of all weights."""
        return sum(self.remains**step for step in range(steps))


def gradients_of(node: Node, carry: str) -> tuple[Adjoint, ...]:
    """The way back of *node*, that of means over time where *carry* is ``rate``, of counts of spikes if ``count``."""
    op = OPS[node.op].make(node.settings)
    if carry == "rate":
        return op.rate_gradients()
    return (op.count_gradient(),) if carry == "count" and isinstance(op, Rated) else op.gradients()


def averaged_in(op: Op, carry: str) -> Literal["window", "mean", "above"] | None:
    """What the way back reads of a neuron's mean input under *carry*; None where it reads none."""
    if not isinstance(op, Rated) or carry not in ("rate", "count"):
        return None
    return op.averaged if carry == "rate" else "above"
