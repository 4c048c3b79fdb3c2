"""Buffers that hold all tiles of a loop side by side, while it turns through them.

A tile that is short along the axis whose elements are neighbours in DRAM moves little of every granule that it asks
for.  Where there is room, a buffer may be filled before that loop turns, or stored behind it, with rows as long as the
tensor has them.  Of a loop that cores share it then holds what all of them need, so that one may load it for all.  The
blocks of a rounding sum, whose size is not free, are held for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..cost.boxes import Turning, moved
from ..ir.joined import use_in
from ..ir.statement import Contraction
from .operands import Operand
from .request import Request, Whole
from .space import BLOCK, cuttable
from .split import Split

SHARED = ("left", "right")
"""Operands of which each core may have what all of them need."""


def wholes_of(request: Request) -> list[Whole]:
    """What buffers may hold side by side, each choice a space of its own; the first is looked at in any case."""
    statement = request.statement
    if not isinstance(statement, Contraction):
        return [()]
    if request.rounds:
        return _blocks(request, statement.blocked)
    return list(dict.fromkeys(_rows(request)))


def compulsory(request: Request) -> int:
    """Bytes of DRAM that no tiling moves fewer than: every operand as one box, once."""
    total = 0
    for operand in request.operands(None):
        if operand.moves:
            turning = Turning((), {}, request.extents, "", ())
            strides, granule = operand.dram_strides, request.target.dram.granule_bytes
            total += moved(operand.axes, strides, operand.format.bits, turning, 0, granule).dram
    return total


def holds(whole: Whole, split: Split) -> bool:
    """Whether every core can hold that: of the loop that cores share, it has only its own part of what it makes."""
    return all(use in SHARED or loop != split.loop for use, loop in whole)


def _blocks(request: Request, blocked: str | None) -> list[Whole]:
    """Operands that may hold all blocks of a rounding sum, where it has more than one."""
    if blocked is None or request.statement.extents[blocked] <= BLOCK:
        return [()]
    able = [operand.use for operand in request.operands(None) if operand.moves and _alone(operand, blocked)]
    chosen = [[use for use in able if use not in left] for left in (able, *([use] for use in able), [])]
    return [tuple((use, blocked) for use in uses) for uses in chosen]


def _rows(request: Request) -> Iterator[Whole]:
    """Nothing; whole rows of what is read; of what is written; of both."""
    free = cuttable(request)
    reads: list[Whole] = [()]
    written: dict[str, list[tuple[str, str]]] = {}
    for operand in request.operands(None):
        loop = _innermost(operand)
        if not operand.moves or loop not in free:
            continue
        if operand.use == use_in(operand.part, "acc"):  # what is made of a sum takes all of its tile at once
            continue
        if operand.writes or operand.part:
            written.setdefault(loop, []).append((operand.use, loop))
        elif operand.use in SHARED:
            reads.append(((operand.use, loop),))
    yield from reads
    for rows in written.values():
        yield from ((*read, *rows) for read in reads)


def _innermost(operand: Operand) -> str:
    """The loop that alone walks the axis whose elements are neighbours; "" where none does."""
    for axis in reversed(operand.axes):
        if axis.bound > 1:
            loop = axis.terms[0][0] if len(axis.terms) == 1 else ""
            return loop if loop and _alone(operand, loop) else ""
    return ""


def _alone(operand: Operand, loop: str) -> bool:
    """Whether *operand* walks the loop upward, alone on an axis."""
    walked = [axis.terms for axis in operand.axes if any(name == loop for name, _ in axis.terms)]
    return len(walked) == 1 and len(walked[0]) == 1 and walked[0][0][1] > 0
