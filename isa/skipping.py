"""Turns of an array that an engine leaves out, since the words that gate them hold nothing but zeros.

A turn takes a *word* of the left operand, the elements of the array's rows, and a word of the right one, those of its
columns.  A flag a word, kept as the word is written, says whether it holds anything; an engine that skips looks at the
flags of `lookahead` turns in a cycle and takes only turns whose words hold something.  Where a sum begins, the turns of
the first index of its loops are always taken: they write what all others add to.

Leaving a turn out changes no bit.  An empty word on the left contributes nothing by the rule of engines.  An empty one
on the right adds zeros, whatever their signs: nothing to an exact sum, and nothing to an f32 or f64 one, which begins
at +0 and therefore never is -0.  An f16 sum may round to -0, to which +0 adds something, and a left element that is
infinite makes a NaN of a zero; so there, words on the right do not gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..numerics.formats import F16, Format
from . import presence
from .array import Contraction, layout
from .array import Operand as View
from .kernels.nest import AnyOperand
from .target import Engine

Mask: TypeAlias = NDArray[np.bool_]
Numbers: TypeAlias = NDArray[np.int64]

NOTHING, LEFT, RIGHT = 0, 1, 2
"""The operand `skip` of the engines' instructions: which operands' empty words gate, as a mask."""


@dataclass(frozen=True)
class Taken:
    """Of *dense* turns those that are *taken*, and the products of them whose left element is not zero."""

    turns: int
    dense: int
    done: int

    def cycles(self, lookahead: int) -> int:
        """Cycles in the array: turns that are taken, while so many flags are looked at in each."""
        return self.dense if not lookahead else min(self.dense, max(self.turns, -(-self.dense // lookahead)))


def right_gates(acc: Format, left: Format | None) -> bool:
    """Whether empty words on the right may be left out, see above; *left* None means ones."""
    return acc != F16 and (left is None or left.whole)


def taken_of(
    tile: Contraction, engine: Engine, acc: Format, left: AnyOperand | None, right: AnyOperand, skip: int
) -> Taken:
    """`taken` of operands as they lie in memory; ValueError where a word on the right must not gate."""
    if skip & RIGHT and not right_gates(acc, left and left.format):
        factors = f"{left.format} times {right.format}" if left else str(right.format)
        raise ValueError(f"zeros on the right are no reason to skip where {factors} is summed in {acc}")
    if not engine.lookahead:
        raise ValueError("this engine takes every turn: its lookahead is 0")
    l_there = there(left.storage, left.format) if left is not None else None
    return taken(tile, engine, l_there, there(right.storage, right.format), skip)


def there(storage: NDArray[Any], fmt: Format) -> Mask:
    """Which elements are not zero, of either sign."""
    if fmt.kind == "float":
        words = storage.view(f"u{storage.dtype.itemsize}")
        return (words & np.array((1 << fmt.bits - 1) - 1, words.dtype)) != 0
    return storage != 0


def taken(tile: Contraction, engine: Engine, left: Mask | None, right: Mask, skip: int) -> Taken:
    """What *engine* does of *tile*, given where its operands are not zero (size 1 along loops that they do not index).

    Loops that the accumulator does not index are summed.
    """
    extents = tile.extents
    if 0 in extents:
        return Taken(0, 0, 0)
    row, column = layout(tile)
    words = {axis: size for axis, size in ((row, engine.rows), (column, engine.columns)) if axis is not None}
    turns = tuple(-(-extent // words.get(axis, 1)) for axis, extent in enumerate(extents))
    single = (1,) * len(extents)
    all_ones = np.ones(single, np.bool_)
    elements = all_ones if left is None else left
    l_words = _words(elements, words) if left is not None and skip & LEFT else all_ones
    r_words = _words(right, words) if skip & RIGHT else all_ones
    active = _met(l_words.astype(np.int64), r_words.astype(np.int64), turns)
    if skip & RIGHT:
        weights = r_words.astype(np.int64)
        for axis, size in words.items():  # a word on the right lets pass what its row or column has on the left
            if elements.shape[axis] == 1:
                weights = weights * _lengths(extents[axis], size, axis, len(extents))
        alone = tuple(1 if axis in words else extent for axis, extent in enumerate(extents))
        done = _met(_counts(elements, words), weights, alone)
    else:
        done = int(np.count_nonzero(elements)) * (prod(extents) // elements.size)
    if tile.fresh:
        first = tuple(slice(0, 1) if not stride else slice(None) for stride in tile.acc.strides)
        begun = tuple(n if stride else 1 for n, stride in zip(turns, tile.acc.strides, strict=True))
        active += prod(begun) - _met(l_words[first].astype(np.int64), r_words[first].astype(np.int64), begun)
    return Taken(tile.passes * active, tile.passes * prod(turns), done)


def expected(
    tile: Contraction, engine: Engine, left: presence.Operand | None, right: presence.Operand | None, skip: int
) -> Taken:
    """What is expected of `taken`, by what is known of the operands; None where all of one is there."""
    extents = tile.extents
    if 0 in extents:
        return Taken(0, 0, 0)
    row, column = layout(tile)
    words = {axis: size for axis, size in ((row, engine.rows), (column, engine.columns)) if axis is not None}
    turns = tuple(-(-extent // words.get(axis, 1)) for axis, extent in enumerate(extents))
    dense = prod(turns)
    l_share = _filled(tile.left, left, extents, words) if skip & LEFT else 1.0
    r_share = _filled(tile.right, right, extents, words) if skip & RIGHT else 1.0
    active = dense * l_share * r_share
    if tile.fresh:
        begun = prod(n for n, stride in zip(turns, tile.acc.strides, strict=True) if stride)
        active += begun * (1.0 - l_share * r_share)
    done = prod(extents) * r_share * (1.0 if left is None else left.mean)
    return Taken(tile.passes * round(active), tile.passes * dense, round(done))


def _filled(
    operand: View | None, known: presence.Operand | None, extents: tuple[int, ...], words: dict[int, int]
) -> float:
    """The fraction of an operand's words that hold anything."""
    if operand is None or known is None:
        return 1.0
    along = [axis for axis in words if operand.strides[axis]]
    size = prod(min(words[axis], extents[axis]) for axis in along)
    return known.word(size, len(along) == 1 and operand.strides[along[0]] == operand.bits)


