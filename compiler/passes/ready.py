"""Works in an order that is being made: those that wait for nobody any more."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Sequence
from heapq import heappop, heappush
from typing import Protocol

from .ways import Ways


class Waiting(Protocol):
    """What has its place in an order, and the *cycles* that it takes alone; a stage has *ways*."""

    @property
    def cycles(self) -> float: ...

    @property
    def ways(self) -> Ways | None: ...


class Ready:
    """Works that wait for nobody any more: *ranked* by how long they leave the channel idle, and by the longest chain
    of works that waits for each.

    Each waits for those *before* it; for *some* of these not if they run beside it.
    """

    def __init__(
        self, works: Sequence[Waiting], before: Sequence[frozenset[int]], some: Sequence[frozenset[int]]
    ) -> None:
        self._works = works
        self._some = some
        self._waiting = [len(others) for others in before]
        self._firmly = [len(others - but) for others, but in zip(before, some, strict=True)]
        self._behind: list[list[int]] = [[] for _ in works]
        self._chains = [work.cycles for work in works]
        for number in reversed(range(len(works))):
            for other in before[number]:
                self._behind[other].append(number)
                self._chains[other] = max(self._chains[other], works[other].cycles + self._chains[number])
        self._done: set[int] = set()
        self._longest: list[tuple[float, int]] = []
        self._nearly: set[int] = {number for number in range(len(works)) if self._is_nearly(number)}
        self.ranked: list[tuple[float, int]] = []
        for number, others in enumerate(self._waiting):
            if not others:
                self._enter(number)

    @property
    def nearly(self) -> list[tuple[int, frozenset[int]]]:
        """Works that wait for nobody but some beside which they may run, with these."""
        return [(number, self._some[number] - self._done) for number in sorted(self._nearly)]

    def longest(self) -> int | None:
        """What the longest chain waits for; None where all are done."""
        while self._longest and self._longest[0][1] in self._done:
            heappop(self._longest)
        return self._longest[0][1] if self._longest else None

    def finish(self, numbers: Collection[int]) -> None:
        """These are done; those that waited for them alone are ready."""
        for number in numbers:
            rank = self._rank(number)
            if rank is not None and not self._waiting[number]:
                del self.ranked[bisect_left(self.ranked, rank)]
        self._done.update(numbers)
        self._nearly.difference_update(numbers)
        for number in numbers:
            for other in self._behind[number]:
                self._waiting[other] -= 1
                self._firmly[other] -= number not in self._some[other]
                if other in self._done:
                    continue
                if not self._waiting[other]:
                    self._nearly.discard(other)
                    self._enter(other)
                elif self._is_nearly(other):
                    self._nearly.add(other)

    def _is_nearly(self, number: int) -> bool:
        return not self._firmly[number] and self._waiting[number] > 0 and self._works[number].ways is not None

    def _enter(self, number: int) -> None:
        heappush(self._longest, (-self._chains[number], number))
        rank = self._rank(number)
        if rank is not None:
            insort(self.ranked, rank)

    def _rank(self, number: int) -> tuple[float, int] | None:
        ways = self._works[number].ways
        return None if ways is None else (ways.alone.lasts.channel - ways.alone.lasts.core, number)
