"""Neurons with a synaptic current of their own."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from ..ir.derivative import product
from ..ir.expression import Expression, edge, lift, where
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


@dataclass(frozen=True, kw_only=True)
class Alpha(Spiking):
    """Two currents that the input drives against each other, whose sum is the membrane (snnTorch's Alpha).

    ``e[t] = excitatory_decay * e[t-1] + gain * x[t]``, ``i[t] = inhibitory_decay * i[t-1] - gain * x[t]``,
    ``h[t] = tau * (e[t] + i[t])``, fire: x[t] cancels out of h[t] and acts from the next step on, rising and falling
    as a difference of two exponentials.  tau is `weight_of_both` currents.

    The reset is what snnTorch 1.0 does to a step after a spike, which loses its input in one current or in both.
    *hard*: h, e and i of that step are 0.  *soft*: ``i[t] = 0``, ``e[t] - threshold`` is left of e, and h becomes
    ``h[t] + i[t-1]``.  Each of e and i is rounded once, as the reset leaves it; h is made of them as they were carried.
    """

    name: ClassVar = "alpha"
    results: ClassVar = (*Spiking.results, "e", "i")
    held: ClassVar = ("threshold",)
    late: ClassVar = True

    reset_time: Literal["delayed"] = "delayed"
    excitatory_decay: float = 0.9
    inhibitory_decay: float = 0.8
    gain: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.inhibitory_decay < 1, "inhibitory_decay", "at least 0 and below 1")
        wanted = f"above inhibitory_decay, which is {self.inhibitory_decay}, and at most 1"
        self.require(self.inhibitory_decay < self.excitatory_decay <= 1, "excitatory_decay", wanted)
        self.require(self.v_reset == 0, "v_reset", "0, which a reset leaves of both currents")
        self.require(self.initial == 0, "initial", "0, since its currents begin at 0")

    def carried(self) -> dict[str, Carried]:
        """The currents in the place of a potential."""
        others = {name: of for name, of in super().carried().items() if name != "v"}
        return {"e": Carried(), "i": Carried(), **others}

    def _decayed(self, step: Step) -> tuple[Expression, Expression]:
        """What is left of both currents."""
        e = product(step.states["e"], lift(self.excitatory_decay))
        return e, product(step.states["i"], lift(self.inhibitory_decay))

    def integrated(self, step: Step) -> Expression:
        """See the class."""
        e, i = self._decayed(step)
        return product(e + i, lift(weight_of_both(self.excitatory_decay, self.inhibitory_decay)))

    def charge(self, step: Step) -> dict[str, Expression]:
        """The membrane and both currents, as the reset leaves them."""
        h = self.integrated(step)
        e, i = self._decayed(step)
        x = product(step.x, lift(self.gain))
        e, i = e + x, i - x
        if self.reset != "none":
            fired = step.states["r"]
            i = where(fired, 0.0, i)
            if self.reset == "soft":
                h, e = h + fired * step.states["i"], self._after_reset(step, e, fired)
            else:
                h, e = where(fired, 0.0, h), where(fired, 0.0, e)
        return {"h": edge(h, WORKING), "e": edge(e, WORKING), "i": edge(i, WORKING)}

    def fire(self, step: Step, charged: Values) -> None:
        """Spikes, and the currents as they are."""
        super().fire(step, charged)
        del step.next["v"]
        step.next |= {"e": charged["e"], "i": charged["i"]}


def weight_of_both(excitatory_decay: float, inhibitory_decay: float) -> float:
    """``tau = ln(inhibitory_decay) / (ln(inhibitory_decay) - ln(excitatory_decay))``; 1 where the former is 0."""
    if inhibitory_decay == 0:
        return 1.0
    fast, slow = math.log(inhibitory_decay), math.log(excitatory_decay)
    return fast / (fast - slow)
