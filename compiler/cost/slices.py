"""Boxes of a tensor that is stored in blocks: where each tile lies, row by row, since blocks are met by position."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..ir.on_core import OnCore
from ..ir.schedule import Buffer

Counts = NDArray[np.int64]


class Boxes(NamedTuple):
    """A row a tile, a column an axis: the first position that exists, how many exist, and how many a tile has.

    All of them are moved *repeats* times.
    """

    lows: Counts
    lengths: Counts
    tile: Counts
    repeats: int


def boxes_of(on: OnCore, buffer: Buffer) -> Boxes:
    """The tiles of *buffer* on one core."""
    loops = on.loops[: buffer.depth]
    followed = {name for axis in buffer.axes for name, _ in axis.terms}
    repeats = math.prod(on.trips(name) for name in loops if name not in followed)
    turning = [name for name in loops if name in followed]
    counters = np.meshgrid(*(np.arange(on.trips(name), dtype=np.int64) for name in turning), indexing="ij")
    start = {n: c.ravel() * on.stage.mapping.tiles[n] for n, c in zip(turning, counters, strict=True)}
    extent: dict[str, Counts | int] = {
        name: np.minimum(on.stage.mapping.tiles[name], on.extents[name] - start[name]) for name in turning
    }
    extent |= {name: on.along(name, buffer)[1] for name in followed if name not in start}

    count = len(next(iter(start.values()))) if start else 1
    lows: list[Counts] = []
    lengths: list[Counts] = []
    tile: list[Counts] = []
    for axis in buffer.axes:
        low = np.full(count, axis.offset, np.int64)
        length = np.ones(count, np.int64)
        for name, c in axis.terms:
            first = start.get(name, 0) + on.along(name, buffer)[0]
            low += c * first + min(0, c) * (extent[name] - 1)
            length += abs(c) // axis.step * (extent[name] - 1)
        tile.append(length)
        if axis.step == 1:
            high = np.minimum(low + length, axis.bound)
            low = np.maximum(low, 0)
            length = np.maximum(high - low, 0)
        lows.append(low)
        lengths.append(length)
    return Boxes(np.stack(lows, 1), np.stack(lengths, 1), np.stack(tile, 1), repeats)


class Slices(NamedTuple):
    """Boxes without time and samples, a row a tile: first positions, lengths, steps, and how many slices there are."""

    lows: Counts
    lengths: Counts
    steps: Counts
    times: NDArray[np.float64]


def slices_of(on: OnCore, buffer: Buffer, memory: int) -> Slices:
    """The tiles of *buffer* on one core along its last *memory* axes; those before them are time and samples.

    Border effects along time are left out.
    """
    lead, axes = buffer.axes[: len(buffer.axes) - memory], buffer.axes[len(buffer.axes) - memory :]
    boxes = boxes_of(on, replace(buffer, axes=axes))
    turning = on.loops[: buffer.depth]
    times = float(boxes.repeats)
    for name in {name for axis in lead for name, _ in axis.terms}:
        times *= on.extents[name] / (on.trips(name) if name in turning else 1)
    rows = len(boxes.lows)
    steps = np.broadcast_to(np.array([axis.step for axis in axes], np.int64), boxes.lows.shape)
    return Slices(boxes.lows, boxes.lengths, steps, np.full(rows, times))


def joined(slices: Sequence[Slices]) -> Slices:
    """All of them as one."""
    return Slices(*(np.concatenate(parts) for parts in zip(*slices, strict=True)))
