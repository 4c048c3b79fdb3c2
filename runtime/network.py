"""What joins the cores: queues of tiles, and barriers."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..isa.chip import Tile

Bytes: TypeAlias = NDArray[np.uint8]
Channel: TypeAlias = tuple[int, int, int]
"""Source core, target core, channel number."""


class Queues:
    """Tiles under way: first in, first out by (source, target, channel)."""

    def __init__(self) -> None:
        self._tiles: defaultdict[Channel, deque[Tile]] = defaultdict(deque)

    def deliver(self, source: int, target: int, channel: int, tile: Tile) -> None:
        """Put a tile behind those that wait."""
        self._tiles[source, target, channel].append(tile)

    def take(self, source: int, target: int, channel: int) -> Tile | None:
        """The oldest tile; None where there is none."""
        waiting = self._tiles.get((source, target, channel))
        return waiting.popleft() if waiting else None

    @property
    def left(self) -> dict[Channel, int]:
        """How many tiles nobody has taken."""
        return {channel: len(tiles) for channel, tiles in sorted(self._tiles.items()) if tiles}


class Barriers:
    """Meetings of the same unit of cores 0 to n - 1, again and again."""

    def __init__(self) -> None:
        self._arrived: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
        self._leaving: defaultdict[tuple[str, int], set[int]] = defaultdict(set)

    def meet(self, core: int, unit: str, cores: int) -> bool:
        """Whether *core* may go on; it asks again until it may.  ValueError for a core that is not invited."""
        if core >= cores:
            raise ValueError(f"core {core} comes to a barrier of cores 0 to {cores - 1}")
        group = unit, cores
        leaving, arrived = self._leaving[group], self._arrived[group]
        if core in leaving:
            leaving.remove(core)
            return True
        arrived.add(core)
        if len(arrived) < cores:
            return False
        leaving |= arrived - {core}
        arrived.clear()
        return True

    def missing(self, unit: str, cores: int) -> list[int]:
        """The cores that have not arrived."""
        return sorted(set(range(cores)) - self._arrived[unit, cores])
