"""Measuring densities: where a value is not zero, added up over batches."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .density import GROUP, UNITS, Density, Tile, TileDensity, parts_of, tiles_of

Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]

DIGITS = 6
"""Of a density, as it is written down."""


@dataclass
class Measurement:
    """A value of *kind* with axes *memory* (channels last), as far as batches of it were seen."""

    kind: str
    memory: tuple[int, ...]
    seen: int = 0
    """Samples."""

    steps: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    channels: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    lengths: Counts = field(default_factory=lambda: np.zeros(2, np.int64))
    runs: Counts = field(default_factory=lambda: np.zeros(2, np.int64))
    histograms: dict[tuple[Tile, int], Counts] = field(default_factory=dict[tuple[Tile, int], Counts])

    def add(self, there: Mask) -> None:
        """A batch: where elements are not zero, ``[t][n]`` and the axes of memory."""
        assert there.shape[2:] == self.memory, f"{there.shape} for {self.memory}"
        axes = tuple(range(1, there.ndim))
        self.seen += there.shape[1]
        self.steps = np.count_nonzero(there, axis=axes) + (self.steps if self.steps.size else 0)
        by_channel = np.count_nonzero(there, axis=tuple(range(there.ndim - 1)))
        groups = np.add.reduceat(by_channel, np.arange(0, len(by_channel), GROUP))
        self.channels = groups + (self.channels if self.channels.size else 0)
        self._add_runs(there)
        self._add_tiles(there)

    def _add_runs(self, there: Mask) -> None:
        """Runs along memory; each sample and step begins anew."""
        rows = there.reshape(-1, math.prod(self.memory))
        begins = np.ones(rows.shape, np.bool_)
        begins[:, 1:] = rows[:, 1:] != rows[:, :-1]
        filled = int(np.count_nonzero(rows))
        of_filled = int(np.count_nonzero(begins & rows))
        self.lengths = self.lengths + np.array([rows.size - filled, filled])
        self.runs = self.runs + np.array([int(np.count_nonzero(begins)) - of_filled, of_filled])

    def _add_tiles(self, there: Mask) -> None:
        tiles = tiles_of(self.memory)
        for unit in UNITS:
            units = np.logical_or.reduceat(there, np.arange(0, self.memory[-1], unit), axis=-1) if unit > 1 else there
            for piece in sorted({tile[-1] for tile in tiles}):
                sums = _summed(units, -1, piece // unit) if piece % unit == 0 else None
                for tile in (tile for tile in tiles if tile[-1] == piece):
                    boxes = _in_turn(there, tile, unit) if sums is None else sums
                    for axis, size in enumerate(tile[:-1] if sums is not None else (), start=2):
                        boxes = _summed(boxes, axis, size)
                    largest = -(-math.prod(tile) // unit)
                    found = np.bincount(boxes.ravel(), minlength=largest + 1)
                    self.histograms[tile, unit] = found + self.histograms.get((tile, unit), 0)

    @property
    def density(self) -> Density:
        """What was found, in so many digits as a reader needs."""
        elements = math.prod(self.memory) * self.seen
        groups = np.diff(np.append(np.arange(0, self.memory[-1], GROUP), self.memory[-1]))
        of_groups = groups * (elements // self.memory[-1]) * len(self.steps)
        zeros, others = self.lengths / np.maximum(self.runs, 1)
        tiles: dict[Tile, TileDensity] = {}
        for tile in tiles_of(self.memory):
            counts = {unit: self.histograms[tile, unit] for unit in UNITS if (tile, unit) in self.histograms}
            empty = _short(counts[1][0] / counts[1].sum())
            tiles[tile] = TileDensity(empty, {u: _shorts(parts_of(n.astype(np.float64))) for u, n in counts.items()})
        return Density(
            _short(self.steps.sum() / (elements * len(self.steps))),
            self.kind,
            _shorts(self.steps / elements),
            _shorts(self.channels / of_groups),
            _short(zeros),
            _short(others),
            tiles,
        )


def _short(number: float) -> float:
    """*number* in `DIGITS` digits."""
    return float(f"{number:.{DIGITS}g}")


def _shorts(numbers: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(map(_short, numbers.tolist()))


def _summed(values: NDArray[np.generic], axis: int, size: int) -> NDArray[np.int64]:
    """Sums of *size* neighbours along *axis*; the last ones may be fewer."""
    if size == 1:
        return values.astype(np.int64, copy=False)
    begins = np.array(range(0, values.shape[axis], size))
    return np.add.reduceat(values, begins, axis=axis, dtype=np.int64)


def _in_turn(there: Mask, tile: Tile, unit: int) -> Counts:
    """How many units each tile has where units do not end with the channels: elements are taken one after the other.

    Such a tile has all channels, and its other extents divide those of the value.
    """
    lead, axes = there.shape[:2], list(zip(there.shape[2:], tile, strict=True))
    split = there.reshape([*lead, *(n for extent, size in axes for n in (extent // size, size))])
    places = range(2, split.ndim, 2)
    rows = split.transpose(0, 1, *places, *(place + 1 for place in places)).reshape(-1, math.prod(tile))
    units = np.logical_or.reduceat(rows, np.arange(0, rows.shape[1], unit), axis=1)
    return np.count_nonzero(units, axis=1)
