"""Online training through time, gradients added up over a batch: weights learn from a trace of what they have read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..ir.graph import Network
from ._traces import traceable, traces
from .rule import Reasons, Rule


@dataclass(frozen=True, kw_only=True)
class OTTTA(Rule):
    """As `sltt`, with a trace of earlier spikes as left operand of every weight gradient."""

    name: ClassVar = "ottt_a"
    title: ClassVar = "online training through time: as sltt, with a trace of earlier spikes in every weight gradient"
    source: ClassVar = "Xiao et al. 2022 (OTTT_A)"
    needs: ClassVar = "a loss of each step, and weights that read the input or spikes of lif and if of one decay"
    stores: ClassVar = "a tape of one step, and a trace of what each weight reads"
    template: ClassVar = "up"
    carry: ClassVar = "none"

    def traces(self, network: Network) -> Mapping[str, float]:
        """Of all spikes that weights read."""
        return traces(network)

    def admits(self, network: Network) -> Reasons:
        """Where a trace is defined for what every weight reads."""
        return traceable(network)