def _begins(extent: int, size: int) -> Numbers:
    """Where words of *size* begin."""
    return np.arange(0, extent, size, dtype=np.int64)


def _words(mask: Mask, words: dict[int, int]) -> Mask:
    """Which words have anything in them."""
    for axis, size in words.items():
        if mask.shape[axis] > 1:
            mask = np.logical_or.reduceat(mask, _begins(mask.shape[axis], size), axis=axis)
    return mask


def _counts(mask: Mask, words: dict[int, int]) -> Numbers:
    """How many elements of each word are not zero."""
    numbers = mask.astype(np.int64)
    for axis, size in words.items():
        if numbers.shape[axis] > 1:
            numbers = np.add.reduceat(numbers, _begins(numbers.shape[axis], size), axis=axis)
    return numbers


def _lengths(extent: int, size: int, axis: int, rank: int) -> Numbers:
    """Elements of each word along *axis*; the last one may be shorter."""
    lengths = np.minimum(size, extent - _begins(extent, size))
    return lengths.reshape([-1 if place == axis else 1 for place in range(rank)])


def _met(left: Numbers, right: Numbers, extents: tuple[int, ...]) -> int:
    """The sum of left * right over loops of *extents*, of which an operand may lack some."""
    times = 1
    l_sums = r_sums = ()
    for axis, extent in enumerate(extents):
        if left.shape[axis] == right.shape[axis] == 1:
            times *= extent
        elif right.shape[axis] == 1:
            l_sums = (*l_sums, axis)
        elif left.shape[axis] == 1:
            r_sums = (*r_sums, axis)
    met = left.sum(axis=l_sums, keepdims=True) * right.sum(axis=r_sums, keepdims=True)
    return int(met.sum()) * times
