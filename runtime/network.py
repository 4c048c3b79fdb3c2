"""What joins the cores: queues of tiles, and barriers."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..isa.chip import Tile

Bytes: TypeAlias = NDArray[np.uint8]
Channel: TypeAlias = tuple[int, int, int]
"""Source core, target core, channel number."""


@dataclass
class _Room:
    """Room for one tile: how many have not taken it yet, and the cores that have."""

    tile: Bytes
    left: int = 0
    takers: set[int] = field(default_factory=set[int])


class Rooms:
    """Room for tiles that stays where it is: a tile has that of another one that all have taken.

    *before* are the cores that took the latest tiles whose room was given away since somebody has cleared it.
    """

    def __init__(self) -> None:
        self.before: set[int] = set()
        self._free: defaultdict[int, list[_Room]] = defaultdict(list)
        self._used: dict[int, _Room] = {}

    def room(self, size: int) -> Bytes:
        """So many bytes."""
        free = self._free[size]
        room = free.pop() if free else _Room(np.empty(size, np.uint8))
        self.before |= room.takers
        room.takers = set()
        self._used[id(room.tile)] = room
        return room.tile

    def sent(self, tile: Tile) -> None:
        """One more is to take a tile."""
        if (room := self._used.get(id(tile))) is not None:
            room.left += 1

    def taken(self, tile: Tile, core: int) -> None:
        """A *core* has taken a tile."""
        if (room := self._used.get(id(tile))) is not None:
            room.takers.add(core)
            room.left -= 1
            if not room.left:
                self._free[room.tile.size].append(self._used.pop(id(tile)))


class Queues:
    """Tiles under way: first in, first out by (source, target, channel); in *rooms*, where they have such."""

    def __init__(self) -> None:
        self.rooms: Rooms | None = None
        self._tiles: defaultdict[Channel, deque[Tile]] = defaultdict(deque)

    def room(self, size: int) -> Bytes:
        """So many bytes for a tile to be sent."""
        return np.empty(size, np.uint8) if self.rooms is None else self.rooms.room(size)

    def deliver(self, source: int, target: int, channel: int, tile: Tile) -> None:
        """Put a tile behind those that wait."""
        self._tiles[source, target, channel].append(tile)
        if self.rooms is not None:
            self.rooms.sent(tile)

    def take(self, source: int, target: int, channel: int) -> Tile | None:
        """The oldest tile; None where there is none."""
        waiting = self._tiles.get((source, target, channel))
        if not waiting:
            return None
        tile = waiting.popleft()
        if self.rooms is not None:
            self.rooms.taken(tile, target)
        return tile

    @property
    def left(self) -> dict[Channel, int]:
        """How many tiles nobody has taken."""
        return {channel: len(tiles) for channel, tiles in sorted(self._tiles.items()) if tiles}


class Barriers:
    """Meetings of the same unit of so many cores from one of them on, again and again."""

    def __init__(self) -> None:
        self._arrived: defaultdict[tuple[str, int, int], set[int]] = defaultdict(set)
        self._leaving: defaultdict[tuple[str, int, int], set[int]] = defaultdict(set)

    def meet(self, core: int, unit: str, first: int, cores: int) -> bool:
        """Whether *core* may go on; it asks again until it may.  ValueError for a core that is not invited."""
        if not first <= core < first + cores:
            raise ValueError(f"core {core} comes to a barrier of cores {first} to {first + cores - 1}")
        group = unit, first, cores
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

    def missing(self, unit: str, first: int, cores: int) -> list[int]:
        """The cores that have not arrived."""
        return sorted(set(range(first, first + cores)) - self._arrived[unit, first, cores])
