"""Events of a camera that reports changes: pixel, polarity and time of each, and what may be wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.integer[Any]]

Named = Callable[[int], str]
"""What the event at an index is called: `event 17`, counted from 0 in its file or sample."""

Told = Callable[[str], None]
"""Notes one fault."""


@dataclass(frozen=True, eq=False)
class Events:
    """The events of one sample, in the order of time.

    x, y: column and row of each.
    polarity: 0 where it became darker (OFF), 1 where it became brighter (ON).
    time: microseconds, each within [begin, end), the time that the sample covers.
    """

    x: Whole
    y: Whole
    polarity: Whole
    time: NDArray[np.int64]
    begin: int
    end: int

    def __len__(self) -> int:
        return len(self.time)


class Recording(Protocol):
    """One sample where it lies."""

    def read(self) -> Events:
        """Its events, at least one; raises DataError with all that is wrong with them."""
        ...


def check_pixels(x: Whole, y: Whole, sensor: int, named: Named, told: Told) -> None:
    """Tells of events outside of a sensor of `sensor` x `sensor` pixels."""
    outside = np.flatnonzero((x < 0) | (x >= sensor) | (y < 0) | (y >= sensor))
    if outside.size:
        first = int(outside[0])
        count = "1 event lies" if outside.size == 1 else f"{outside.size} events lie"
        told(
            f"{count} outside of the sensor of {sensor} x {sensor} pixels, the first is {named(first)}"
            f" at x={int(x[first])}, y={int(y[first])}"
        )


def check_order(time: NDArray[np.int64], named: Named, told: Told, starts: Whole | None = None) -> None:
    """Tells of time that runs backwards.

    starts: indices of events before which it may, since another sample begins there.
    """
    backwards = np.flatnonzero(np.diff(time) < 0) + 1
    if starts is not None:
        backwards = backwards[~np.isin(backwards, starts)]
    if backwards.size:
        first = int(backwards[0])
        count = "once" if backwards.size == 1 else f"{backwards.size} times"
        told(
            f"time runs backwards {count}, first at {named(first)}:"
            f" {int(time[first])} microseconds after {int(time[first - 1])}"
        )
