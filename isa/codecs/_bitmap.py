"""A bitmap of the units that are there, and these units behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...numerics.formats import Format
from .codec import Bytes, Codec, Sizes, units_of


@dataclass(frozen=True)
class Bitmap(Codec):
    """Subclasses say what a unit is."""

    def payload(self, there: Any, units: int, fmt: Format) -> Any:
        return head(units) + there * (self.unit(fmt) * fmt.bits // 8)

    def encode(self, blocks: Bytes, fmt: Format) -> Bytes:
        units = units_of(blocks, self.unit(fmt), fmt)
        there = units.any(axis=-1)
        packed = np.zeros_like(units)
        block, place = np.nonzero(there)
        packed[block, (np.cumsum(there, axis=1) - 1)[block, place]] = units[block, place]
        return np.concatenate([np.packbits(there, axis=1, bitorder="little"), packed.reshape(len(blocks), -1)], axis=1)

    def decode(self, stored: Bytes, sizes: Sizes, block: int, fmt: Format) -> Bytes:
        width = self.unit(fmt) * fmt.bits // 8
        count = block // width
        first = head(count)
        there = np.unpackbits(stored[:, :first], axis=1, count=count, bitorder="little").astype(np.bool_)
        wrong = np.flatnonzero(first + width * np.count_nonzero(there, axis=1) != sizes)
        if wrong.size:
            raise ValueError(f"a block of {int(sizes[wrong[0]])} bytes has a bitmap of others")
        units = np.zeros((len(stored), count, width), np.uint8)
        which, place = np.nonzero(there)
        begins = first + width * (np.cumsum(there, axis=1) - 1)[which, place]
        units[which, place] = stored[which[:, None], begins[:, None] + np.arange(width)]
        return units.reshape(len(stored), block)


def head(units: int) -> int:
    """Bytes of a bitmap."""
    return -(-units // 8)
