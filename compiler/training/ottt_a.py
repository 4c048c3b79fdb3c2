"""Online training through time, gradients added up over a batch: weights learn from a trace of what they have read."""

from __future__ import annotations

from ._traces import traceable, traces
from .rule import Rule

rule = Rule(
    title="online training through time: as sltt, with a trace of earlier spikes in every weight gradient",
    source="Xiao et al. 2022 (OTTT_A)",
    carry="none",
    traces=traces,
    template="up",
    admits=traceable,
)
