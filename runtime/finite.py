"""Numbers that are not finite: whether there are any where they last, and where they came from.

A training step that leaves a NaN behind, or answers one as its loss, is looked through in the order in which the
program writes its tensors: the first that is not finite is where it began.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..isa.instructions.describe import View
from ..isa.program import Debug, Entry, Program, Stream, Symbol
from ..numerics.formats import decode
from ..source import Place
from . import tensors
from .checkpoint import persistent
from .interpreter import Interpreter

MEANING = {"FP": "forward", "BP": "backward", "WG": "weight gradient", "UP": "update"}


@dataclass(frozen=True)
class NotFinite:
    """A tensor with inf or NaN in it: *wrong* of *size* elements; *phase* is empty for what the host wrote."""

    name: str
    layer: str
    phase: str
    wrong: int
    size: int
    place: Place
    late: bool = False
    """Whether something before it lies in DRAM for the last step of time only, and may have been first."""

    def __str__(self) -> str:
        of = " of ".join(part for part in (MEANING.get(self.phase, self.phase), self.layer) if part)
        told = f"{self.name}{f' ({of})' if of else ''}: {self.wrong} of {self.size} elements are not finite"
        return f"{told}, unless in a time step that is gone from DRAM" if self.late else told


def lasting(interpreter: Interpreter) -> Symbol | None:
    """The first parameter, master, optimizer state, statistic or matrix that is not finite; None where all are.

    The host looks at its own picture of DRAM: nothing is counted.
    """
    return next((symbol for symbol in persistent(interpreter.program) if _wrong(interpreter, symbol)), None)


def first_not_finite(interpreter: Interpreter, entry: Entry) -> NotFinite | None:
    """The first tensor that is not finite after a run of *entry*: inputs, then what it wrote, in order."""
    program = interpreter.program
    given = ((program.symbol(name), Debug()) for name in entry.inputs)
    late = False
    for symbol, debug in (*given, *written(program, entry)):
        wrong = _wrong(interpreter, symbol)
        if wrong:
            size = int(np.prod(symbol.extents, dtype=np.int64))
            return NotFinite(symbol.name, symbol.layer, debug.phase, wrong, size, debug.place, late)
        late |= symbol.last_steps > 0
    return None


def stored_by(program: Program, entry: Entry) -> frozenset[str]:
    """Tensors that DRAM holds behind *entry*: what the host hands in, what lasts, and what the entry stores.

    Another entry may store more; what that has left there says nothing of this one.
    """
    lasting = (symbol.name for symbol in persistent(program))
    return frozenset((*entry.inputs, *lasting, *program.data, *(symbol.name for symbol, _ in written(program, entry))))


def written(program: Program, entry: Entry) -> Iterator[tuple[Symbol, Debug]]:
    """Every tensor that *entry* stores, in the order of the graph, with what it is stored for."""
    symbols = sorted(program.symbols, key=lambda symbol: symbol.address)
    addresses = [symbol.address for symbol in symbols]
    order = {node: place for place, node in enumerate(_order(entry))}
    found: dict[str, tuple[int, Symbol, Debug]] = {}
    for stream in entry.streams:
        for base, debug in _stores(stream):
            symbol = symbols[bisect_right(addresses, base) - 1]
            found.setdefault(symbol.name, (order.get(debug.node, -1), symbol, debug))
    for _, symbol, debug in sorted(found.values(), key=lambda each: each[0]):
        yield symbol, debug


def _order(entry: Entry) -> list[str]:
    """The nodes of an entry in their order.

    Every unit of every core walks its own in that order, and knows nothing of the others: a node that is new stands
    behind the one that comes before it there.
    """
    found: list[str] = []
    orders = [list(dict.fromkeys(debug.node for debug in stream.debug if debug.node)) for stream in entry.streams]
    for nodes in sorted(orders, key=len, reverse=True):
        place = 0
        for node in nodes:
            if node not in found:
                found.insert(place, node)
            place = found.index(node) + 1
    return found


def _stores(stream: Stream) -> Iterator[tuple[int, Debug]]:
    """Address and purpose of every view of DRAM that a store unit makes."""
    if stream.unit == "store":
        for instruction, debug in zip(stream.instructions, stream.debug, strict=True):
            if isinstance(instruction, View) and instruction.space == 0:
                yield instruction.base // 8, debug


def _wrong(interpreter: Interpreter, symbol: Symbol) -> int:
    """Elements of *symbol* that are not finite."""
    if symbol.kind.kind != "float":
        return 0
    stored = tensors.elements(symbol, interpreter.chip.dram)
    return int(np.count_nonzero(~np.isfinite(decode(stored, symbol.kind))))
