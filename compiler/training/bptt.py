"""Back-propagation through time with surrogate derivatives, full adjoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .rule import Rule


@dataclass(frozen=True, kw_only=True)
class BPTT(Rule):
    """Errors pass through layers, and through the states of neurons from each step to the one before."""

    name: ClassVar = "bptt"
    title: ClassVar = "back-propagation through time"
    source: ClassVar = "Wu et al. 2018 (STBP)"
    needs: ClassVar = "an adjoint of every operator"
    stores: ClassVar = "a tape of all steps"
