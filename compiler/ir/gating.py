"""What an engine leaves out of a stage: turns of its array whose words hold nothing but zeros."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gating:
    """Which operands' empty words gate (the mask `skip` of the instruction), and what is expected of it.

    *left* and *right* are the fractions of the words that hold anything, by densities; *begins* is the part of all
    turns in which sums begin, which are taken in any case.
    """

    skip: int = 0
    left: float = 1.0
    right: float = 1.0
    begins: float = 0.0

    @property
    def taken(self) -> float:
        """The part of all turns that the engine takes, predicted."""
        active = self.left * self.right
        return active + (1.0 - active) * self.begins

    def cycles(self, dense: float, lookahead: int) -> float:
        """Predicted cycles of *dense* turns, where so many are looked at in each."""
        return max(self.taken * dense, dense / lookahead) if self.skip else dense


ALL_TURNS = Gating()
"""Nothing is left out."""
