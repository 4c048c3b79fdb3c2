"""How a unit that multiplies matrices of bytes takes the left operand of a contraction (`_matrix.c`)."""

from __future__ import annotations

from math import gcd
from typing import NamedTuple

import numpy as np

from .boxes import Numbers

TERMS = 64
"""Of a tile; `_matrix.c` has it, too."""

_BESIDE = 16  # terms side by side that are worth a tile of their own


class Tiles(NamedTuple):
    """Terms, so many at a time that stand side by side in the box: a tile begins *places* [tile] behind each of *rows*,
    and *slots* [tile * TERMS] says which term stands where; -1: none.

    Where rows stand side by side, and terms do not, that is the box turned: rows of *pitch* elements, one for each
    of *turned* elements that stood side by side (0: the box as it is).
    """

    slots: Numbers
    rows: Numbers
    places: Numbers
    turned: int
    pitch: int


def tiles_of(rows: Numbers, places: Numbers, size: int, run: int) -> Tiles | None:
    """Of a matrix whose element [row][term] stands at rows[row] + places[term] of a box of *size*, *run* terms side by
    side; None where terms share an element."""
    turned = _channels(places, size) if run < _BESIDE else 0
    pitch = 0
    if turned:
        lines = -(-(size // turned) // TERMS)
        pitch = (lines | 1) * TERMS  # an odd number of lines of a cache: rows of a tile fall on different ones
        rows, places = rows % turned * pitch + rows // turned, places // turned
    order = np.argsort(places, kind="stable")
    ascending = places[order]
    if (np.diff(ascending) == 0).any():
        return None
    starts = list[int]()
    slots = list[Numbers]()
    done = 0
    while done < order.size:
        start = int(ascending[done])
        until = int(np.searchsorted(ascending, start + TERMS))
        slot = np.full(TERMS, -1, np.int64)
        slot[ascending[done:until] - start] = order[done:until]
        starts.append(start)
        slots.append(slot)
        done = until
    return Tiles(np.concatenate(slots), rows, np.array(starts, np.int64), turned, pitch)


def _channels(places: Numbers, size: int) -> int:
    """How many elements stand side by side that no term tells apart; 0 where the box is not made of so many."""
    apart = gcd(*map(int, places)) or size
    return apart if apart >= _BESIDE and size % apart == 0 else 0
