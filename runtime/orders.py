"""In which order the host steps streams that are ready.  No order changes a bit or a count: that is law 3."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

UNTIL_BLOCKED = 1 << 60


class Order(Protocol):
    """Says whose turn it is."""

    def pick(self, ready: Sequence[int]) -> tuple[int, int]:
        """(one of *ready*, which is ascending and not empty; how many instructions it may run)."""
        ...


class RoundRobin:
    """Each stream in turn, until it blocks."""

    def __init__(self) -> None:
        self._last = -1

    def pick(self, ready: Sequence[int]) -> tuple[int, int]:
        """The next stream behind the last one."""
        place = bisect_right(ready, self._last)
        self._last = ready[place] if place < len(ready) else ready[0]
        return self._last, UNTIL_BLOCKED


class Reverse:
    """Always the last stream that is ready."""

    def pick(self, ready: Sequence[int]) -> tuple[int, int]:
        """The last one."""
        return ready[-1], UNTIL_BLOCKED


class Shuffled:
    """Any stream, for any small number of instructions, as *seed* has it."""

    def __init__(self, seed: int, most: int = 7) -> None:
        self._random = random.Random(seed)
        self._most = most

    def pick(self, ready: Sequence[int]) -> tuple[int, int]:
        """One at random."""
        return self._random.choice(ready), self._random.randint(1, self._most)
