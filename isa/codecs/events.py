"""The coordinates of ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...numerics.formats import Format
from .codec import Bytes, Codec, Sizes, units_of

SHORT = 256
"""Elements of the largest block whose coordinates are bytes; those of others have two."""


@dataclass(frozen=True)
class Events(Codec):
    """A unit is a bit; its coordinate is its number in the block, and coordinates ascend."""

    def unit(self, fmt: Format) -> int:
        return 1 if fmt.bits == 1 else 0

    def payload(self, there: Any, units: int, fmt: Format) -> Any:
        return there * width(units)

    def encode(self, blocks: Bytes, fmt: Format) -> Bytes:
        ones = units_of(blocks, 1, fmt)[..., 0].astype(np.bool_)
        kind = np.dtype("<u1" if width(ones.shape[1]) == 1 else "<u2")
        found = np.zeros(ones.shape, kind)
        block, place = np.nonzero(ones)
        found[block, (np.cumsum(ones, axis=1) - 1)[block, place]] = place
        return found.view(np.uint8)

    def decode(self, stored: Bytes, sizes: Sizes, block: int, fmt: Format) -> Bytes:
        elements = block * 8
        wide = width(elements)
        if (sizes % wide).any():
            raise ValueError(f"coordinates of {wide} bytes end inside of one")
        kind = np.dtype("<u1" if wide == 1 else "<u2")
        places = np.ascontiguousarray(stored[:, : stored.shape[1] // wide * wide]).view(kind)
        which, number = np.nonzero(np.less(np.arange(places.shape[1], dtype=np.int64), (sizes // wide)[:, None]))
        found = places[which, number].astype(np.int64)
        ones = np.zeros((len(stored), elements), np.uint8)
        follows = which[1:] == which[:-1]
        if found.size and (int(found.max()) >= elements or (found[1:] <= found[:-1])[follows].any()):
            raise ValueError(f"coordinates in a block of {elements} elements do not ascend, or lie outside of it")
        ones[which, found] = 1
        return np.packbits(ones, axis=1, bitorder="little")


def width(elements: int) -> int:
    """Bytes of a coordinate."""
    return 1 if elements <= SHORT else 2


codec = Events(4, "the coordinates of ones")
