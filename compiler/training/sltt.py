"""Spatial learning through time: the gradient of a state is cut between two steps, so each step learns by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .rule import Rule


@dataclass(frozen=True, kw_only=True)
class SLTT(Rule):
    """Errors pass through the layers of their own step, and to no other step."""

    name: ClassVar = "sltt"
    title: ClassVar = "spatial learning through time: errors pass through the layers of a step, and to no other step"
    source: ClassVar = "Meng et al. 2023 (SLTT)"
    needs: ClassVar = "a loss of each step"
    stores: ClassVar = "a tape of one step"
    template: ClassVar = "up"
    carry: ClassVar = "none"
