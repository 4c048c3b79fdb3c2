"""The objectives, by what they are called."""

from __future__ import annotations

from collections.abc import Mapping

from .fewest_cycles import FewestCycles
from .least_energy import LeastEnergy
from .objective import Objective

OBJECTIVES: Mapping[str, Objective | None] = {"dram": None, "cycles": FewestCycles(), "energy": LeastEnergy()}
"""What mappings may be chosen by; None are the fewest bytes of DRAM, which have a search of their own."""
