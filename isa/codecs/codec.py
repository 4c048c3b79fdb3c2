"""What a codec is.

A *fixed* codec stores every element at its place, so that any box of a tensor can be moved.  All others store
*blocks*: boxes of a grid that its producer and its consumers share (see `isa.grid`), each in a slot that has room for
the worst case.  A block of which nothing is there takes no bytes; one that would take at least as many bytes as it has
is stored as it is.  How many bytes each takes stands in a directory.

A block is seen as *units*, each of the same number of bytes; a unit is there if any of its bits is 1.  So the minus
zero of a float is there, and comes back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...catalog import Catalog
from ...numerics.formats import Format

Bytes = NDArray[np.uint8]
Sizes = NDArray[np.int64]

GRAIN = 8
"""Elements of which a block has a multiple, zeros behind the last one: whole bytes, and whole units."""


@dataclass(frozen=True)
class Codec(ABC):
    """A codec: its *number* in instructions, a line for `snnc list`, how many elements a unit has."""

    number: int
    summary: str
    fixed: ClassVar[bool] = False

    @abstractmethod
    def unit(self, fmt: Format) -> int:
        """Elements of a unit, one behind the other in a block; 0 where the codec cannot hold that format."""

    @abstractmethod
    def payload(self, there: Any, units: int, fmt: Format) -> Any:
        """Bytes of blocks of *units* units, of which so many are *there* (numbers or arrays of them, not 0)."""

    @abstractmethod
    def encode(self, blocks: Bytes, fmt: Format) -> Bytes:
        """A row of bytes a block: what is stored of it, and behind that whatever."""

    @abstractmethod
    def decode(self, stored: Bytes, sizes: Sizes, block: int, fmt: Format) -> Bytes:
        """Blocks of so many bytes, from what is stored; ValueError where that is not as long as *sizes* say."""

    def size(self, there: Any, block: int, fmt: Format) -> Any:
        """Bytes that blocks of *block* bytes take: the empty ones none, and none more than the block."""
        units = block * 8 // (self.unit(fmt) * fmt.bits)
        return np.where(np.asarray(there) > 0, np.minimum(self.payload(there, units, fmt), block), 0)

    def encoded(self, blocks: Bytes, fmt: Format) -> tuple[Bytes, Sizes]:
        """(a row of bytes a block, how many of them are stored)."""
        block = blocks.shape[1]
        sizes = self.size(self.there(blocks, fmt), block, fmt).astype(np.int64)
        rows = np.zeros_like(blocks)
        small = np.flatnonzero((sizes > 0) & (sizes < block))
        if small.size:
            stored = self.encode(blocks[small], fmt)[:, :block]
            rows[small, : stored.shape[1]] = stored
        whole = sizes == block
        rows[whole] = blocks[whole]
        return rows, sizes

    def decoded(self, rows: Bytes, sizes: Sizes, block: int, fmt: Format) -> Bytes:
        """`encoded` undone; ValueError where what is stored is no block of that size."""
        if sizes.size and int(sizes.max()) > block:
            raise ValueError(f"a block of {block} bytes takes {int(sizes.max())}")
        blocks = np.zeros((len(rows), block), np.uint8)
        whole = sizes == block
        blocks[whole] = rows[whole, :block]
        small = np.flatnonzero((sizes > 0) & (sizes < block))
        if small.size:
            blocks[small] = self.decode(rows[small, :block], sizes[small], block, fmt)
        return blocks

    def there(self, blocks: Bytes, fmt: Format) -> Sizes:
        """How many units of each block are there."""
        return np.count_nonzero(units_of(blocks, self.unit(fmt), fmt).any(axis=-1), axis=1)


@dataclass(frozen=True)
class FixedCodec(Codec):
    """A codec that stores every element at its place."""

    fixed: ClassVar[bool] = True

    def unit(self, fmt: Format) -> int:
        return 0

    def payload(self, there: Any, units: int, fmt: Format) -> Any:
        raise AssertionError("a fixed codec has no blocks")

    def encode(self, blocks: Bytes, fmt: Format) -> Bytes:
        raise AssertionError("a fixed codec has no blocks")

    def decode(self, stored: Bytes, sizes: Sizes, block: int, fmt: Format) -> Bytes:
        raise AssertionError("a fixed codec has no blocks")


CODECS: Catalog[Codec] = Catalog("snnc.isa.codecs", "codec")


@cache
def named(name: str) -> Codec:
    """The codec of that name; UnknownName where there is none."""
    return CODECS[name]


@cache
def numbered(number: int) -> Codec:
    """The codec of that number; ValueError where there is none that has blocks."""
    for _, codec in CODECS.items():
        if codec.number == number and not codec.fixed:
            return codec
    raise ValueError(f"no codec of blocks has the number {number}")


def units_of(blocks: Bytes, unit: int, fmt: Format) -> Bytes:
    """Blocks as units of bytes, or of bits where a unit is one bit."""
    bits = unit * fmt.bits
    if bits < 8:
        assert bits == 1, f"units of {bits} bits"
        return np.unpackbits(blocks, axis=-1, bitorder="little")[..., None]
    return blocks.reshape(len(blocks), -1, bits // 8)
