"""Boxes of tensors whose codec stores blocks, between DRAM and scratchpads: what encoders and decoders do.

A load reads the entries of the directory for all blocks that its box meets, then what is stored of those that are not
empty, decodes them, and writes the box.  A store takes whole blocks, encodes them, and writes what there is of them and
their entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..numerics.formats import U8, Format, row_bytes
from .access import layout_of
from .codecs.codec import numbered
from .grid import ENTRY_BYTES, block_bytes, from_blocks, to_blocks
from .kernels.bursts import bursts
from .registers import DRAM, Window
from .tile import tile_at
from .transfer import clipped

Bytes = NDArray[np.uint8]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class GridAxis:
    """An axis of a coded view: element k of it is at position ``origin + step * (begin + k)`` of *bound* ones.

    Blocks have *block* positions; where *step* is not 1, a store needs blocks of 1.
    """

    block: int = 1
    step: int = 1
    origin: int = 0
    bound: int = 0


@dataclass(frozen=True)
class Coding:
    """How a view's tensor is stored: the *codec* by number, bytes of a *slot*, address of the *directory*, its axes."""

    codec: int
    slot: int
    directory: int
    axes: tuple[GridAxis, ...] = ()

    def with_axis(self, number: int, axis: GridAxis) -> Coding:
        """The same with another axis."""
        axes = [*self.axes, *(GridAxis() for _ in range(number + 1 - len(self.axes)))]
        axes[number] = axis
        return replace(self, axes=tuple(axes))


class Box(NamedTuple):
    """A box in DRAM: *base* (bit) of slot 0, *strides* (numbers of neighbouring blocks along each axis).

    *turned* is the number of the first block of the first position.
    """

    format: Format
    base: int
    extents: Shape
    begins: Shape
    strides: Shape
    turned: int = 0


class Coded(NamedTuple):
    """What a transfer did: DRAM windows that it may touch, useful bytes and bursts, those of the decoder's coded side
    alone, and the bytes that passed the scratchpad port."""

    windows: tuple[Window, ...]
    useful: int
    bursts: int
    payload: int
    scratchpad: int


class _Blocks(NamedTuple):
    """Blocks that a box meets: of each axis the first, how many, and how far apart; all numbers of them."""

    firsts: Shape
    counts: Shape
    apart: Shape
    numbers: NDArray[np.int64]


def load(
    memories: Sequence[Bytes], coding: Coding, box: Box, bounds: Shape, space: int, target: Window, granule: int
) -> Coded:
    """Decode *box* into the scratchpad window *target*; positions outside of *bounds* become zeros there."""
    lows, sizes = clipped(box.extents, box.begins, bounds)
    values = np.zeros(box.extents, box.format.dtype)
    port = _port(box)
    layout = layout_of(box.format, box.extents, target.strides)
    if 0 in sizes:
        tile_at(memories, space, box.format, target.start, layout, "writes").write(values)
        return Coded((), 0, 0, 0, port)
    inside = _inside(box, lows, sizes)
    met = _blocks(coding, inside)
    stored = _stored(memories[DRAM], coding, box, met)
    entries = _entries(memories[DRAM], coding, met)
    taken = memories[DRAM][entries].astype(np.int64) | memories[DRAM][entries + 1].astype(np.int64) << 8
    blocks = tuple(axis.block for axis in coding.axes)
    rows = numbered(coding.codec).decoded(stored, taken, block_bytes(blocks, box.format), box.format)
    region = from_blocks(rows, met.counts, blocks, box.format)
    places = [
        _local(axis, first, apart, _positions(axis, begin, size))
        for axis, first, apart, begin, size in zip(
            coding.axes, met.firsts, met.apart, inside.begins, sizes, strict=True
        )
    ]
    part = tuple(slice(low, low + size) for low, size in zip(lows, sizes, strict=True))
    values[part] = region[np.ix_(*places)]
    tile_at(memories, space, box.format, target.start, layout, "writes").write(values)
    return _told(coding, box, met, taken, granule, port)


def count_load(
    memories: Sequence[Bytes], coding: Coding, box: Box, bounds: Shape, block: tuple[float, float], granule: int
) -> Coded:
    """What `load` says of blocks that take so many bytes and bursts, in memories of which only the size is known."""
    lows, sizes = clipped(box.extents, box.begins, bounds)
    if 0 in sizes:
        return Coded((), 0, 0, 0, _port(box))
    met = _blocks(coding, _inside(box, lows, sizes))
    size, taken = (round(len(met.numbers) * mean) for mean in block)
    _entries(memories[DRAM], coding, met)
    return _moved(coding, box, met, size, taken, granule, _port(box))


def count_store(
    memories: Sequence[Bytes], coding: Coding, box: Box, bounds: Shape, block: tuple[float, float], granule: int
) -> Coded:
    """The same of `store`."""
    if 0 in box.extents:
        return Coded((), 0, 0, 0, 0)
    _check_whole(coding, box)
    unbounded = tuple(0 for _ in bounds)
    return count_load(memories, coding, box, unbounded, block, granule)


