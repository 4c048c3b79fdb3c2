"""Neurons that spikes make slower to spike: by a threshold, or by a current, that adapts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir.derivative import product
from ..ir.expression import Expression, edge, lift
from .neuron import Carried, Leak, Step, Values
from .site import WORKING
from .spiking import Spiking


@dataclass(frozen=True, kw_only=True)
class ALIF(Spiking, Leak):
    """Leaky integrate-and-fire whose threshold rises by *jump* with each spike, and falls back to *threshold*.

    ``b[t] = threshold_decay * a[t-1] + (1 - threshold_decay) * threshold``, ``h`` as of lif, ``s = 1`` where
    ``h >= b``, ``a[t] = b[t] + jump * s[t]`` (Bellec et al. 2018, LSNN; Norse).  A soft reset takes *threshold* away.
    The comparison reads b rounded once to f16; a is carried in f32, since it may fall slowly.  *detach_reset* cuts the
    path through the threshold too, as Norse's recurrent form does; its feed-forward form has the true gradient.
    """

    name: ClassVar = "alif"
    results: ClassVar = (*Spiking.results, "b")
    compared: ClassVar = ("h", "b")

    threshold_decay: float = 0.9
    jump: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.threshold_decay <= 1, "threshold_decay", "between 0 and 1")
        self.require(self.learn_threshold == "none", "learn_threshold", "none where the threshold adapts")

    def carried(self) -> dict[str, Carried]:
        """The threshold besides."""
        return {**super().carried(), "a": Carried(self.threshold, "f32")}

    def integrated(self, step: Step) -> Expression:
        """As of lif."""
        return self.leaked(step.states["v"], step.x)

    def charge(self, step: Step) -> dict[str, Expression]:
        """The threshold falls back: as it is carried, and as it is compared."""
        level = (1.0 - self.threshold_decay) * self.threshold
        fallen = product(step.states["a"], lift(self.threshold_decay)) + level
        return {**super().charge(step), "a": fallen, "b": edge(fallen, WORKING)}

    def threshold_of(self, step: Step, charged: Values) -> Expression:
        """b."""
        return charged["b"]

    def fire(self, step: Step, charged: Values) -> None:
        """A spike raises the threshold."""
        super().fire(step, charged)
        step.next["a"] = charged["a"] + self.fed_back(step.results[""]) * self.jump


@dataclass(frozen=True, kw_only=True)
class AdaptiveLIF(Spiking, Leak):
    """Leaky integrate-and-fire with a current that works against its input, and grows by *jump* with each spike.

    ``h`` as of lif with ``x[t] - w[t-1]`` for ``x[t]``, and after it
    ``w[t] = current_decay * w[t-1] + (1 - current_decay) * coupling * (h[t] - rest) + jump * s[t]``
    (the adaptation of SpikingJelly's AdaptBaseNode, with ``current_decay = 1 - 1 / tau_w``, a = coupling, b = jump).
    """

    name: ClassVar = "adaptive_lif"

    current_decay: float = 0.5
    coupling: float = 0.0
    jump: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.current_decay <= 1, "current_decay", "between 0 and 1")
        lost = self.reset == "hard" and self.remembers_spikes and not self.detach_reset
        self.require(not lost, "detach_reset", "true where a hard reset is delayed")

    def carried(self) -> dict[str, Carried]:
        """The current besides."""
        return {**super().carried(), "w": Carried(0.0, "f32")}

    def integrated(self, step: Step) -> Expression:
        """As of lif, against the current."""
        return self.leaked(step.states["v"], step.x - step.states["w"])

    def charge(self, step: Step) -> dict[str, Expression]:
        """The current decays beside."""
        return {**super().charge(step), "w": product(step.states["w"], lift(self.current_decay))}

    def fire(self, step: Step, charged: Values) -> None:
        """The potential and a spike make the current grow."""
        super().fire(step, charged)
        w = charged["w"]
        share = (1.0 - self.current_decay) * self.coupling
        if share:
            w = w + (charged["h"] - self.rest) * share
        step.next["w"] = w + self.fed_back(step.results[""]) * self.jump
