"""Neurons with a synaptic current of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..ir.derivative import product
from ..ir.expression import Expression, edge, lift
from .neuron import Carried, Leak, Step, Values
from .site import WORKING
from .spiking import Spiking


@dataclass(frozen=True, kw_only=True)
class CUBA(Spiking, Leak):
    """Current-based leaky integrate-and-fire: the input drives a current, and the current the membrane.

    ``i[t] = current_decay * i[t-1] + x[t]``, ``h[t] = decay * v[t-1] + rho * i[t] + (1 - decay) * rest``, fire, reset;
    rho is ``1 - decay`` where *decay_input*, else 1 (SpikingJelly's CUBALIFNode; snnTorch's Synaptic, whose reset is
    delayed and leaves the current alone; Norse's LIF, which decays its input).  i is rounded once.
    """

    name: ClassVar = "cuba"
    results: ClassVar = (*Spiking.results, "i")

    current_decay: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.current_decay <= 1, "current_decay", "between 0 and 1")

    def carried(self) -> dict[str, Carried]:
        """The current besides."""
        return {**super().carried(), "i": Carried()}

    def charge(self, step: Step) -> dict[str, Expression]:
        """The current, and what it makes of the potential."""
        made = edge(product(step.states["i"], lift(self.current_decay)) + step.x, WORKING)
        i = step.tape.get("i", made)
        if i is not made:
            step.slopes[id(i)] = (made, lift(1.0))
        return {"i": i, **super().charge(replace(step, x=i))}

    def integrated(self, step: Step) -> Expression:
        """See the class."""
        return self.leaked(step.states["v"], step.x)

    def fire(self, step: Step, charged: Values) -> None:
        """A reset leaves the current alone."""
        super().fire(step, charged)
        step.next["i"] = charged["i"]
