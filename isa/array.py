"""How a contraction lies on the array of an engine: which loops are spatial, what that costs.

A tile's loops are those of its accumulator view.  *Columns* of the array take the loop that the accumulator indexes
and the left operand does not, with the smallest stride (output channels: a left element is broadcast to them).
*Rows* take a loop that the left operand indexes, with its smallest stride: where the right operand stays
(weight-stationary) any such loop, so that channels are summed along a column; where the accumulator stays
(output-stationary) one that the right operand does not index, if there is one.  All other loops are turns.

This is the shape of the published chip (`reference/chips.md`, section 2.4): FP and BP sum 16 channels into 16 others,
WG forms the outer product of 16 and 16 channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import TypeAlias

from .registers import ViewRegister
from .target import Engine

Shape: TypeAlias = tuple[int, ...]

WEIGHT_STATIONARY, OUTPUT_STATIONARY = 0, 1
"""The operand `inner` of the engines' instructions."""

STATIONARY = {"weight_stationary": WEIGHT_STATIONARY, "output_stationary": OUTPUT_STATIONARY}
"""Its value for what a target says of an engine."""


@dataclass(frozen=True)
class Operand:
    """A view as an engine sees it: strides by loop (0 where it does not depend on the loop) and bits an element."""

    strides: Shape
    bits: int

    def elements(self, extents: Shape) -> int:
        """Different elements that the tile has."""
        return prod(extent for extent, stride in zip(extents, self.strides, strict=True) if stride)


@dataclass(frozen=True)
class Contraction:
    """One tile for an engine.  *passes* are the passes of the left operand: one a bit of an unsigned number."""

    extents: Shape
    acc: Operand
    left: Operand | None
    right: Operand
    inner: int
    passes: int
    fresh: bool


def tile_of(
    acc: ViewRegister, left: ViewRegister | None, right: ViewRegister, extents: Shape, inner: int, fresh: bool
) -> Contraction:
    """The tile that an engine sees in three views; *left* None means ones."""
    passes = left.format.bits if left is not None and left.format.kind in ("bit", "unsigned") else 1
    seen = None if left is None else Operand(left.strides, left.format.bits)
    right_seen = Operand(right.strides, right.format.bits)
    return Contraction(extents, Operand(acc.strides, acc.format.bits), seen, right_seen, inner, passes, fresh)


@dataclass(frozen=True)
class Accesses:
    """Cycles in the array, and the bits that it reads from and writes to scratchpads meanwhile (modelled)."""

    cycles: int
    read_bits: int
    write_bits: int


def layout(tile: Contraction) -> tuple[int | None, int | None]:
    """The loops that lie along the rows and along the columns of an array."""
    column = _column(tile)
    return _row(tile, column), column


@lru_cache(maxsize=1 << 14)
def accesses(tile: Contraction, engine: Engine, turns: int | None = None) -> Accesses:
    """Cycles and scratchpad accesses of *tile*, without start-up: of all turns, or of so many that are taken.

    Weight-stationary: every right element is read once; each cycle reads a left element a row in use, and reads and
    writes an accumulator a column (rows that are summed share one).  Output-stationary: each cycle reads a left
    element a row and a right element a column (rows share it where the right operand does not depend on theirs), and
    an accumulator is written once, and read once unless it starts fresh.  What starts fresh is not read before it is
    first written.
    """
    size = prod(tile.extents)
    if size == 0 or turns == 0:
        return Accesses(0, 0, 0)
    row, column = layout(tile)
    wide = 1 if column is None else tile.extents[column]
    tall = 1 if row is None else tile.extents[row]
    cycles = tile.passes * (size // (wide * tall)) * -(-wide // engine.columns) * -(-tall // engine.rows)
    if turns is not None:
        size, cycles = -(-size * turns // cycles), turns
    columns, rows = min(wide, engine.columns), min(tall, engine.rows)
    kept = tile.acc.elements(tile.extents)
    before = 0 if tile.fresh else kept
    left_reads = 0 if tile.left is None else -(-size // columns)
    if tile.inner == WEIGHT_STATIONARY:
        right_reads = tile.right.elements(tile.extents)
        summed = rows if row is not None and not tile.acc.strides[row] else 1
        acc_writes = max(-(-size // summed), kept if tile.fresh else 0)
        acc_reads = acc_writes - kept + before
    else:
        right_reads = -(-size // (rows if row is not None and not tile.right.strides[row] else 1))
        acc_writes, acc_reads = kept, before
    left_bits = 0 if tile.left is None else left_reads * tile.left.bits
    read_bits = left_bits + right_reads * tile.right.bits + acc_reads * tile.acc.bits
    return Accesses(cycles, read_bits, acc_writes * tile.acc.bits)


def _column(tile: Contraction) -> int | None:
    """The loop that lies along the columns."""
    free = [
        axis
        for axis, extent in enumerate(tile.extents)
        if extent > 1 and tile.acc.strides[axis] and (tile.left is None or not tile.left.strides[axis])
    ]
    return min(free, key=lambda axis: (abs(tile.acc.strides[axis]), -axis), default=None)


def _row(tile: Contraction, column: int | None) -> int | None:
    """The loop that lies along the rows."""
    operand = tile.right if tile.left is None else tile.left
    found = [
        axis for axis, extent in enumerate(tile.extents) if extent > 1 and operand.strides[axis] and axis != column
    ]
    if tile.inner == OUTPUT_STATIONARY:
        found = [axis for axis in found if tile.acc.strides[axis] and not tile.right.strides[axis]] or found
    return min(found, key=lambda axis: (abs(operand.strides[axis]), -axis), default=None)
