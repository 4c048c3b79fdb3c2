"""How full the tensors of a program are, where it runs without data: by a profile, or one number for all that can be
sparse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..compiler.cost.coded import block_of
from ..compiler.cost.density import DENSE, Densities, Density, densities_of
from ..isa.instructions.describe import View
from ..isa.instructions.move import Store
from ..isa.registers import DRAM

if TYPE_CHECKING:
    from ..isa.presence import Content
    from ..isa.program import Program, Symbol


@dataclass(frozen=True)
class Expected:
    """A tensor as full as its density says."""

    symbol: Symbol
    density: Density

    @property
    def mean(self) -> float:
        """The fraction of elements that are not zero."""
        return self.density.mean

    def word(self, elements: int) -> float:
        """The fraction of groups of so many neighbours that hold anything."""
        return self.density.word(elements)

    def block(self, granule: int) -> tuple[float, float]:
        """(bytes, bursts) of a mean block."""
        grid = self.symbol.grid
        assert grid is not None, f"{self.symbol.name} is not stored in blocks"
        block = block_of(grid, len(self.symbol.order) or 1, self.density, granule)
        return block.size, block.moved / granule


def contents_of(program: Program, density: float | str) -> Callable[[Symbol], Content]:
    """What `--density` says of the tensors of *program*; DataError where that is a profile of another network."""
    densities = densities_of(density).checked(program.network)
    sparse = _sparse(program) if densities.everywhere < 1.0 else set[str]()

    def content(symbol: Symbol) -> Content:
        return Expected(symbol, _density(densities, symbol.name, sparse))

    return content


def _density(densities: Densities, name: str, sparse: set[str]) -> Density:
    """Of one tensor."""
    if name in sparse and name not in densities.values:
        return Density(densities.everywhere)
    return densities.values.get(name, DENSE)


def _sparse(program: Program) -> set[str]:
    """Tensors that can be sparse: spikes and counts that the program makes, and errors, the words that its way back
    stores."""
    given = {name for entry in program.entries for name in entry.inputs}
    found = {
        symbol.name
        for symbol in program.symbols
        if symbol.kind.whole and symbol.samples and symbol.role in ("value", "tape") and symbol.name not in given
    }
    by_address = {symbol.address: symbol for symbol in program.symbols}
    for entry in program.entries:
        for stream in entry.streams:
            views: dict[int, View] = {}
            for instruction, debug in zip(stream.instructions, stream.debug, strict=True):
                if isinstance(instruction, View):
                    views[instruction.view] = instruction
                elif isinstance(instruction, Store) and debug.phase == "BP":
                    view = views[instruction.target]
                    symbol = by_address.get(view.base >> 3) if view.space == DRAM else None
                    if symbol is not None and not symbol.kind.whole and symbol.samples:
                        found.add(symbol.name)
    return found
