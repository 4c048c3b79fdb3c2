"""From events to frames: time is cut into as many bins as there are steps, pixels are joined to a coarser grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from ...source import DataError, Faults
from ._events import Events, Recording


@dataclass(frozen=True)
class Frames:
    """How the events of a sample become `[step, polarity, row, column]`, OFF before ON.

    steps: bins of time.
    size: rows, and columns, of a frame; the pixel at x of a `sensor` that wide falls to column x * size // sensor.
    split: `time` for bins of equal duration (bin k begins at the first whole microsecond not before k/steps of the
        sample), `count` for bins of an equal number of events (event i of n falls to bin i * steps // n).
    counts: how many events fell to an element, at most `largest` where there is a limit; else 1 where any did.
    """

    steps: int
    size: int
    sensor: int
    split: Literal["time", "count"]
    counts: bool
    largest: int | None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.steps, 2, self.size, self.size

    def of(self, events: Events) -> NDArray[np.float32]:
        """The frames of one sample."""
        row = events.y.astype(np.int64) * self.size // self.sensor
        column = events.x.astype(np.int64) * self.size // self.sensor
        element = ((self._bins(events) * 2 + events.polarity) * self.size + row) * self.size + column
        if self.counts:
            found = np.bincount(element, minlength=int(np.prod(self.shape)))
            frames = found if self.largest is None else np.minimum(found, self.largest)
        else:
            frames = np.zeros(self.shape, np.float32)
            frames.reshape(-1)[element] = 1
        return frames.astype(np.float32, copy=False).reshape(self.shape)

    def _bins(self, events: Events) -> NDArray[np.int64]:
        """The bin of every event, in whole numbers throughout: no rounding puts an event on the wrong side."""
        if self.split == "count":
            return np.arange(len(events), dtype=np.int64) * self.steps // len(events)
        duration = events.end - events.begin
        edges = np.array([-(-k * duration // self.steps) for k in range(1, self.steps)], np.int64)
        return np.searchsorted(edges, events.time - events.begin, side="right").astype(np.int64)


@dataclass(frozen=True, eq=False)
class FramedSplit:
    """Samples that stay where they lie until a batch asks for them."""

    recordings: tuple[Recording, ...]
    labels: NDArray[np.uint16]
    frames: Frames
    sample_shape: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.recordings)

    def batch(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
        """The frames of the samples at `indices`; raises DataError with all that is wrong with any of them."""
        images = np.empty((len(indices), *self.frames.shape), np.float32)
        wanted: list[int] = indices.tolist()
        with Faults(DataError) as faults:
            for position, index in enumerate(wanted):
                try:
                    images[position] = self.frames.of(self.recordings[index].read())
                except DataError as error:
                    faults.extend(error.faults)
        return images.reshape(len(indices), *self.sample_shape), self.labels[indices]

    def first(self, count: int) -> Self:
        return replace(self, recordings=self.recordings[:count], labels=self.labels[:count])

    def reshaped(self, sample_shape: tuple[int, ...]) -> Self:
        return replace(self, sample_shape=sample_shape)
