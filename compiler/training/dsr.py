"""Differentiation on spike representation: errors pass by the rates of neurons, which follow the mean input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ..ir.graph import Network
from ._rates import rated
from .rule import Reasons, Rule


@dataclass(frozen=True, kw_only=True)
class DSR(Rule):
    """An error passes a neuron where the mean of its input is within the window, the same in every step.

    *form* says how layers are passed: ``collapsed``, once for all steps, on means over time, which is exact where
    layers keep means; ``step``, step by step, as published.
    """

    name: ClassVar = "dsr"
    title: ClassVar = "differentiation on spike representation: errors pass by rates, within a window of the mean input"
    source: ClassVar = "Meng et al. 2022 (DSR)"
    needs: ClassVar = "lif and if with a soft reset; if collapsed also layers that keep means, and a loss of the mean"
    stores: ClassVar = "the mean of what each weight reads and a bit a neuron; with form=step a tape of all steps"
    carry: ClassVar = "rate"
    instead: ClassVar = ("rule = dsr(form=step), which takes any loss",)

    form: Literal["collapsed", "step"] = "collapsed"

    @property
    def collapsed(self) -> bool:
        """As form says."""
        return self.form == "collapsed"

    def admits(self, network: Network) -> Reasons:
        """Where spikes follow their input, and if collapsed, means pass."""
        return rated(network, self.collapsed)
