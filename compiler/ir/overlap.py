"""What was decided of a cycle: whether a turn of its loop over time begins a step while the one before is on its way
back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Overlap:
    """Of the stages that take each step of time together, those *behind* by a step, by phase and node.

    All turns are predicted to take so many *cycles*, and *apart* where steps follow one another.  *handed* are the
    values with room for two steps, which take so many *bytes* of DRAM more.  Where the way there of a step waits for
    what the step before makes behind its own, *why* tells of what.
    """

    behind: tuple[str, ...] = ()
    handed: tuple[str, ...] = ()
    bytes: int = 0
    cycles: float = 0.0
    apart: float = 0.0
    why: str = ""
