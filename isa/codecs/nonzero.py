"""A bitmap of the elements that are not zero, and their values."""

from __future__ import annotations

from dataclasses import dataclass

from ...numerics.formats import Format
from ._bitmap import Bitmap


@dataclass(frozen=True)
class Nonzero(Bitmap):
    """A unit is an element of whole bytes."""

    def unit(self, fmt: Format) -> int:
        return 0 if fmt.packed else 1


codec = Nonzero(2, "a bitmap of the elements that are not zero, and their values")
