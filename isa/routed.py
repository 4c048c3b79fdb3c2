"""Tiles between a scratchpad and the network by a kernel: ways are planned once for views that are alike.

On its way a tile lies as `access.to_rows` has it: elements in order, rows of the last axis filled up to whole bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..numerics.formats import Format
from .kernels.compiled import at
from .moving import Ends, compiled_move
from .registers import DRAM, IDENTITY, ViewRegister
from .transfer import Plan, plan_of

Bytes = NDArray[np.uint8]
Shape = tuple[int, ...]


class Way(NamedTuple):
    """How tiles of so many bytes come out of a scratchpad, or into it.

    *call* takes the bit of the host's memory and that of the scratchpad; 1 where the kernel does not serve, else 0.
    """

    size: int
    call: Callable[[int, int], int]


class Routed:
    """The ways between the network and one core's *memories*; *stores* says that tiles are sent."""

    def __init__(self, memories: Sequence[Bytes], stores: bool) -> None:
        self._memories, self.stores = memories, stores
        self._ways: dict[tuple[int, Format, Shape, Shape], Way | None] = {}

    def moved(self, view: ViewRegister, extents: Shape, room: Callable[[int], Bytes | None]) -> Bytes | None:
        """Move a tile of *extents* between where *view* shows it and what *room* has for its bytes.

        None, and nothing is done, where the kernel does not serve or there is no such room.
        """
        key = view.space, view.format, extents, view.strides
        if key not in self._ways:
            self._ways[key] = self._way(*key)
        way = self._ways[key]
        tile = None if way is None else room(way.size)
        if way is None or tile is None or way.call(at(tile) * 8, view.start()):
            return None
        return tile

    def _way(self, space: int, fmt: Format, extents: Shape, strides: Shape) -> Way | None:
        """None where rows end inside of a byte that is not the tile's alone, or the kernel does not serve.

        What is no scratchpad is for ports to complain of.
        """
        if space in (DRAM, IDENTITY):
            return None
        size, rows = rows_of(fmt, extents)
        try:
            plan = plan_of(fmt, extents, rows, (0,) * len(extents), extents, strides)
        except ValueError:  # packed in other rows than the tile
            return None
        if not size or _spread(plan) or (plan.grid.tail and not self.stores):
            return None
        call = compiled_move(Ends(self._memories, space, self.stores, anywhere=True), plan, part=False)
        return None if call is None else Way(size, call)


@lru_cache(maxsize=1 << 12)
def rows_of(fmt: Format, extents: Shape) -> tuple[int, Shape]:
    """Bytes of a tile on its way, and its strides in bits."""
    stride = fmt.bits
    strides: list[int] = []
    for place, extent in enumerate(reversed(extents)):
        strides.append(stride)
        stride *= extent
        if not place:
            stride = -(-stride // 8) * 8
    return -(-stride // 8), tuple(reversed(strides))


def _spread(plan: Plan) -> bool:
    """Whether several elements of the tile are one of the scratchpad."""
    return any(not step and extent > 1 for step, extent in zip(plan.part.steps, plan.grid.extents, strict=False))
