"""Stages at work at once, each as quickly as what all of them share allows.

A stage asks for the units that compute, and for the channel, for some part of the time that it takes alone.  Where all
ask for more than there is, those that ask for the least have it, and the others share what is left alike; a stage
is as slow as what it has the least of, beside what it asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...isa.instruction import COMPUTING
from .duration import Duration

CHANNEL = "channel"

TURN = 1000
"""Cycles for which a stage waits, at its beginning, for instructions and moves of others, about."""


@dataclass
class _Work:
    """*left* are the cycles that a stage would still take alone; *asks* what parts of these it needs what is shared."""

    left: float
    asks: Mapping[str, float]
    speed: float = 1.0


class Sharing:
    """What is at work, by number, and the cycles until *now*."""

    def __init__(self) -> None:
        self.now = 0.0
        self._works: dict[int, _Work] = {}

    @property
    def speed(self) -> float:
        """Cycles of stages that pass in a cycle: as many as there are stages, if none waits for another."""
        return sum(work.speed for work in self._works.values())

    def begin(self, number: int, lasts: Duration) -> None:
        """A stage is at work from now on."""
        self._works[number] = _Work(lasts.alone + TURN, asked(lasts))
        self._settle()

    def with_another(self, asks: Mapping[str, float]) -> float:
        """The speed of all if there were one more that *asks* for so much."""
        works = [*(work.asks for work in self._works.values()), asks]
        return sum(_speeds(works))

    def end(self) -> int:
        """The stage that ends first, which it has done now."""
        number, work = min(self._works.items(), key=lambda item: (item[1].left / item[1].speed, item[0]))
        passed = work.left / work.speed
        for other in self._works.values():
            other.left = max(0.0, other.left - passed * other.speed)
        self.now += passed
        del self._works[number]
        self._settle()
        return number

    def _settle(self) -> None:
        works = list(self._works.values())
        for work, speed in zip(works, _speeds([work.asks for work in works]), strict=True):
            work.speed = speed


def asked(lasts: Duration) -> Mapping[str, float]:
    """What part of the time that a stage takes alone it needs each unit that computes, and the channel."""
    alone = lasts.alone + TURN
    shared = {unit: cycles / alone for unit, cycles in lasts.units.items() if unit in COMPUTING}
    return shared | {CHANNEL: lasts.channel / alone}


def _speeds(works: list[Mapping[str, float]]) -> list[float]:
    """How quick each of *works* is beside the others."""
    speeds = [1.0] * len(works)
    for name in {name for asks in works for name in asks}:
        left, waiting = 1.0, sorted((asks.get(name, 0.0), place) for place, asks in enumerate(works))
        for rank, (part, place) in enumerate(waiting):
            given = min(part, left / (len(waiting) - rank))
            left -= given
            if part > given:
                speeds[place] = min(speeds[place], given / part)
    return speeds
