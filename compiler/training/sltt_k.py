"""Spatial learning through time in some of the steps: the others are passed through forwards only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .sltt import SLTT


@dataclass(frozen=True, kw_only=True)
class SLTTK(SLTT):
    """As `sltt`, in *K* steps that are drawn for each batch; losses and errors are those of a mean over all steps.

    All errors stay divided by the number of steps, not by K (as its authors have coded it).
    """

    name: ClassVar = "sltt_k"
    title: ClassVar = "spatial learning through time in K steps of a batch, drawn at random: the others go forward only"
    source: ClassVar = "Meng et al. 2023 (SLTT-K)"
    stores: ClassVar = "a tape of one step"

    K: int = 1

    def __post_init__(self) -> None:
        self.require(self.K >= 1, "K", "at least 1")
        super().__post_init__()

    def sweeps(self, steps: int) -> str:
        """Where K is all of them there is nothing to choose."""
        return "chosen_steps" if self.turns(steps) < steps else super().sweeps(steps)

    def turns(self, steps: int) -> int:
        """K, where there are as many."""
        self.require(self.K <= steps, "K", f"at most the number of steps, {steps}")
        return self.K
