"""Plasticity by the times of spikes: weights learn from the spikes on both of their sides, without a loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from ..ir.graph import Network
from ._synapses import between_spikes, synapses
from .rule import Plasticity, Reasons, Rule, Synapse, Traced

_UNUSED = {"pair": ("threshold",), "fspinn": ("depression", "tau_post")}
"""Settings that mean nothing, by *form*."""


@dataclass(frozen=True, kw_only=True)
class STDP(Rule):
    """In each step ``dw = potentiation * (w_max - w)**mu * a s - depression * (w - w_min)**mu * x b``.

    x are the spikes that a weight reads and a their trace, s those that its neuron fires and b their trace; what
    changes is a mean over samples, and w is clipped to its bounds.  A trace falls by 1/tau of itself in each step, and
    then adds the spike (*trace* = additive) or becomes it (nearest); it has its step's spikes already when weights
    change, as SpikingJelly's STDPLearner has it.  *mu* = 0 is the additive rule.  With *every* = n, the changes of n
    steps are made together.

    *form* = fspinn takes nothing away: in every n-th step ``dw = k * potentiation * (w_max - w)**mu * a`` for the
    neurons that fired most since the last one, with ``k = ceil(count / threshold)`` (Putra and Shafique 2020).
    *normalise* scales the weights that lead to a neuron to a constant sum behind each batch (Diehl and Cook 2015); 0
    does not.  Learned are clusters, not classes: each neuron of the result gets the class for which it fires most over
    the *label_samples* training samples that were seen last.
    """

    name: ClassVar = "stdp"
    title: ClassVar = "plasticity by the times of spikes: weights learn from spikes on both sides, labels come after"
    source: ClassVar = "Diehl and Cook 2015 (pair), Putra and Shafique 2020 (FSpiNN)"
    needs: ClassVar = "weights that read spikes and lead to neurons directly, and no loss"
    stores: ClassVar = "a trace of what each weight reads, and one of what its neuron fires"
    template: ClassVar = "up"
    carry: ClassVar = "none"
    update: ClassVar = "step"
    implies: ClassVar = {"loss": "rates", "optimizer": ("sgd", ("lr", 1.0)), "loss_scale": 1.0, "clip": "none"}
    unmoved: ClassVar = "it is no weight between spikes"

    form: Literal["pair", "fspinn"] = "pair"
    potentiation: float = 0.01
    depression: float = 0.0001
    tau_pre: float = 20.0
    tau_post: float = 20.0
    trace: Literal["additive", "nearest"] = "additive"
    w_min: float = 0.0
    w_max: float = 1.0
    mu: float = 0.0
    every: int = 1
    threshold: int = 1
    normalise: float = 0.0
    label_samples: int = 1000

    def __post_init__(self) -> None:
        for name in ("potentiation", "depression", "mu", "normalise"):
            self.require(getattr(self, name) >= 0, name, "at least 0")
        for name in ("tau_pre", "tau_post", "every", "threshold", "label_samples"):
            self.require(getattr(self, name) >= 1, name, "at least 1")
        self.require(self.every <= 255, "every", "at most 255")
        self.require(self.w_min < self.w_max, "w_min", f"below w_max, {self.w_max:g}")
        self.require(self.normalise == 0 or self.w_min >= 0, "normalise", "0 where w_min lets weights cancel out")
        super().__post_init__()

    @property
    def unused(self) -> Mapping[str, str]:
        """Those of the other form."""
        return dict.fromkeys(_UNUSED[self.form], f"with form={self.form}")

    def turns(self, steps: int) -> int:
        """All; *every* divides them, so that nothing is left over behind the last."""
        self.require(steps % self.every == 0, "every", f"a divisor of the number of steps, {steps}")
        return steps

    @property
    def plasticity(self) -> Plasticity:
        """As the settings say."""
        additive = self.trace == "additive"
        return Plasticity(
            Traced(1.0 - 1.0 / self.tau_pre, additive),
            Traced(1.0 - 1.0 / self.tau_post, additive) if self.form == "pair" else None,
            self.potentiation,
            self.depression,
            self.w_min,
            self.w_max,
            self.mu,
            self.every,
            self.threshold,
            self.normalise,
        )

    def synapses(self, network: Network) -> tuple[Synapse, ...]:
        """All of them."""
        return synapses(network)

    def admits(self, network: Network) -> Reasons:
        """Where all weights stand between spikes."""
        return between_spikes(network)
