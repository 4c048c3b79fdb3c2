"""Online pseudo-zeroth-order training: errors go straight from the result to every layer, through a matrix each.

What the matrices hold, noise has told: how the result answers to a layer that is disturbed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from ..ir.graph import Network
from ..ops.feedback import Distribution, Perturb
from ..ops.initialisers import KAIMING, InitialiserCall
from ._traces import traceable, traces
from .rule import Disturbance, Feedback, Reasons, Rule

_LEARNING = ("momentum", "inverse_alpha", "feedback_update")
_UNUSED = {"dfa": ("noise", "perturb", "alpha", "antithetic", *_LEARNING), "zo": (*_LEARNING, "init")}
"""Settings that mean nothing, by *feedback*: of noise where there is none, of matrices where there are none."""


@dataclass(frozen=True, kw_only=True)
class OPZO(Rule):
    """As `ottt_a`, but an error never passes a layer's weights: ``d.s = M d.y`` for the spikes s of a hidden layer.

    *feedback* says what M is.  *learned*: it begins as *init* says, and is then a running mean (*momentum*) of the
    answers times the noise that disturbed the layer, over *alpha* where *inverse_alpha*; it follows in each step, or
    once a batch (*feedback_update*).  *dfa*: what *init* drew, for ever, and no noise (direct feedback alignment,
    Nokland 2016).  *zo*: no matrix at all; ``d.s = z * loss / alpha`` (single-point zeroth-order).

    The *noise* z, *alpha* times as large, is added to the spikes (*perturb* = after) or to the current that the neurons
    read (before); *antithetic* noise is drawn once a batch, and changes its sign from step to step.
    """

    name: ClassVar = "opzo"
    title: ClassVar = "online pseudo-zeroth-order training: errors go straight to every layer, through learned matrices"
    source: ClassVar = "Xiao et al. 2024 (OPZO)"
    needs: ClassVar = "a loss of each step, and weights that read the input or spikes of lif and if of one decay"
    stores: ClassVar = "a tape of one step, a trace of what each weight reads, and a word a neuron and class"
    template: ClassVar = "up"
    carry: ClassVar = "none"

    feedback: Literal["learned", "dfa", "zo"] = "learned"
    noise: Distribution = "rademacher"
    perturb: Literal["after", "before"] = "after"
    alpha: float = 0.2
    antithetic: bool = False
    momentum: float = 0.999
    inverse_alpha: bool = True
    feedback_update: Literal["step", "batch"] = "step"
    init: InitialiserCall = KAIMING

    def __post_init__(self) -> None:
        self.require(self.alpha > 0, "alpha", "positive")
        self.require(0 <= self.momentum < 1, "momentum", "at least 0 and below 1")
        super().__post_init__()

    @property
    def unused(self) -> Mapping[str, str]:
        """Those of noise where there is none, and of matrices where there are none, or none that learn."""
        return dict.fromkeys(_UNUSED.get(self.feedback, ()), f"with feedback={self.feedback}")

    @property
    def direct(self) -> Feedback | Literal["loss"]:
        """What *feedback* says."""
        if self.feedback == "zo":
            return "loss"
        if self.feedback == "dfa":
            return Feedback(self.init)
        factor = 1.0 / self.alpha if self.inverse_alpha else 1.0
        return Feedback(self.init, self.momentum, factor, self.feedback_update)

    @property
    def disturbance(self) -> Disturbance | None:
        """Nothing where the matrices are fixed."""
        if self.feedback == "dfa":
            return None
        drawn = Perturb(alpha=self.alpha, noise=self.noise, antithetic=self.antithetic)
        return Disturbance(drawn, self.perturb == "before")

    def traces(self, network: Network) -> Mapping[str, float]:
        """Of all spikes that weights read."""
        return traces(network)

    def admits(self, network: Network) -> Reasons:
        """Where a trace is defined for what every weight reads."""
        return traceable(network)
