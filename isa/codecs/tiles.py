"""A presence bit for each tile of eight channels, and the tiles that have anything in them."""

from __future__ import annotations

from dataclasses import dataclass

from ...numerics.formats import Format
from ._bitmap import Bitmap

CHANNELS = 8


@dataclass(frozen=True)
class Tiles(Bitmap):
    """A unit is eight channels side by side, of any format."""

    def unit(self, fmt: Format) -> int:
        return CHANNELS


codec = Tiles(3, "a presence bit for each tile of eight channels, and the tiles that have anything in them")
