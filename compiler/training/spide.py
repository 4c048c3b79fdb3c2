"""Spike-based implicit differentiation: errors settle, as the spikes of a network with feedback do on the way there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..ir.graph import Network
from ..ops.settle import Solver
from ._rates import settles
from .rule import Reasons, Rule, Settling


@dataclass(frozen=True, kw_only=True)
class SPIDE(Rule):
    """The rates of a network come to an equilibrium, and in a sweep of *steps* steps so do their errors.

    With *solver* = spikes, neurons fire errors too: 1 or -1 where they add up to the *threshold* or to its negative,
    *worth* times the threshold each; layers pass them without a product.  With fixed_point they pass as they are
    (IDE).  Weights learn from rates and from errors that have settled, once.
    """

    name: ClassVar = "spide"
    title: ClassVar = (
        "implicit differentiation at equilibrium: errors settle in a sweep of their own, as ternary spikes"
    )
    source: ClassVar = "Xiao et al. 2023 (SPIDE), 2021 (IDE)"
    needs: ClassVar = "lif and if with a soft reset, layers that keep means, a loss of the mean; delays may feed back"
    stores: ClassVar = "the mean of what each weight reads; a bit, a potential and a sum of errors a neuron"
    carry: ClassVar = "rate"
    instead: ClassVar = ("rule = bptt, which takes any loss",)

    solver: Solver = "spikes"
    steps: int = 250
    threshold: float = 0.5
    worth: float = 2.0

    def __post_init__(self) -> None:
        self.require(self.steps >= 1, "steps", "at least 1")
        self.require(self.threshold > 0, "threshold", "positive")
        self.require(self.worth > 0, "worth", "positive")
        super().__post_init__()

    @property
    def unused(self) -> Mapping[str, str]:
        """Those of spikes where errors pass as they are."""
        spikes = ("threshold", "worth") if self.solver == "fixed_point" else ()
        return dict.fromkeys(spikes, f"with solver={self.solver}")

    @property
    def collapsed(self) -> bool:
        """What weights learn from is one error for all steps."""
        return True

    def sweeps(self, steps: int) -> str:
        """One more, in which errors settle."""
        return "double_sweep"

    @property
    def settling(self) -> Settling:
        """As the settings say."""
        return Settling(self.solver, self.steps, self.threshold, self.worth * self.threshold)

    def admits(self, network: Network) -> Reasons:
        """Where spikes follow their input, means pass, and every ring has a neuron."""
        return settles(network)
