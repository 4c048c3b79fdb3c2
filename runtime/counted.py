"""A chip without data: of a tensor nobody knows what is in it, only how full it is expected to be."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import numpy as np

from ..isa.counting import CountingStream
from ..isa.grid import ENTRY_BYTES
from ..isa.presence import Content, Marks
from ..isa.program import Program, Symbol
from ..isa.program import Stream as StreamCode
from ..isa.target import Target
from .chip import Chip
from .listening import RunningStream
from .network import Bytes

Contents: TypeAlias = Callable[[Symbol], Content]
"""How full each tensor is."""


@dataclass(frozen=True)
class Full:
    """A tensor without zeros; of one in blocks each takes *bytes_of_block*."""

    bytes_of_block: int = 0
    mean: float = 1.0

    def word(self, elements: int) -> float:
        """All of them."""
        return 1.0

    def block(self, granule: int) -> tuple[float, float]:
        """As it is."""
        return self.bytes_of_block, -(-self.bytes_of_block // granule)


def full(symbol: Symbol) -> Content:
    """Every element of every tensor is something else than zero."""
    return Full() if symbol.grid is None else Full(symbol.grid.block)


class RunningCountingStream(RunningStream, CountingStream):
    """A stream that moves and computes nothing, and tells what it would."""


class CountedChip(Chip):
    """A chip whose memories have a size and no contents."""

    def __init__(self, program: Program, target: Target, contents: Contents) -> None:
        super().__init__(program, target, watched=False)
        symbols = sorted(program.symbols, key=lambda symbol: symbol.address)
        self._places = [symbol.address for symbol in symbols]
        self._contents = [contents(symbol) for symbol in symbols]
        sparse = any(content.mean < 1.0 for content in self._contents)
        self.marks = [Marks() for _ in self.cores] if sparse else None

    def memory(self, size: int) -> Bytes:
        """So many times the same byte, which nobody can write."""
        return np.broadcast_to(np.uint8(0), size)

    def lay(self, contents: object) -> None:
        """There is no room for contents."""

    def stream(self, code: StreamCode, index: int) -> RunningStream:
        return RunningCountingStream(self.cores[code.core], self, code, index)

    def taken(self, symbol: Symbol) -> int:
        """Bytes that a tensor takes; of one in blocks, about what is stored of these, and its directory."""
        if (grid := symbol.grid) is None:
            return symbol.bytes
        size, _ = self.content(symbol.address).block(self.granule)
        return round(prod(grid.counts) * (size + ENTRY_BYTES))

    def content(self, byte: int) -> Content:
        """Of the tensor at *byte* of DRAM."""
        return self._contents[max(bisect_right(self._places, byte) - 1, 0)]
