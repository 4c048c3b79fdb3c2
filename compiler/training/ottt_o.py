"""Online training through time with an update in each step: weights change while the samples are still being shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .ottt_a import OTTTA


@dataclass(frozen=True, kw_only=True)
class OTTTO(OTTTA):
    """As `ottt_a`, with an update behind the errors of each step: the next step fires with the new weights."""

    name: ClassVar = "ottt_o"
    title: ClassVar = (
        "online training through time with an update in each step: as ottt_a, without waiting for the batch"
    )
    source: ClassVar = "Xiao et al. 2022 (OTTT_O)"
    update: ClassVar = "step"

    def sweeps(self, steps: int) -> str:
        """Updates stand in the sweep."""
        return "updating_sweep"
