"""Spatial learning through time: the gradient of a state is cut between two steps, so each step learns by itself."""

from __future__ import annotations

from .rule import Rule

rule = Rule(
    title="spatial learning through time: errors pass through the layers of a step, and to no other step",
    source="Meng et al. 2023 (SLTT)",
    carry="none",
    template="up",
)
