"""A presence bit for each tile of eight elements, and the tiles that have anything in them."""

from __future__ import annotations

from dataclasses import dataclass

from ...numerics.formats import Format
from ._bitmap import Bitmap

ELEMENTS = 8


@dataclass(frozen=True)
class Tiles(Bitmap):
    """A unit is eight elements one behind the other, of any format: channels of a pixel where it has as many."""

    def unit(self, fmt: Format) -> int:
        return ELEMENTS


codec = Tiles(3, "a presence bit for each tile of eight elements, and the tiles that have anything in them")
