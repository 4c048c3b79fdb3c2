"""Back-propagation through time with surrogate derivatives, full adjoint."""

from __future__ import annotations

from .rule import Rule

rule = Rule(
    title="back-propagation through time",
    source="Wu et al. 2018 (STBP)",
    carry="full",
    template="up_down",
)
