"""Neurons that do not spike: what they integrate is read as it is, and their way back needs no tape."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from ..ir.expression import Expression, edge
from .neuron import Carried, Leak, Neuron, Step, Values
from .site import WORKING


@dataclass(frozen=True, kw_only=True)
class Readout(Neuron):
    """``v[t]`` is rounded once, carried and read."""

    initial: float = 0.0

    def carried(self) -> dict[str, Carried]:
        """The potential."""
        return {"v": Carried(self.initial)}

    @abstractmethod
    def integrated(self, step: Step) -> Expression:
        """The potential with the input of this step."""

    def charge(self, step: Step) -> dict[str, Expression]:
        """`integrated`."""
        return {"v": edge(self.integrated(step), WORKING)}

    def fire(self, step: Step, charged: Values) -> None:
        """Nothing happens to it."""
        step.results[""] = step.next["v"] = charged["v"]


@dataclass(frozen=True, kw_only=True)
class LI(Readout, Leak):
    """Leaky read-out: ``v[t] = decay * v[t-1] + rho * x[t] + (1 - decay) * rest`` without spikes."""

    name: ClassVar = "li"

    def integrated(self, step: Step) -> Expression:
        """See the class."""
        return self.leaked(step.states["v"], step.x)


@dataclass(frozen=True, kw_only=True)
class Integrator(Readout):
    """Read-out that forgets nothing: ``v[t] = v[t-1] + x[t]``."""

    name: ClassVar = "integrator"

    def integrated(self, step: Step) -> Expression:
        """See the class."""
        return step.states["v"] + step.x
