"""The grid of a tensor whose codec stores blocks: where blocks, their slots and the directory lie.

Axes are those of memory, channels last.  Blocks are numbered like elements, the last axis fastest.  Block number k lies
in the k-th slot behind the tensor's address; behind all slots lies the directory: two bytes a block, how many bytes it
takes (0: nothing is there).  A block at the end of an axis is as large as the others, zeros behind the axis' end.  The
elements of a block follow each other, zeros behind the last one up to whole bytes and units.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from ..numerics.formats import Format, pack, unpack
from .codecs.codec import GRAIN, Codec, named

ENTRY_BYTES = 2
LARGEST_BLOCK = (1 << 8 * ENTRY_BYTES) - 1
"""Bytes of a block whose size an entry of the directory can hold."""

DIRECTORY_ALIGNMENT = 64


@dataclass(frozen=True)
class Grid:
    """A tensor of *extents* elements in *blocks*, each in a slot of so many bytes."""

    codec: Codec
    format: Format
    extents: tuple[int, ...]
    blocks: tuple[int, ...]
    slot: int

    @classmethod
    def of(cls, codec: str, fmt: Format, extents: tuple[int, ...], blocks: tuple[int, ...], granule: int) -> Grid:
        """The grid whose slots are whole bursts."""
        size = block_bytes(blocks, fmt)
        return cls(named(codec), fmt, extents, blocks, -(-size // granule) * granule)

    @property
    def counts(self) -> tuple[int, ...]:
        """Blocks along each axis."""
        return tuple(-(-extent // block) for extent, block in zip(self.extents, self.blocks, strict=True))

    @property
    def strides(self) -> tuple[int, ...]:
        """How far apart the numbers of neighbouring blocks are, along each axis."""
        counts = self.counts
        return tuple(prod(counts[axis + 1 :]) for axis in range(len(counts)))

    @property
    def block(self) -> int:
        """Bytes of a block as it is."""
        return block_bytes(self.blocks, self.format)

    @property
    def directory(self) -> int:
        """Where the directory begins, in bytes behind the first slot."""
        return -(-prod(self.counts) * self.slot // DIRECTORY_ALIGNMENT) * DIRECTORY_ALIGNMENT

    @property
    def bytes(self) -> int:
        """Bytes of slots and directory."""
        return self.directory + ENTRY_BYTES * prod(self.counts)

    def elements(self, stored: NDArray[np.uint8]) -> NDArray[np.generic]:
        """All elements of a tensor of `bytes` bytes; ValueError where one of its blocks is none."""
        count = prod(self.counts)
        entries = stored[self.directory : self.directory + ENTRY_BYTES * count].copy().view("<u2").astype(np.int64)
        slots = stored[: count * self.slot].reshape(count, self.slot)
        rows = self.codec.decoded(slots, entries, self.block, self.format)
        whole = from_blocks(rows, self.counts, self.blocks, self.format)
        return whole[tuple(slice(0, extent) for extent in self.extents)]

    def stored(self, elements: NDArray[np.generic]) -> tuple[NDArray[np.uint8], int]:
        """All elements, axes as in *extents*, as `bytes` bytes, and how many of these are blocks and directory."""
        counts = self.counts
        whole = np.zeros([n * size for n, size in zip(counts, self.blocks, strict=True)], elements.dtype)
        whole[tuple(slice(0, extent) for extent in self.extents)] = elements
        rows, sizes = self.codec.encoded(to_blocks(whole, self.blocks, self.format), self.format)
        stored = np.zeros(self.bytes, np.uint8)
        stored[: len(rows) * self.slot].reshape(len(rows), self.slot)[:, : rows.shape[1]] = rows
        stored[self.directory :] = sizes.astype("<u2").view(np.uint8)
        return stored, int(sizes.sum()) + ENTRY_BYTES * len(sizes)


def _filled(blocks: tuple[int, ...]) -> int:
    """Elements of a block, and zeros behind them."""
    return -(-prod(blocks) // GRAIN) * GRAIN


def block_bytes(blocks: tuple[int, ...], fmt: Format) -> int:
    """Bytes of a block as it is."""
    return _filled(blocks) * fmt.bits // 8


def to_blocks(values: NDArray[np.generic], blocks: tuple[int, ...], fmt: Format) -> NDArray[np.uint8]:
    """Elements whose axes are whole blocks -> a row of bytes a block."""
    counts = tuple(extent // block for extent, block in zip(values.shape, blocks, strict=True))
    rank = len(blocks)
    split = values.reshape([size for pair in zip(counts, blocks, strict=True) for size in pair])
    boxes = split.transpose(*range(0, 2 * rank, 2), *range(1, 2 * rank, 2)).reshape(prod(counts), prod(blocks))
    rows = np.zeros((len(boxes), _filled(blocks)), values.dtype)
    rows[:, : boxes.shape[1]] = boxes
    return pack(rows, fmt)


def from_blocks(
    rows: NDArray[np.uint8], counts: tuple[int, ...], blocks: tuple[int, ...], fmt: Format
) -> NDArray[np.generic]:
    """`to_blocks` undone, for so many blocks along each axis."""
    rank = len(blocks)
    boxes = unpack(rows, fmt, _filled(blocks))[:, : prod(blocks)].reshape(*counts, *blocks)
    order = [axis for pair in zip(range(rank), range(rank, 2 * rank), strict=True) for axis in pair]
    return boxes.transpose(order).reshape([n * size for n, size in zip(counts, blocks, strict=True)])
