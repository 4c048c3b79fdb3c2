"""Neurons whose decay is learned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from ..ir.derivative import product
from ..ir.expression import Expression, exp, lift, where
from .neuron import Learned, Step
from .spiking import Spiking


@dataclass(frozen=True, kw_only=True)
class PLIF(Spiking):
    """Leaky integrate-and-fire with a learned decay: ``h[t] = kappa * v[t-1] + rho * x[t] + (1 - kappa) * rest``.

    The parameter ``w`` is one a *layer*, or one a *channel*.  With *form* = sigmoid, ``kappa = 1 - sigmoid(w)``, and
    ``w`` begins at ``ln(1 / decay - 1)``, which is ``-ln(tau - 1)`` of ``decay = 1 - 1 / tau`` (Fang et al. 2021, PLIF;
    SpikingJelly); with *form* = clamp, ``kappa = w`` clamped to 0 .. 1, and begins at *decay* (snnTorch, learn_beta).
    rho is ``1 - kappa`` where *decay_input*, else 1.
    """

    name: ClassVar = "plif"
    parameters: ClassVar = ("w", "theta")

    decay: float = 0.5
    decay_input: bool = False
    rest: float = 0.0
    form: Literal["sigmoid", "clamp"] = "sigmoid"
    each: Literal["layer", "channel"] = "layer"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form == "sigmoid":
            self.require(0 < self.decay < 1, "decay", "between 0 and 1, and neither of them")
        self.require(0 <= self.decay <= 1, "decay", "between 0 and 1")

    def learned(self) -> dict[str, tuple[Learned, float]]:
        """``w``, and the threshold if it is."""
        first = math.log(1.0 / self.decay - 1.0) if self.form == "sigmoid" else self.decay
        return {"w": (self.each, first), **super().learned()}

    def integrated(self, step: Step) -> Expression:
        """See the class."""
        kappa, share = self._shares(step)
        h = step.states["v"] * kappa + (product(step.x, share) if self.decay_input else step.x)
        return h + share * self.rest if self.rest else h

    def _shares(self, step: Step) -> tuple[Expression, Expression]:
        """kappa, and ``1 - kappa``."""
        w = step.parameters["w"]
        if self.form == "clamp":
            kappa = where(w < 0.0, 0.0, where(w > 1.0, 1.0, w))
            return kappa, lift(1.0) - kappa
        share = 1.0 / (1.0 + exp(-w))
        kappa = 1.0 - share
        step.slopes[id(share)] = (w, share * kappa)
        return kappa, share