def store(memories: Sequence[Bytes], coding: Coding, box: Box, space: int, source: Window, granule: int) -> Coded:
    """Encode the scratchpad window *source* into *box*; ValueError where that is not made of whole blocks."""
    if 0 in box.extents:
        return Coded((), 0, 0, 0, 0)
    _check_whole(coding, box)
    met = _blocks(coding, box)
    blocks = tuple(axis.block for axis in coding.axes)
    layout = layout_of(box.format, box.extents, source.strides)
    whole = np.zeros([n * size for n, size in zip(met.counts, blocks, strict=True)], box.format.dtype)
    part = tuple(slice(0, size) for size in box.extents)
    whole[part] = tile_at(memories, space, box.format, source.start, layout, "reads").read()
    rows, sizes = numbered(coding.codec).encoded(to_blocks(whole, blocks, box.format), box.format)
    numbers = met.numbers
    slots, entries = _slots(memories[DRAM], coding, box.base, int(numbers.max())), _entries(memories[DRAM], coding, met)
    which, place = np.nonzero(np.less(np.arange(rows.shape[1], dtype=np.int64), sizes[:, None]))
    slots[numbers[which], place] = rows[which, place]
    memories[DRAM][entries[:, None] + np.arange(ENTRY_BYTES)] = (
        sizes.astype("<u2").view(np.uint8).reshape(-1, ENTRY_BYTES)
    )
    return _told(coding, box, met, sizes, granule, _port(box))


def _check_whole(coding: Coding, box: Box) -> None:
    """ValueError unless a store is made of whole blocks."""
    for number, (axis, begin, size) in enumerate(zip(coding.axes, box.begins, box.extents, strict=True)):
        end = axis.origin + axis.step * (begin + size - 1) + 1
        starts = (axis.origin + axis.step * begin) % axis.block == 0
        if (axis.step > 1 and axis.block > 1) or not starts or (end % axis.block and end != axis.bound):
            raise ValueError(f"axis {number} of a coded store is not made of whole blocks of {axis.block}")


def _inside(box: Box, lows: Shape, sizes: Shape) -> Box:
    """The part of a box that exists."""
    return box._replace(begins=tuple(b + low for b, low in zip(box.begins, lows, strict=True)), extents=sizes)


def _positions(axis: GridAxis, begin: int, size: int) -> NDArray[np.int64]:
    return axis.origin + axis.step * (begin + np.arange(size, dtype=np.int64))


def _local(axis: GridAxis, first: int, apart: int, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where positions lie among the blocks that were read, these one behind the other."""
    return (positions // axis.block - first) // apart * axis.block + positions % axis.block


def _blocks(coding: Coding, box: Box) -> _Blocks:
    """The blocks that a box meets: all between the first and the last, but those that a step passes over."""
    firsts: list[int] = []
    counts: list[int] = []
    apart: list[int] = []
    numbers = np.full(1, box.turned, np.int64)
    for axis, begin, size, stride in zip(coding.axes, box.begins, box.extents, box.strides, strict=True):
        low = axis.origin + axis.step * begin
        first, last = low // axis.block, (low + axis.step * (size - 1)) // axis.block
        distance = axis.step if axis.block == 1 else 1
        count = (last - first) // distance + 1
        along = (first + distance * np.arange(count, dtype=np.int64)) * stride
        numbers = (numbers[:, None] + along).ravel()
        firsts.append(first)
        counts.append(count)
        apart.append(distance)
    return _Blocks(tuple(firsts), tuple(counts), tuple(apart), numbers)


def _slots(dram: Bytes, coding: Coding, base: int, last: int) -> Bytes:
    """All slots up to number *last*, writable."""
    begin = base >> 3
    end = begin + (last + 1) * coding.slot
    if base & 7 or begin < 0 or end > len(dram):
        raise ValueError(f"slots in bytes {begin}..{end - 1} of a DRAM of {len(dram)}")
    return dram[begin:end].reshape(last + 1, coding.slot)


def _stored(dram: Bytes, coding: Coding, box: Box, met: _Blocks) -> Bytes:
    return _slots(dram, coding, box.base, int(met.numbers.max()))[met.numbers]


def _entries(dram: Bytes, coding: Coding, met: _Blocks) -> NDArray[np.int64]:
    """Where the directory says how many bytes each block takes."""
    places = coding.directory + ENTRY_BYTES * met.numbers
    if int(places.min()) < 0 or int(places.max()) + ENTRY_BYTES > len(dram):
        raise ValueError(f"a directory at byte {coding.directory} of a DRAM of {len(dram)}")
    return places


def _told(coding: Coding, box: Box, met: _Blocks, sizes: NDArray[np.int64], granule: int, port: int) -> Coded:
    return _moved(coding, box, met, int(sizes.sum()), int((-(-sizes // granule)).sum()), granule, port)


def _moved(coding: Coding, box: Box, met: _Blocks, payload: int, taken: int, granule: int, port: int) -> Coded:
    """What a transfer says of blocks that take so many bytes and bursts together."""
    apart = tuple(stride * distance for stride, distance in zip(box.strides, met.apart, strict=True))
    start = int(met.numbers.min())
    entries = coding.directory + ENTRY_BYTES * start
    directory = bursts(entries, met.counts, tuple(ENTRY_BYTES * n for n in apart), ENTRY_BYTES, granule)
    slots = box.base + 8 * coding.slot * start
    windows = (
        Window(DRAM, U8, slots, (*met.counts, coding.slot), (*(8 * coding.slot * n for n in apart), 8)),
        Window(DRAM, U8, 8 * entries, (*met.counts, ENTRY_BYTES), (*(8 * ENTRY_BYTES * n for n in apart), 8)),
    )
    useful = payload + ENTRY_BYTES * len(met.numbers)
    return Coded(windows, useful, directory + taken, payload, port)


def _port(box: Box) -> int:
    """Bytes of the box in a scratchpad, rows of packed elements filled up to whole bytes."""
    *outer, last = box.extents
    return prod(outer) * row_bytes(last, box.format)
